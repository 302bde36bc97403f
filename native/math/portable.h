// What lets one body compile under a host compiler and under nvcc.
#pragma once

#if defined(__CUDACC__)
#define SADA_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
// always_inline: a copy compiled for a newer processor must never be the one the linker keeps for every caller.
#define SADA_HD inline __attribute__((always_inline))
#else
#define SADA_HD inline
#endif

// A loop whose pointers and weights shall have the registers to themselves.
#if defined(__GNUC__)
#define SADA_NOINLINE __attribute__((noinline))
#else
#define SADA_NOINLINE
#endif

namespace sada {

constexpr int kMaxInputs = 8;  // buffers one step may read
constexpr int kMaxRows = 8;  // weighted sums it may form
constexpr int kMaxStores = 6;  // of which it may write
constexpr int kMaxSums = 6;  // reductions it may make

}  // namespace sada
