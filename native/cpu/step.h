// The loops of the step and the convolution in each instruction set it is compiled for.
#pragma once

#include "../backend.h"

namespace sada {

constexpr int kTokenLanes = 8;

// Where the loop leaves what is still to be reduced. Memory of the caller's: the loops' objects hold no library code.
struct StepResults {
  double* tiles[kMaxSums];  // for each sum one float32 result per tile of 1024 elements
  float* token_sums;  // zero before; see token_means.h
};

namespace scalar {
void run_step(const StoredStep& step, const StepResults& results);
void run_convolution(const Convolution& convolution, float* twice);
}  // namespace scalar
namespace x86_64_v3 {
void run_step(const StoredStep& step, const StepResults& results);
void run_convolution(const Convolution& convolution, float* twice);
}  // namespace x86_64_v3
}  // namespace sada
