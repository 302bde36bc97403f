// Chooses the instruction set once, by what the processor can do; and makes whole steps of its loop.
#include <cstdlib>
#include <cstring>
#include <vector>

#if defined(SADA_X86_64_V3)
#include <cpuid.h>
#endif

#include "../math/tree_sum.h"
#include "step.h"
#include "token_means.h"

namespace sada {
namespace {

#if defined(SADA_X86_64_V3)
// Asked of the processor itself: not every compiler's library knows (Zig's __builtin_cpu_supports denies everything).
bool has_x86_64_v3() {
  unsigned a, b, c, d;
  constexpr unsigned kFirst = bit_FMA | bit_OSXSAVE;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & kFirst) != kFirst) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & bit_AVX2) == 0) return false;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6) == 6;  // the system keeps 128 and 256 bit registers
}
#endif

size_t whole_tiles(size_t n) { return (n + kTile - 1) / kTile * kTile; }

template <void (*run)(const StoredStep&, const StepResults&)>
void step(const StoredStep& step, double* sums) {
  const StepRequest& request = step.request;
  static thread_local std::vector<double> tiles[kMaxSums];
  static thread_local std::vector<float> token_sums;
  StepResults results{};
  const size_t count = whole_tiles(static_cast<size_t>(request.length)) / kTile;
  for (int s = 0; s < request.sums; ++s) {
    tiles[s].resize(whole_tiles(count));
    results.tiles[s] = tiles[s].data();
  }
  if (request.token_sum >= 0) {
    token_sums.assign(static_cast<size_t>(token_sums_length(request.layout)), 0.0f);
    results.token_sums = token_sums.data();
  }
  run(step, results);
  for (int s = 0; s < request.sums; ++s) sums[s] = tree_sum_of_tiles(results.tiles[s], count);
  if (request.token_sum >= 0) token_means(request.layout, token_sums.data(), request.token_means);
}

template <void (*run)(const Convolution&, float*)>
void convolve(const Convolution& convolution) {
  std::vector<float> twice(static_cast<size_t>(2 * convolution.n * convolution.stride));
  run(convolution, twice.data());
}

Cpu choose() {
  const char* forced = std::getenv("SADA_CPU");
  const bool scalar = forced != nullptr && std::strcmp(forced, "scalar") == 0;
#if defined(SADA_X86_64_V3)
  if (!scalar && has_x86_64_v3()) return {"x86-64-v3", step<x86_64_v3::run_step>, convolve<x86_64_v3::run_convolution>};
#endif
  (void)scalar;
  return {"scalar", step<scalar::run_step>, convolve<scalar::run_convolution>};
}

}  // namespace

const Cpu& cpu() {
  static const Cpu chosen = choose();
  return chosen;
}

}  // namespace sada
