// The fused step, compiled for any processor.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "../backend.h"
#include "../math/half.h"
#include "../math/tree_sum.h"
#include "step.h"

namespace sada::scalar {
namespace {
#include "step_loop.inl"
}  // namespace

void run_step(const StoredStep& stored, const StepResults& results) { step(stored, results); }

}  // namespace sada::scalar
