// Chooses the instruction set once, by what the processor can do.
#include <cstdlib>
#include <cstring>

#include "step.h"

namespace sada {
namespace {

bool has_x86_64_v3() {
#if defined(SADA_X86_64_V3)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

Cpu choose() {
  const char* forced = std::getenv("SADA_CPU");
  const bool scalar = forced != nullptr && std::strcmp(forced, "scalar") == 0;
#if defined(SADA_X86_64_V3)
  if (!scalar && has_x86_64_v3()) return {"x86-64-v3", x86_64_v3::run_step};
#endif
  (void)scalar;
  return {"scalar", scalar::run_step};
}

}  // namespace

const Cpu& cpu() {
  static const Cpu chosen = choose();
  return chosen;
}

}  // namespace sada
