// The fused step and the convolution, compiled for x86-64-v3 (AVX2, FMA): see binding.gyp.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../backend.h"
#include "../math/half.h"
#include "../math/tree_sum.h"
#include "step.h"

namespace sada::x86_64_v3 {
namespace {
#include "step_loop.inl"

#include "convolve_loop.inl"
}  // namespace

void run_step(const StoredStep& stored, const StepResults& results) { step(stored, results); }
void run_convolution(const Convolution& convolution, float* twice) { convolve(convolution, twice); }

}  // namespace sada::x86_64_v3
