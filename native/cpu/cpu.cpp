// Chooses the instruction set once, by what the processor can do; and makes whole steps of its loop.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../math/tree_sum.h"
#include "step.h"
#include "token_means.h"

namespace sada {
namespace {

bool has_x86_64_v3() {
#if defined(SADA_X86_64_V3)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

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

Cpu choose() {
  const char* forced = std::getenv("SADA_CPU");
  const bool scalar = forced != nullptr && std::strcmp(forced, "scalar") == 0;
#if defined(SADA_X86_64_V3)
  if (!scalar && has_x86_64_v3()) return {"x86-64-v3", step<x86_64_v3::run_step>};
#endif
  (void)scalar;
  return {"scalar", step<scalar::run_step>};
}

}  // namespace

const Cpu& cpu() {
  static const Cpu chosen = choose();
  return chosen;
}

}  // namespace sada
