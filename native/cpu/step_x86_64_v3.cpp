// The fused step, compiled for x86-64-v3 (AVX2, FMA): see binding.gyp.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "../backend.h"
#include "../math/tree_sum.h"
#include "step.h"

namespace sada::x86_64_v3 {
namespace {
#include "step_loop.inl"
}  // namespace

void run_step(const StepRequest& request, const StepResults& results) { step(request, results); }

}  // namespace sada::x86_64_v3
