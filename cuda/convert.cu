// One element type to another, rounded to the nearest, ties to even.
#include "kernels.h"
#include "launch.cuh"
#include "storage.cuh"

namespace sada::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = int64_t{1} << 30;

struct Conversion {
  void* to;
  const void* from;
  int64_t length;
  Storage to_type, from_type;
  bool quads_to, quads_from;
};

__global__ void __launch_bounds__(kThreads) convert_kernel(const Conversion __grid_constant__ c) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads * 4;
  for (int64_t at = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * 4; at < c.length; at += stride) {
    const int64_t left = c.length - at;
    const Quad quad = load_quad(c.from, c.from_type, at, {left, left >= 4 && c.quads_from});
    store_quad(c.to, c.to_type, at, converted(quad, c.from_type, c.to_type), {left, left >= 4 && c.quads_to});
  }
}

}  // namespace

cudaError_t convert(void* to, Storage to_type, const void* from, Storage from_type, int64_t length, cudaStream_t stream) {
  if (length < 0) return cudaErrorInvalidValue;
  if (length == 0) return cudaSuccess;
  const int64_t blocks = (length + 4 * kThreads - 1) / (4 * kThreads);
  Shape shape;
  shape.threads = dim3(kThreads), shape.blocks_x = blocks < kMostBlocks ? blocks : kMostBlocks;
  return launch(convert_kernel, shape, stream,
                Conversion{to, from, length, to_type, from_type, is_quad_aligned(to, to_type), is_quad_aligned(from, from_type)});
}

}  // namespace sada::cuda
