#include "read.h"

#include <cmath>
#include <limits>

namespace sada::bind {
namespace {

std::string show(const Napi::Value& value) {
  if (value.IsNumber()) return value.ToString().Utf8Value();
  if (value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsString()) return "a string";
  return value.IsObject() ? "an object" : "something else";
}

}  // namespace

Napi::Object read_object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) throw invalid(std::string("Expected \"") + name + "\" to be an object, received " + show(value) + ".");
  return value.As<Napi::Object>();
}

Napi::Array read_array(const Napi::Value& value, const char* name, uint32_t low, uint32_t high) {
  if (!value.IsArray()) throw invalid(std::string("Expected \"") + name + "\" to be an array, received " + show(value) + ".");
  const Napi::Array array = value.As<Napi::Array>();
  if (array.Length() < low || array.Length() > high) {
    throw invalid(std::string("Expected \"") + name + "\" to have " + std::to_string(low) + " to " + std::to_string(high) +
                  " entries, received " + std::to_string(array.Length()) + ".");
  }
  return array;
}

int64_t read_integer(const Napi::Value& value, const char* name, int64_t low, int64_t high) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::numeric_limits<double>::quiet_NaN();
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) || std::floor(number) != number) {
    throw invalid(std::string("Expected \"") + name + "\" to be an integer from " + std::to_string(low) + " to " + std::to_string(high) +
                  ", received " + show(value) + ".");
  }
  return static_cast<int64_t>(number);
}

int64_t read_integer(const Napi::Object& object, const char* name, int64_t low, int64_t high) {
  return read_integer(object.Get(name), name, low, high);
}

std::string read_string(const Napi::Object& object, const char* name) { return read_string(object.Get(name), name); }

std::string read_string(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw invalid(std::string("Expected \"") + name + "\" to be a string, received " + show(value) + ".");
  std::string string = value.As<Napi::String>().Utf8Value();
  if (string.find('\0') != std::string::npos) throw invalid(std::string("Expected \"") + name + "\" to hold no NUL character.");
  return string;
}

std::vector<uint8_t> read_bytes(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return {};
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw invalid(std::string("Expected \"") + name + "\" to be a Uint8Array.");
  const Napi::Uint8Array array = value.As<Napi::Uint8Array>();
  return std::vector<uint8_t>(array.Data(), array.Data() + array.ElementLength());
}

Floats read_floats(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    throw invalid(std::string("Expected \"") + name + "\" to be a Float32Array, received " + show(value) + ".");
  }
  Napi::Float32Array array = value.As<Napi::Float32Array>();
  const int64_t length = static_cast<int64_t>(array.ElementLength());
  return {length == 0 ? nullptr : array.Data(), length};
}

Storage read_storage(const Napi::Value& value) {
  const std::string name = value.IsUndefined() ? "float32" : value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (name == "float32") return Storage::kFloat32;
  if (name == "float16") return Storage::kFloat16;
  if (name == "bfloat16") return Storage::kBfloat16;
  throw invalid("Expected \"storage\" to be \"float32\", \"float16\" or \"bfloat16\", received " + show(value) + ".");
}

std::vector<TensorShape> read_shapes(const Napi::Value& value) {
  const Napi::Array array = read_array(read_object(value, "plan").Get("tensors"), "tensors", 0, 1 << 20);
  std::vector<TensorShape> shapes;
  for (uint32_t k = 0; k < array.Length(); ++k) {
    const Napi::Object shape = read_object(array.Get(k), "tensors");
    shapes.push_back({read_integer(shape, "length", 0, kMostFloats), read_storage(shape.Get("storage"))});
  }
  return shapes;
}

DeviceLimits read_limits(const Napi::Value& value) {
  const Napi::Object object = read_object(value, "calls");
  DeviceLimits limits;
  limits.length = read_integer(object, "length", 0, kMostFloats);
  limits.members = static_cast<int32_t>(read_integer(object, "members", 0, int64_t{1} << 30));
  limits.token_length = read_integer(object, "tokenLength", 0, kMostFloats);
  limits.host_indices = read_integer(object, "indices", 0, kMostFloats);
  if (limits.members > 0 && limits.host_indices > kMostFloats / limits.members)
    throw invalid("Expected members x indices to be at most 2^40.");
  return limits;
}

float* read_slice(const Napi::Value& value, const TensorSet& tensors, int64_t length, const char* name) {
  const Napi::Object object = read_object(value, name);
  return tensors.slice(read_integer(object, "tensor", 0, kMostFloats), read_integer(object, "offset", 0, kMostFloats), length);
}

std::vector<int> read_integers(const Napi::Value& value, const char* name, int64_t low, int64_t high) {
  std::vector<int> integers;
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array) {
    const Napi::Int32Array array = value.As<Napi::Int32Array>();
    for (size_t k = 0; k < array.ElementLength(); ++k) integers.push_back(array[k]);
  } else if (value.IsArray()) {
    const Napi::Array array = value.As<Napi::Array>();
    for (uint32_t k = 0; k < array.Length(); ++k) integers.push_back(static_cast<int>(read_integer(array.Get(k), name, low, high)));
  } else {
    throw invalid(std::string("Expected \"") + name + "\" to be an Int32Array or an array of integers, received " + show(value) + ".");
  }
  for (int each : integers) {
    if (each < low || each > high) {
      throw invalid(std::string("Expected \"") + name + "\" to hold integers from " + std::to_string(low) + " to " + std::to_string(high) +
                    ", received " + std::to_string(each) + ".");
    }
  }
  return integers;
}

std::vector<sada::Binding> read_bindings(const Napi::Value& value, const TensorSet& tensors, const char* name) {
  const Napi::Array array = read_array(read_object(value, name).Get(name), name, 0, 1024);
  std::vector<sada::Binding> bindings;
  for (uint32_t k = 0; k < array.Length(); ++k) {
    const Napi::Object object = read_object(array.Get(k), name);
    sada::Binding binding;
    binding.name = read_string(object, "name");
    const Napi::Array dims = read_array(object.Get("dims"), "dims", 0, 16);
    int64_t length = 1;
    for (uint32_t d = 0; d < dims.Length(); ++d) {
      const int64_t n = read_integer(dims.Get(d), "dims", 0, kMostFloats);
      if (n > 0 && length > kMostFloats / n) throw invalid("Expected the product of \"dims\" to be at most 2^40.");
      length *= n;
      binding.dims.push_back(n);
    }
    binding.data = tensors.slice(read_integer(object, "tensor", 0, kMostFloats), read_integer(object, "offset", 0, kMostFloats), length);
    bindings.push_back(std::move(binding));
  }
  return bindings;
}

}  // namespace sada::bind
