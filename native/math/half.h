// float32 <-> float16 and bfloat16, IEEE round-to-nearest-even; NaN stays NaN, with its sign.
#pragma once

#include <cstdint>
#include <cstring>

#include "portable.h"

namespace sada {

SADA_HD uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

SADA_HD float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

SADA_HD uint16_t to_bfloat16(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

SADA_HD float from_bfloat16(uint16_t half) { return float_of(static_cast<uint32_t>(half) << 16); }

SADA_HD uint16_t to_float16(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 aligns the mantissa so that the float unit does the rounding.
    const uint32_t aligned = bits_of(float_of(magnitude) + 0.5f);
    return static_cast<uint16_t>(sign | (aligned - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

SADA_HD float from_float16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 31) return float_of(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return float_of(sign | bits_of(magnitude));
  }
  return float_of(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

// Whole buffers: `brain` where the halves are bfloat16, else float16.
SADA_HD void widen(const uint16_t* halves, bool brain, int64_t count, float* floats) {
  if (brain) {
    for (int64_t k = 0; k < count; ++k) floats[k] = from_bfloat16(halves[k]);
  } else {
    for (int64_t k = 0; k < count; ++k) floats[k] = from_float16(halves[k]);
  }
}

SADA_HD void narrow(const float* floats, bool brain, int64_t count, uint16_t* halves) {
  if (brain) {
    for (int64_t k = 0; k < count; ++k) halves[k] = to_bfloat16(floats[k]);
  } else {
    for (int64_t k = 0; k < count; ++k) halves[k] = to_float16(floats[k]);
  }
}

}  // namespace sada
