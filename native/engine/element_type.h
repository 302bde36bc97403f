// Between the workspace's float32 and a model's own element types.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "../backend.h"
#include "../error.h"
#include "../math/half.h"
#include "onnxruntime_api.h"

namespace sada {

inline const char* element_type_name(int type) {
  switch (type) {
    case ort::kFloat: return "float32";
    case ort::kFloat16: return "float16";
    case ort::kBfloat16: return "bfloat16";
    case ort::kDouble: return "float64";
    case ort::kInt64: return "int64";
    case ort::kInt32: return "int32";
    case ort::kBool: return "bool";
    case ort::kUint8: return "uint8";
    case ort::kInt8: return "int8";
    case ort::kString: return "string";
    default: return "other";
  }
}

inline size_t element_size(int type, const std::string& name) {
  switch (type) {
    case ort::kFloat:
    case ort::kInt32: return 4;
    case ort::kFloat16:
    case ort::kBfloat16: return 2;
    case ort::kDouble:
    case ort::kInt64: return 8;
    case ort::kBool:
    case ort::kUint8:
    case ort::kInt8: return 1;
    default: throw Error("IO_MISMATCH", "\"" + name + "\" has an element type that cannot be converted: " + element_type_name(type) + ".");
  }
}

inline bool is_half(int type) { return type == ort::kFloat16 || type == ort::kBfloat16; }

// How the workspace's kernels read a type: of halves and float32.
inline Storage storage_of(int type) {
  return type == ort::kFloat16 ? Storage::kFloat16 : type == ort::kBfloat16 ? Storage::kBfloat16 : Storage::kFloat32;
}

// Bits of an element as it is stored, by ONNX's number; 0 for types that have no fixed size.
inline int element_bits(int type) {
  constexpr int bits[] = {0, 32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 0, 0, 16, 8, 8, 8, 8, 4, 4, 4};
  return type >= 0 && type < static_cast<int>(sizeof bits / sizeof *bits) ? bits[type] : 0;
}

// To the nearest value towards zero; beyond the type's range its end, NaN: 0.
template <typename T>
T to_integer(float value) {
  // The upper end as a float may lie one above the type's own; so it is excluded.
  if (!(value > static_cast<float>(std::numeric_limits<T>::lowest()))) return value != value ? T{0} : std::numeric_limits<T>::lowest();
  if (value >= static_cast<float>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

// Calls `visit(T{}, from_float, to_float)` with the C++ type and conversions of an element type.
template <typename Visit>
void visit_element(int type, Visit visit) {
  const auto cast = [&](auto zero) {
    using T = decltype(zero);
    visit(
        zero,
        [](float v) {
          if constexpr (std::is_integral_v<T>) return to_integer<T>(v);
          else return static_cast<T>(v);
        },
        [](T v) { return static_cast<float>(v); });
  };
  switch (type) {
    case ort::kFloat16:
      return visit(
          uint16_t{}, [](float v) { return to_float16(v); }, [](uint16_t v) { return from_float16(v); });
    case ort::kBfloat16:
      return visit(
          uint16_t{}, [](float v) { return to_bfloat16(v); }, [](uint16_t v) { return from_bfloat16(v); });
    case ort::kFloat: return cast(float{});
    case ort::kDouble: return cast(double{});
    case ort::kInt64: return cast(int64_t{});
    case ort::kInt32: return cast(int32_t{});
    case ort::kInt8: return cast(int8_t{});
    case ort::kBool:
      return visit(
          uint8_t{}, [](float v) { return static_cast<uint8_t>(v != 0.0f); }, [](uint8_t v) { return v ? 1.0f : 0.0f; });
    default: return cast(uint8_t{});
  }
}

inline void floats_to_elements(int type, const float* floats, void* elements, int64_t count) {
  visit_element(type, [&](auto zero, auto from_float, auto) {
    auto* out = static_cast<decltype(zero)*>(elements);
    for (int64_t k = 0; k < count; ++k) out[k] = from_float(floats[k]);
  });
}

inline void elements_to_floats(int type, const void* elements, float* floats, int64_t count) {
  visit_element(type, [&](auto zero, auto, auto to_float) {
    const auto* in = static_cast<const decltype(zero)*>(elements);
    for (int64_t k = 0; k < count; ++k) floats[k] = to_float(in[k]);
  });
}

}  // namespace sada
