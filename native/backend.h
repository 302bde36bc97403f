// What a backend does for one member of a batch: the fused step over its buffers.
#pragma once

#include <cstdint>

#include "math/row.h"

namespace sada {

// A reduction: sum of a*b; with b < 0 the sum of |a|, or of a where `is_signed`.
struct Sum {
  int a = 0;
  int b = -1;
  bool is_signed = false;
};

// Where tokens lie among a member's elements.
struct TokenLayout {
  bool channels_first = true;
  int64_t channels = 0;
  int64_t grid_height = 0, grid_width = 0;
  int64_t patch_height = 1, patch_width = 1;
};

struct StepRequest {
  int64_t length = 0;
  int inputs = 0, rows = 0, sums = 0;
  const float* input[kMaxInputs] = {};
  Row row[kMaxRows];
  float* store[kMaxRows] = {};  // null: the row is only summed
  Sum sum[kMaxSums];
  int token_sum = -1;  // which product is also averaged per token
  TokenLayout layout;
  float* token_means = nullptr;
};

// How the elements of a buffer are stored; arithmetic is in float32 always.
enum class Storage : int32_t { kFloat32, kFloat16, kBfloat16 };

SADA_HD constexpr int64_t bytes_of(Storage storage) { return storage == Storage::kFloat32 ? 4 : 2; }

// A step over buffers of any storage: its pointers are to elements of the type beside them, aligned for that type. Sums are of float32
// rows, before a store rounds them to the nearest, ties to even. `token_means` is float32.
struct StoredStep {
  StepRequest request;
  Storage input_type[kMaxInputs] = {};
  Storage store_type[kMaxRows] = {};
};

// A convolution along one axis, with periodic borders and in place. values [blocks, n, stride], response [n] by distance:
// values[i] becomes the sum over k of response[k] * values[(i + k) mod n], in each block and at each place of the stride.
struct Convolution {
  float* values = nullptr;
  const float* response = nullptr;
  int64_t blocks = 0, n = 0, stride = 0;
};

// The CPU's function table, chosen once by what the processor can do.
struct Cpu {
  const char* instruction_set;
  // One pass over the member: rows, stores, sums[0 … request.sums).
  void (*step)(const StoredStep& step, double* sums);
  void (*convolve)(const Convolution& convolution);
};

const Cpu& cpu();

}  // namespace sada
