// The emulation sees what is planted: races, missing barriers, threads that wait for each other, order dependence.
#include <cuda_runtime.h>

#include <algorithm>

#include "../../cuda/shared.cuh"
#include "emulated_faults.h"
#include "on_device.h"

namespace on_device {
namespace {

using sada::cuda::shared_memory;

// Runs a kernel of one int pointer on `memory`; the faults found.
std::vector<std::string> faults_of(void (*kernel)(int*), int64_t blocks, unsigned threads, int* memory = nullptr, bool is_early = false) {
  emulation::run({{static_cast<unsigned>(blocks), 1, 1}, {threads, 1, 1}, 256 * sizeof(int), is_early}, [&] { kernel(memory); });
  return emulation::take_faults();
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
void waiting(int*) { sada::cuda::wait_for_earlier_work(); }
void waiting_in_part(int*) {
  if (at() != 7) sada::cuda::wait_for_earlier_work();
}
void lane_sums(int* out) {
  int sum = at();
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
  if (at() % 32 == 0) out[at() / 32] = sum;
}

}  // namespace

void planted_cases() {
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
  cases::test("two writers of a word are a race, also with one value",
              [] { cases::expect(mentions(faults_of(two_writers, 1, 2), "two writes"), "not seen"); });
  cases::test("an atomic and a read are a race, two atomics are not",
              [] { cases::expect(mentions(faults_of(counting_and_reading, 1, 64), "race"), "not seen"); });
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
  cases::test("a kernel that starts early has to wait for the work before, in every thread", [] {
    cases::expect(faults_of(waiting, 3, 64, nullptr, true).empty(), "a fault");
    for (void (*kernel)(int*) : {waiting_in_part, lane_sums}) {
      std::vector<int> sums(2);
      cases::expect(mentions(faults_of(kernel, 1, 64, sums.data(), true), "wait for the work before"), "not seen");
      cases::expect(faults_of(kernel, 1, 64, sums.data()).empty(), "a fault where it need not");
    }
  });
  cases::test("lanes exchange within their warp", [] {
    std::vector<int> sums(3);
    cases::expect(faults_of(lane_sums, 1, 96, sums.data()).empty(), "a fault");
    cases::expect(sums == std::vector<int>{496, 496 + 1024, 496 + 2048}, "sums");  // 0 + … + 31, and 32 * 32 more each
  });
}

}  // namespace on_device
