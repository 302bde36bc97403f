// What every full-tensor formula is: a weighted sum, from `nothing_yet` by one fused multiply-add per term in the order of the step's
// inputs, which rounds the same on every compiler and device.
#pragma once

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

}  // namespace sada
