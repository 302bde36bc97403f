// The emulation sees what it is there to see: planted races, missing barriers, threads that wait for each other, results that depend on
// the order of blocks, and faults of a GPU. The kernels themselves lose each of their barriers in turn, and must be caught.
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "../../cuda/launch.cuh"
#include "../../cuda/shared.cuh"
#include "on_device.h"

namespace on_device {
namespace {

using sada::DeviceFailure;
using sada::cuda::Shape;
using sada::cuda::shared_memory;

// Runs a kernel of one int pointer on `memory`; the faults found.
std::vector<std::string> faults_of(void (*kernel)(int*), int64_t blocks, unsigned threads, int* memory = nullptr) {
  Shape shape;
  shape.blocks_x = blocks, shape.threads = dim3(threads), shape.shared_bytes = 256 * sizeof(int);
  emulation::run({{static_cast<unsigned>(blocks), 1, 1}, {threads, 1, 1}, shape.shared_bytes}, [&] { kernel(memory); });
  return emulation::take_faults();
}

bool mentions(const std::vector<std::string>& faults, const std::string& word) {
  return std::any_of(faults.begin(), faults.end(), [&](const std::string& fault) { return fault.find(word) != std::string::npos; });
}

int at() { return static_cast<int>(threadIdx.x); }
int size() { return static_cast<int>(blockDim.x); }

// Each thread reads what its neighbour wrote.
void with_barrier(int*) {
  const auto words = shared_memory<int>();
  words[at()] = at();
  __syncthreads();
  const int neighbour = words[(at() + 1) % size()];
  __syncthreads();
  words[at()] = neighbour;
}
void without_first_barrier(int*) {
  const auto words = shared_memory<int>();
  words[at()] = at();
  const int neighbour = words[(at() + 1) % size()];
  __syncthreads();
  words[at()] = neighbour;
}
void two_writers(int*) { shared_memory<int>()[0] = 1; }
void read_of_nothing(int* out) { *out = shared_memory<int>()[3]; }
void outside(int*) { shared_memory<int>()[256] = 1; }
void counting(int*) {
  const auto words = shared_memory<int>();
  if (at() == 0) words[0] = 0;
  __syncthreads();
  words.add(0, 1);
  __syncthreads();
  if (words[0] != size()) shared_memory<int>()[1000] = 0;
}
void counting_and_reading(int*) {
  const auto words = shared_memory<int>();
  if (at() == 0) words[0] = 0;
  __syncthreads();
  words.add(0, 1);
  if (at() == 1) (void)static_cast<int>(words[0]);
}
void half_a_barrier(int*) {
  if (at() < 32) __syncthreads();
  else (void)__shfl_xor_sync(0x3u, 1, 1);  // by lanes that are not named, too
}
void absent_lane(int*) {
  if (at() != 5) (void)__shfl_down_sync(0xffffffffu, 1, 1);
}
void last_block_wins(int* out) {
  if (at() == 0) *out = static_cast<int>(blockIdx.x);
}
void lane_sums(int* out) {
  int sum = at();
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if (at() % 32 == 0) out[at() / 32] = sum;
}

void planted() {
  cases::test("a kernel with its barriers has no fault", [] {
    for (void (*kernel)(int*) : {with_barrier, counting}) cases::expect(faults_of(kernel, 3, 96).empty(), "a fault");
  });
  cases::test("a missing barrier is a race", [] {
    cases::expect(mentions(faults_of(without_first_barrier, 1, 64), "race"), "not seen");
    for (int skipped : {1, 2}) {
      emulation::options().forgotten_barrier = skipped;
      const std::vector<std::string> faults = faults_of(with_barrier, 1, 64);
      emulation::options().forgotten_barrier = 0;
      cases::expect(mentions(faults, "race"), "barrier " + std::to_string(skipped) + " not missed");
    }
  });
  cases::test("two writers of a word are a race, also with one value", [] { cases::expect(mentions(faults_of(two_writers, 1, 2), "two writes"), "not seen"); });
  cases::test("an atomic and a read are a race, two atomics are not", [] { cases::expect(mentions(faults_of(counting_and_reading, 1, 64), "race"), "not seen"); });
  cases::test("reading what nobody wrote, and outside, are faults", [] {
    int out;
    cases::expect(mentions(faults_of(read_of_nothing, 1, 1, &out), "before it was written"), "nothing");
    cases::expect(mentions(faults_of(outside, 1, 1), "outside"), "outside");
  });
  cases::test("threads that wait for each other are seen, and the next kernel runs", [] {
    cases::expect(!faults_of(half_a_barrier, 1, 64).empty(), "a barrier that not all reach");
    cases::expect(mentions(faults_of(absent_lane, 1, 32), "wait for each other"), "an exchange that not all reach");
    cases::expect(faults_of(with_barrier, 1, 64).empty(), "afterwards");
  });
  cases::test("blocks run in another order with another seed", [] {
    std::vector<int> last;
    for (uint32_t seed = 1; seed < 9; ++seed) {
      int out = -1;
      emulation::options().seed = seed;
      faults_of(last_block_wins, 100, 1, &out);
      last.push_back(out);
    }
    emulation::options().seed = 1;
    std::sort(last.begin(), last.end());
    cases::expect(std::unique(last.begin(), last.end()) - last.begin() > 4, "the same order");
  });
  cases::test("what was launched is not done before someone waits for it", [] {
    const float one = 1.0f;
    const Memory from(&one, 4);
    const Pinned to(1);
    *to.data() = 0.0;
    check(table().convert(device(), to.data(), sada::Storage::kFloat32, from.data(), sada::Storage::kFloat32, 1), "convert");
    cases::expect(std::memcmp(to.data(), &one, 4) != 0, "done at once");
    check(table().synchronize(device()), "synchronize");
    cases::expect(std::memcmp(to.data(), &one, 4) == 0, "not done");
  });
  cases::test("lanes exchange within their warp", [] {
    std::vector<int> sums(3);
    cases::expect(faults_of(lane_sums, 1, 96, sums.data()).empty(), "a fault");
    cases::expect(sums == std::vector<int>{496, 496 + 1024, 496 + 2048}, "sums");  // 0 + … + 31, and 32 * 32 more each
  });
}

// 1025 tiles with a sum of a product: two levels of groups, so that every barrier of the step is passed.
void some_step(const Memory& input) {
  const Pinned sums(1);
  sada::DeviceStep step;
  step.request.length = 1025 * 1024, step.request.inputs = step.request.rows = step.request.sums = 1;
  step.request.input[0] = reinterpret_cast<const float*>(input.data());
  step.request.row[0].terms = 1, step.request.row[0].weight[0] = 1.0f;
  step.request.sum[0] = {0, 0, false};
  check(table().step(device(), &step, 1, sums.data()), "step");
  (void)table().synchronize(device());
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
  cases::test("the step is caught without any of its barriers but one", [] {
    const Memory input(std::vector<float>(1025 * 1024, 1.0f).data(), 1025 * 4096);
    const std::string missed = uncaught([&] { some_step(input); });
    // The second orders what blocks leave in global memory for each other, and blocks follow each other here.
    cases::expect(missed == " 2", "not caught:" + missed);
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
      const auto element = [&](int64_t k, int64_t c) -> float& { return channels_first ? whole[c * tokens + indices[k]] : whole[indices[k] * channels + c]; };
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
        for (int64_t c = 0; c < channels; ++c) cases::expect(got[static_cast<size_t>(channels_first ? c * 3 + k : k * channels + c)] == static_cast<float>(100 * k + c), "gathered");
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
    cases::expect(other == nullptr && table().failure(status) == failure && table().error_string(status) == words, table().error_string(status));
  };
  cases::test("no GPU, no driver, an old driver, an old GPU: each has its reason", [=] {
    with("SADA_EMULATED_DEVICES", "0", [&] { reason(DeviceFailure::kUnavailable, "no CUDA-capable device is detected"); });
    for (const char* driver : {"0", "12090"}) with("SADA_EMULATED_DRIVER", driver, [&] { reason(DeviceFailure::kUnavailable, "CUDA driver version is insufficient for CUDA runtime version"); });
    with("SADA_EMULATED_CAPABILITY", "7.0", [&] { reason(DeviceFailure::kUnavailable, "no kernel image is available for execution on the device"); });
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
      const auto convert = [&] { return table().convert(device(), b.data(), sada::Storage::kFloat32, a.data(), sada::Storage::kFloat32, 16); };
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
  planted();
  robbed();
  beyond_31_bits();
  gpu_faults();
}

}  // namespace on_device
