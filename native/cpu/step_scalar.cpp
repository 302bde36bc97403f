// The fused step, compiled for any processor.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../backend.h"
#include "../math/tree_sum.h"
#include "step.h"

namespace sada::scalar {
namespace {
#include "step_loop.inl"
}  // namespace

void run_step(const StepRequest& request, double* sums) { step(request, sums); }

}  // namespace sada::scalar
