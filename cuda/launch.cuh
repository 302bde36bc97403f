// Starting a kernel. The emulation of the tests brings its own.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace sada::cuda {

struct Shape {
  int64_t blocks_x = 1, blocks_y = 1;
  dim3 threads = dim3(1);
  size_t shared_bytes = 0;
};

#if defined(__CUDACC__)

template <typename T>
struct Exactly {
  using Type = T;
};

template <typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), const Shape& shape, cudaStream_t stream, const typename Exactly<Parameters>::Type&... arguments) {
  void* addresses[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
  const dim3 grid(static_cast<unsigned>(shape.blocks_x), static_cast<unsigned>(shape.blocks_y));
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, shape.threads, addresses, shape.shared_bytes, stream);
}

#endif

}  // namespace sada::cuda
