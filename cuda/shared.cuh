// A block's shared memory. In the emulation of the tests every access is checked; here it is an array.
#pragma once

#include <cuda_runtime.h>

namespace sada::cuda {

#if defined(__CUDACC__)

template <typename T>
class Shared {
 public:
  __device__ explicit Shared(T* first) : first_(first) {}
  __device__ T& operator[](int at) const { return first_[at]; }
  // Adds to an integer, whoever else does.
  __device__ void add(int at, T value) const { atomicAdd(first_ + at, value); }

 private:
  T* first_;
};

// The block's dynamic shared memory from `offset` bytes on.
template <typename T>
__device__ Shared<T> shared_memory(int offset = 0) {
  extern __shared__ float4 block_memory[];
  return Shared<T>(reinterpret_cast<T*>(reinterpret_cast<char*>(block_memory) + offset));
}

#endif

}  // namespace sada::cuda
