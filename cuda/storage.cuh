// Four consecutive elements of a buffer at a time, stored as float32, float16 or bfloat16.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../native/device.h"
#include "../native/math/half.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace sada::cuda {

// Elements as they are stored: float32, one in a word; else two in each of the first two words, the lower half first.
struct Quad {
  uint32_t word[4];
};

// How many elements a thread may touch, and whether its four may be moved as one.
struct Extent {
  int64_t left;  // from its first element on
  bool vector;  // at least four, and aligned to four
};

SADA_HD bool is_quad_aligned(const void* buffer, Storage type) {
  return reinterpret_cast<uintptr_t>(buffer) % static_cast<uintptr_t>(4 * bytes_of(type)) == 0;
}

__device__ __forceinline__ Quad load_quad(const void* buffer, Storage type, int64_t at, Extent extent) {
  Quad quad = {{0, 0, 0, 0}};
  if (type == Storage::kFloat32) {
    const uint32_t* from = static_cast<const uint32_t*>(buffer) + at;
    if (extent.vector) {
      const uint4 words = *reinterpret_cast<const uint4*>(from);
      quad = {{words.x, words.y, words.z, words.w}};
    } else {
      for (int e = 0; e < 4; ++e) {
        if (e < extent.left) quad.word[e] = from[e];
      }
    }
    return quad;
  }
  const uint16_t* from = static_cast<const uint16_t*>(buffer) + at;
  if (extent.vector) {
    const uint2 words = *reinterpret_cast<const uint2*>(from);
    quad.word[0] = words.x, quad.word[1] = words.y;
  } else {
    for (int e = 0; e < 4; ++e) {
      if (e < extent.left) quad.word[e / 2] |= static_cast<uint32_t>(from[e]) << (e % 2 * 16);
    }
  }
  return quad;
}

__device__ __forceinline__ void store_quad(void* buffer, Storage type, int64_t at, const Quad& quad, Extent extent) {
  if (type == Storage::kFloat32) {
    uint32_t* to = static_cast<uint32_t*>(buffer) + at;
    if (extent.vector) {
      *reinterpret_cast<uint4*>(to) = make_uint4(quad.word[0], quad.word[1], quad.word[2], quad.word[3]);
    } else {
      for (int e = 0; e < 4; ++e) {
        if (e < extent.left) to[e] = quad.word[e];
      }
    }
    return;
  }
  uint16_t* to = static_cast<uint16_t*>(buffer) + at;
  if (extent.vector) {
    *reinterpret_cast<uint2*>(to) = make_uint2(quad.word[0], quad.word[1]);
  } else {
    for (int e = 0; e < 4; ++e) {
      if (e < extent.left) to[e] = static_cast<uint16_t>(quad.word[e / 2] >> (e % 2 * 16));
    }
  }
}

__device__ __forceinline__ float from_half(uint32_t half, Storage type) {
  const uint16_t bits = static_cast<uint16_t>(half);
  return type == Storage::kFloat16 ? from_float16(bits) : from_bfloat16(bits);
}

__device__ __forceinline__ uint32_t to_half(float value, Storage type) {
  return type == Storage::kFloat16 ? to_float16(value) : to_bfloat16(value);
}

#if defined(__CUDACC__)

// Four at a time in an instruction each, where math/half.h takes ten. All that hardware does otherwise is a NaN's bits: those go the long
// way.
__device__ __forceinline__ bool has_infinity_or_nan(const Quad& halves) {
  // The exponents of infinity and NaN carry into the sign's place.
  const auto carry = [](uint32_t two) { return (two & 0x7c007c00u) + 0x04000400u; };
  return ((carry(halves.word[0]) | carry(halves.word[1])) & 0x80008000u) != 0;
}

__device__ __forceinline__ bool has_nan(float4 v) { return v.x != v.x || v.y != v.y || v.z != v.z || v.w != v.w; }

__device__ __forceinline__ float4 from_float16_fast(const Quad& quad) {
  const auto low = [](uint32_t two) { return __half2float(__ushort_as_half(static_cast<unsigned short>(two & 0xffffu))); };
  const auto high = [](uint32_t two) { return __half2float(__ushort_as_half(static_cast<unsigned short>(two >> 16))); };
  return make_float4(low(quad.word[0]), high(quad.word[0]), low(quad.word[1]), high(quad.word[1]));
}

__device__ __forceinline__ Quad to_float16_fast(float4 v) {
  const auto two = [](float low, float high) {
    const __half2 both = __floats2half2_rn(low, high);
    return static_cast<uint32_t>(__half_as_ushort(both.x)) | static_cast<uint32_t>(__half_as_ushort(both.y)) << 16;
  };
  return {{two(v.x, v.y), two(v.z, v.w), 0, 0}};
}

// Of no NaN but arithmetic's.
__device__ __forceinline__ Quad to_bfloat16_fast(float4 v) {
  const auto two = [](float low, float high) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
    return static_cast<uint32_t>(__bfloat16_as_ushort(both.x)) | static_cast<uint32_t>(__bfloat16_as_ushort(both.y)) << 16;
  };
  return {{two(v.x, v.y), two(v.z, v.w), 0, 0}};
}

#endif

__device__ __forceinline__ float4 to_floats(const Quad& quad, Storage type) {
#if defined(__CUDACC__)
  if (type == Storage::kFloat16 && !has_infinity_or_nan(quad)) return from_float16_fast(quad);
#endif
  if (type == Storage::kFloat32)
    return make_float4(float_of(quad.word[0]), float_of(quad.word[1]), float_of(quad.word[2]), float_of(quad.word[3]));
  return make_float4(from_half(quad.word[0] & 0xffffu, type), from_half(quad.word[0] >> 16, type), from_half(quad.word[1] & 0xffffu, type),
                     from_half(quad.word[1] >> 16, type));
}

__device__ __forceinline__ Quad to_quad(float4 values, Storage type) {
#if defined(__CUDACC__)
  if (type == Storage::kFloat16 && !has_nan(values)) return to_float16_fast(values);
#endif
  if (type == Storage::kFloat32) return {{bits_of(values.x), bits_of(values.y), bits_of(values.z), bits_of(values.w)}};
  return {{to_half(values.x, type) | to_half(values.y, type) << 16, to_half(values.z, type) | to_half(values.w, type) << 16, 0, 0}};
}

// The same for what arithmetic takes and what it made: that has one NaN, which hardware converts as math/half.h does.
__device__ __forceinline__ float4 to_terms(const Quad& quad, Storage type) {
#if defined(__CUDACC__)
  if (type == Storage::kFloat16) return from_float16_fast(quad);
#endif
  return to_floats(quad, type);
}

__device__ __forceinline__ Quad of_terms(float4 values, Storage type) {
#if defined(__CUDACC__)
  if (type == Storage::kFloat16) return to_float16_fast(values);
  if (type == Storage::kBfloat16) return to_bfloat16_fast(values);
#endif
  return to_quad(values, type);
}

// The same elements in another type; the same bits where it is the same.
__device__ __forceinline__ Quad converted(const Quad& quad, Storage from, Storage to) {
  return from == to ? quad : to_quad(to_floats(quad, from), to);
}

}  // namespace sada::cuda
