// The step in each instruction set it is compiled for.
#pragma once

#include "../backend.h"

namespace sada {
namespace scalar {
void run_step(const StepRequest& request, double* sums);
}
namespace x86_64_v3 {
void run_step(const StepRequest& request, double* sums);
}
}  // namespace sada
