// Starting a kernel, and what orders what its threads do after what others did. The emulation of the tests brings its own.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace sada::cuda {

struct Shape {
  int64_t blocks_x = 1, blocks_y = 1;
  dim3 threads = dim3(1);
  size_t shared_bytes = 0;
  // Blocks may be placed while the work before on the stream ends: then the kernel must wait_for_earlier_work(). From compute
  // capability 9.0 on.
  bool is_early = false;
};

#if defined(__CUDACC__)

template <typename T>
struct Exactly {
  using Type = T;
};

template <typename... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), const Shape& shape, cudaStream_t stream,
                   const typename Exactly<Parameters>::Type&... arguments) {
  void* addresses[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks_x), static_cast<unsigned>(shape.blocks_y)), config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared_bytes, config.stream = stream;
  config.attrs = &early, config.numAttrs = shape.is_early ? 1 : 0;
  return cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), addresses);
}

// Before the first access to memory that other work on the stream writes or reads. Then the next kernel's blocks may be placed, too.
__device__ __forceinline__ void wait_for_earlier_work() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

// Has a part of the kernel's parameters, which nothing else wrote, in the cache before the kernel waits: they come from memory as all else
// does, 64 bytes at a time, and would be waited for one after another where they are used. What is read is looked at so that it stays in
// the program.
template <typename T>
__device__ __forceinline__ void read_ahead(const T& parameters) {
  uint32_t words = 0;
#pragma unroll
  for (int at = 0; at < static_cast<int>(sizeof(T)); at += 64)
    words ^= *reinterpret_cast<const uint32_t*>(reinterpret_cast<const char*>(&parameters) + at);
  asm volatile("{ .reg .pred p; setp.eq.u32 p, %0, 0xffffffff; @p nanosleep.u32 1; }" ::"r"(words));
}

// Counts a caller in and returns how many came before. What those wrote until then is seen by this one.
__device__ __forceinline__ uint32_t count_in(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
  return before;
}

#endif

}  // namespace sada::cuda
