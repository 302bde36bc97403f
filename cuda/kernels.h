// The launchers. Each puts its work on the stream and returns; none allocates or waits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../native/device.h"

namespace sada::cuda {

// Memory of the steps of one stream, for members of up to `length` elements, `token_length` where tokens have means.
struct StepScratch {
  DeviceLimits limits;
  double* partials = nullptr;  // [members][kMaxSums][step_partials(length)]
  uint32_t* tickets = nullptr;  // [members][step_tickets(length)], zero between steps
  float* terms = nullptr;  // [members][step_terms(token_length)]
  bool has_early_starts = false;
};

// The architecture that the kernels of the current GPU were compiled for, 90 for 9.0, whatever the GPU then made of it. Fails where the
// library has no code for it.
cudaError_t kernel_architecture(int* architecture);
cudaError_t step(const DeviceStep* members, int count, double* sums, const StepScratch& scratch, cudaStream_t stream);

// The step of one member of up to `length` elements that device memory holds; of none where it has no tiles. Without token means.
struct StepMember;
cudaError_t step_in_memory(const StepMember* member, int64_t length, cudaStream_t stream);

// A product's terms of one member, averaged per token in the order of native/cpu/token_means.h.
struct TokenMeans {
  TokenLayout layout;
  const float* terms;  // [elements of the layout]
  float* means;  // [grid_height * grid_width]
};
cudaError_t token_means(const TokenMeans* members, int count, bool is_early, cudaStream_t stream);

// Indices in device memory.
cudaError_t gather(const DeviceMove& move, cudaStream_t stream);
cudaError_t scatter(const DeviceMove& move, cudaStream_t stream);

cudaError_t select(const DeviceSelection* members, int count, cudaStream_t stream);

cudaError_t convert(void* to, Storage to_type, const void* from, Storage from_type, int64_t length, cudaStream_t stream);

}  // namespace sada::cuda
