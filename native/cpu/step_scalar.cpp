// The fused step, compiled for any processor.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "../backend.h"
#include "../math/tree_sum.h"
#include "step.h"

namespace sada::scalar {
namespace {
#include "step_loop.inl"
}  // namespace

void run_step(const StepRequest& request, const StepResults& results) { step(request, results); }

}  // namespace sada::scalar
