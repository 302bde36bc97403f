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
      emulation::options().skip_barrier = skipped;
      const std::vector<std::string> faults = faults_of(with_barrier, 1, 64);
      emulation::options().skip_barrier = 0;
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
  cases::test("lanes exchange within their warp", [] {
    std::vector<int> sums(3);
    cases::expect(faults_of(lane_sums, 1, 96, sums.data()).empty(), "a fault");
    cases::expect(sums == std::vector<int>{496, 496 + 1024, 496 + 2048}, "sums");  // 0 + … + 31, and 32 * 32 more each
  });
}

// Three tiles with a sum of a product: the step's every barrier is passed.
sada::DeviceStatus some_step(sada::Device* on) {
  const Memory input(std::vector<float>(3000, 1.0f).data(), 12000);
  const Pinned sums(1);
  sada::DeviceStep step;
  step.request.length = 3000, step.request.inputs = step.request.rows = step.request.sums = 1;
  step.request.input[0] = reinterpret_cast<const float*>(input.data());
  step.request.row[0].terms = 1, step.request.row[0].weight[0] = 1.0f;
  step.request.sum[0] = {0, 0, false};
  check(table().synchronize(device()), "synchronize");
  const sada::DeviceStatus launched = table().step(on, &step, 1, sums.data());
  return launched != 0 ? launched : table().synchronize(on);
}

void some_selection(sada::Device* on) {
  cases::Numbers numbers(3);
  const std::vector<float> values = numbers.floats(2000);
  const Memory scores(values.data(), 8000), indices(8000), kept(4);
  sada::DeviceSelection s;
  s.scores = reinterpret_cast<const float*>(scores.data()), s.height = 40, s.width = 50, s.threshold = 0.1f, s.max_kept = 500;
  s.window_height = s.window_width = 4, s.buckets = 1, s.bucket[0] = 1500;
  s.indices = reinterpret_cast<int32_t*>(indices.data()), s.kept = reinterpret_cast<int32_t*>(kept.data());
  check(table().synchronize(device()), "synchronize");
  check(table().select(on, &s, 1), "select");
  (void)table().synchronize(on);
}

// How many of the first `barriers` a kernel can lose without being caught, by number.
std::string uncaught(int barriers, const std::function<void()>& run) {
  std::string missed;
  for (int k = 1; k <= barriers; ++k) {
    emulation::options().skip_barrier = k;
    run();
    emulation::options().skip_barrier = 0;
    if (!mentions(emulation::take_faults(), "race")) missed += " " + std::to_string(k);
  }
  return missed;
}

sada::Device* made() {
  sada::Device* other = nullptr;
  check(table().create(0, &other), "create");
  const sada::DeviceLimits limits = {4096, 2, 0, 0};
  check(table().reserve(other, &limits), "reserve");
  check(table().synchronize(other), "synchronize");
  return other;
}

}  // namespace

void emulation_cases() {
  planted();
  (void)some_step, (void)some_selection, (void)uncaught, (void)made;
}

}  // namespace on_device
