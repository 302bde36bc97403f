// The arithmetic of every full-tensor formula: a weighted sum, in the order of a step's inputs.
#pragma once

#include <cmath>
#include <cstdint>

#include "portable.h"

namespace sada {

// A row of a step: weights over some of its inputs. Their order is part of the result.
struct Row {
  uint8_t inputs = 0;  // bit k: input k is one of them
  float weight[kMaxInputs] = {};  // of each input

  SADA_HD bool has(int input) const { return (inputs >> input & 1) != 0; }
  SADA_HD void set(int input, float w) { inputs = static_cast<uint8_t>(inputs | 1 << input), weight[input] = w; }
};
static_assert(kMaxInputs <= 8, "a bit for each input");

// What a row's sum starts from: -0 leaves the first product as it is.
SADA_HD float nothing_yet(const Row& row) { return row.inputs == 0 ? 0.0f : -0.0f; }

// One fused multiply-add per term: the same rounding on every compiler and device.
SADA_HD float weighted_sum(const Row& row, const float* const* inputs, long long i) {
  float sum = nothing_yet(row);
  for (int k = 0; k < kMaxInputs; ++k) {
    if (row.has(k)) sum = fmaf(row.weight[k], inputs[k][i], sum);
  }
  return sum;
}

}  // namespace sada
