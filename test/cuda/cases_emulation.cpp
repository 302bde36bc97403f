// The emulation sees what it is there to see: the kernels lose each of their barriers in turn, and must be caught; and faults of a GPU.
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstdlib>

#include "emulated_faults.h"
#include "on_device.h"

namespace on_device {
namespace {

using sada::DeviceFailure;

// 1025 tiles with a sum of a product: two levels of groups, so that every barrier of the step is passed.
void some_step(const Memory& input) {
  const Pinned sums(1);
  sada::DeviceStep step;
  step.request.length = 1025 * 1024, step.request.inputs = step.request.rows = step.request.sums = 1;
  step.request.input[0] = reinterpret_cast<const float*>(input.data());
  step.request.row[0].set(0, 1.0f);
  step.request.sum[0] = {0, 0, false};
  check(table().step(device(), &step, 1, sums.data()), "step");
  (void)table().synchronize(device());
}

// How many launches of a step with token means are early.
int64_t early_launches_of_a_step() {
  const Memory input(4 * 64 * 64 * 4), means(32 * 32 * 4);
  const Pinned sums(1);
  sada::DeviceStep step;
  step.request.length = 4 * 64 * 64, step.request.inputs = step.request.rows = step.request.sums = 1;
  step.request.input[0] = reinterpret_cast<const float*>(input.data());
  step.request.row[0].set(0, 1.0f);
  step.request.sum[0] = {0, 0, false};
  step.request.layout = {true, 4, 32, 32, 2, 2}, step.request.token_sum = 0,
  step.request.token_means = reinterpret_cast<float*>(means.data());
  const int64_t before = emulation::early_launches();
  check(table().step(device(), &step, 1, sums.data()), "step");
  check(table().synchronize(device()), "synchronize");
  return emulation::early_launches() - before;
}

// How many of 240 sums over three tiles are not what they must be: six at a time, each time of other numbers.
int wrong_sums(int broken_barrier) {
  constexpr int kTimes = 40, kTiles = 3;
  int wrong = 0;
  for (int time = 1; time <= kTimes; ++time) {
    const Memory input(std::vector<float>(kTiles * 1024, static_cast<float>(time)).data(), kTiles * 4096);
    const Pinned sums(sada::kMaxSums);
    sada::DeviceStep step;
    step.request.length = kTiles * 1024, step.request.inputs = step.request.rows = 1, step.request.sums = sada::kMaxSums;
    step.request.input[0] = reinterpret_cast<const float*>(input.data());
    step.request.row[0].set(0, 1.0f);
    check(table().step(device(), &step, 1, sums.data()), "step");
    emulation::options().broken_barrier = broken_barrier;
    const sada::DeviceStatus status = table().synchronize(device());
    emulation::options().broken_barrier = 0;
    check(status, "synchronize");
    for (int s = 0; s < sada::kMaxSums; ++s) wrong += sums.data()[s] != static_cast<double>(time * kTiles * 1024);
  }
  return wrong;
}

void some_selection() {
  cases::Numbers numbers(3);
  const std::vector<float> values = numbers.floats(2000);
  const Memory scores(values.data(), 8000), indices(8000), kept(4);
  sada::DeviceSelection s;
  s.scores = reinterpret_cast<const float*>(scores.data()), s.height = 40, s.width = 50, s.threshold = 0.1f, s.max_kept = 500;
  s.window_height = s.window_width = 4, s.buckets = 1, s.bucket[0] = 1500;
  s.indices = reinterpret_cast<int32_t*>(indices.data()), s.kept = reinterpret_cast<int32_t*>(kept.data());
  check(table().select(device(), &s, 1), "select");
  (void)table().synchronize(device());
}

// Which of its barriers a kernel can lose without being caught, by number.
std::string uncaught(const std::function<void()>& run) {
  std::string missed;
  run();
  const int barriers = emulation::barriers_of_last_block();
  cases::expect(barriers > 2 && emulation::take_faults().empty(), "faults, or no barriers, from the start");
  for (int k = 1; k <= barriers; ++k) {
    emulation::options().forgotten_barrier = k;
    run();
    emulation::options().forgotten_barrier = 0;
    if (!mentions(emulation::take_faults(), "race")) missed += " " + std::to_string(k);
  }
  return missed;
}

void robbed() {
  cases::test("a step and its token means start early on a GPU that can, which the emulated one is",
              [] { cases::expect(early_launches_of_a_step() == 2, "not early"); });
  cases::test("the step is caught without any of its barriers but one, of tiles and of groups", [] {
    const Memory input(std::vector<float>(1025 * 1024, 1.0f).data(), 1025 * 4096);
    const std::string missed = uncaught([&] { some_step(input); });
    // The second orders what blocks leave in global memory for each other: the next case. The fifth is the same one, for groups of groups.
    cases::expect(missed == " 2 5", "not caught:" + missed);
  });
  cases::test("a step whose second barrier is broken has other sums", [] {
    cases::expect(wrong_sums(0) == 0, "sums are wrong with all barriers");
    cases::expect(wrong_sums(2) > 0, "no sum is wrong");
  });
  cases::test("select is caught without any of its barriers", [] {
    const std::string missed = uncaught(some_selection);
    cases::expect(missed.empty(), "not caught:" + missed);
  });
}

// Address space of a map of 2^32 + 64 elements: only the pages that are touched have memory.
void beyond_31_bits() {
  constexpr int64_t channels = 64, tokens = (int64_t{1} << 26) + 1, bytes = tokens * channels * 4;
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return void(std::printf("SKIPPED moves beyond 2^31 elements: no address space\n"));
  for (bool channels_first : {false, true}) {
    cases::test(std::string("gather and scatter beyond 2^32 elements") + (channels_first ? ", channels first" : ""), [=] {
      const int32_t indices[] = {0, 33554431, 67108864};
      float* whole = static_cast<float*>(map);
      const auto element = [&](int64_t k, int64_t c) -> float& {
        return channels_first ? whole[c * tokens + indices[k]] : whole[indices[k] * channels + c];
      };
      for (int64_t k = 0; k < 3; ++k) {
        for (int64_t c = 0; c < channels; ++c) element(k, c) = static_cast<float>(100 * k + c);
      }
      const Memory part(3 * channels * 4);
      sada::DeviceMove move;
      move.from = whole, move.to = part.data(), move.channels_first = channels_first;
      move.rows = 1, move.tokens = tokens, move.channels = channels, move.kept = 3, move.indices = indices, move.indices_on_host = true;
      check(table().gather(device(), &move), "gather");
      const std::vector<float> got = decoded(part.bytes(), sada::Storage::kFloat32);
      for (int64_t k = 0; k < 3; ++k) {
        for (int64_t c = 0; c < channels; ++c)
          cases::expect(got[static_cast<size_t>(channels_first ? c * 3 + k : k * channels + c)] == static_cast<float>(100 * k + c),
                        "gathered");
      }
      for (int64_t k = 0; k < 3; ++k) element(k, 7) = -1.0f;
      move.from = part.data(), move.to = whole;
      check(table().scatter(device(), &move), "scatter");
      check(table().synchronize(device()), "synchronize");
      for (int64_t k = 0; k < 3; ++k) cases::expect(element(k, 7) == static_cast<float>(100 * k + 7), "scattered");
    });
  }
  munmap(map, bytes);
}

// What a machine without a usable GPU says, and a GPU that goes.
void gpu_faults() {
  const auto with = [](const char* name, const char* value, const std::function<void()>& body) {
    setenv(name, value, 1);
    try {
      body();
    } catch (...) {
      unsetenv(name);
      throw;
    }
    unsetenv(name);
  };
  const auto reason = [](DeviceFailure failure, const std::string& words) {
    sada::Device* other = nullptr;
    const sada::DeviceStatus status = table().create(0, &other);
    cases::expect(other == nullptr && table().failure(status) == failure && table().error_string(status) == words,
                  table().error_string(status));
  };
  cases::test("no GPU, no driver, an old driver, an old GPU: each has its reason", [=] {
    with("SADA_EMULATED_DEVICES", "0", [&] { reason(DeviceFailure::kUnavailable, "no CUDA-capable device is detected"); });
    for (const char* driver : {"0", "12090"})
      with("SADA_EMULATED_DRIVER", driver,
           [&] { reason(DeviceFailure::kUnavailable, "CUDA driver version is insufficient for CUDA runtime version"); });
    with("SADA_EMULATED_CAPABILITY", "7.0",
         [&] { reason(DeviceFailure::kUnavailable, "no kernel image is available for execution on the device"); });
  });
  cases::test("a full GPU refuses one allocation and goes on", [=] {
    with("SADA_EMULATED_MEMORY", "1000000000", [] {
      void* memory;
      cases::expect(table().failure(table().allocate(device(), 1000000000, &memory)) == DeviceFailure::kOutOfMemory, "its failure");
      const Memory small(1000);
    });
  });
  cases::test("a lost GPU stays lost; what is made after it in a new process works", [=] {
    const Memory a(64), b(64);
    check(table().synchronize(device()), "synchronize");
    with("SADA_EMULATED_LOST_AFTER", "2", [&] {
      const auto convert = [&] {
        return table().convert(device(), b.data(), sada::Storage::kFloat32, a.data(), sada::Storage::kFloat32, 16);
      };
      check(convert(), "first");
      check(table().synchronize(device()), "synchronize");
      check(convert(), "the launch itself");
      cases::expect(table().failure(table().synchronize(device())) == DeviceFailure::kLost, "the wait after it");
      cases::expect(table().failure(convert()) == DeviceFailure::kLost, "a launch");
      void* memory;
      cases::expect(table().failure(table().allocate(device(), 8, &memory)) == DeviceFailure::kLost, "an allocation");
    });
    check(table().synchronize(device()), "a new process");
  });
}

}  // namespace

void emulation_cases() {
  planted_cases();
  robbed();
  beyond_31_bits();
  gpu_faults();
}

}  // namespace on_device
