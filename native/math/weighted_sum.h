// The arithmetic of every full-tensor formula: a weighted sum, in the row's own order.
#pragma once

#include <cmath>

#include "portable.h"

namespace sada {

// A row of a step: weights over some of its inputs. The order of the terms is part of the result.
struct Row {
  int terms = 0;
  int input[kMaxInputs] = {};
  float weight[kMaxInputs] = {};
};

// w0*v0, then one fused multiply-add per further term: the same rounding on every compiler and device.
SADA_HD float weighted_sum(const Row& row, const float* const* inputs, long long i) {
  if (row.terms == 0) return 0.0f;
  float sum = row.weight[0] * inputs[row.input[0]][i];
  for (int k = 1; k < row.terms; ++k) sum = fmaf(row.weight[k], inputs[row.input[k]][i], sum);
  return sum;
}

}  // namespace sada
