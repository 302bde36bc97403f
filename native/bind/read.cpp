#include "read.h"

#include <cmath>
#include <limits>

namespace sada::bind {
namespace {

constexpr int64_t kMostFloats = int64_t{1} << 40;

std::string show(const Napi::Value& value) {
  if (value.IsNumber()) return value.ToString().Utf8Value();
  if (value.IsUndefined()) return "undefined";
  if (value.IsNull()) return "null";
  if (value.IsString()) return "a string";
  return value.IsObject() ? "an object" : "something else";
}

Napi::Object read_object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) throw invalid(std::string("Expected \"") + name + "\" to be an object, received " + show(value) + ".");
  return value.As<Napi::Object>();
}

Napi::Array read_array(const Napi::Object& object, const char* name, uint32_t most) {
  const Napi::Value value = object.Get(name);
  if (!value.IsArray()) throw invalid(std::string("Expected \"") + name + "\" to be an array, received " + show(value) + ".");
  const Napi::Array array = value.As<Napi::Array>();
  if (array.Length() > most) {
    throw invalid(std::string("Expected \"") + name + "\" to have at most " + std::to_string(most) + " entries, received " + std::to_string(array.Length()) + ".");
  }
  return array;
}

double read_number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw invalid(std::string("Expected \"") + name + "\" to be a number, received " + show(value) + ".");
  return value.As<Napi::Number>().DoubleValue();
}

Row read_row(const Napi::Object& object, int inputs) {
  const Napi::Array indices = read_array(object, "inputs", kMaxInputs), weights = read_array(object, "weights", kMaxInputs);
  if (indices.Length() != weights.Length()) throw invalid("Expected a row to have as many weights as inputs.");
  Row row;
  row.terms = static_cast<int>(indices.Length());
  for (int k = 0; k < row.terms; ++k) {
    row.input[k] = static_cast<int>(read_integer(indices.Get(k), "row.inputs", 0, inputs - 1));
    row.weight[k] = static_cast<float>(read_number(weights.Get(k), "row.weights"));
  }
  return row;
}

TokenLayout read_layout(const Napi::Object& object, int64_t length) {
  TokenLayout layout;
  const std::string order = read_string(object, "order");
  if (order != "channels-first" && order != "tokens") throw invalid("Expected \"order\" to be \"channels-first\" or \"tokens\", received \"" + order + "\".");
  layout.channels_first = order == "channels-first";
  const Napi::Array grid = read_array(object, "grid", 2), patch = read_array(object, "patch", 2);
  constexpr int64_t most = int64_t{1} << 20;
  layout.channels = read_integer(object, "channels", 1, most);
  layout.grid_height = read_integer(grid.Get(0u), "grid", 1, most);
  layout.grid_width = read_integer(grid.Get(1u), "grid", 1, most);
  layout.patch_height = read_integer(patch.Get(0u), "patch", 1, most);
  layout.patch_width = read_integer(patch.Get(1u), "patch", 1, most);
  if (!layout.channels_first && (layout.patch_height != 1 || layout.patch_width != 1)) throw invalid("Expected \"patch\" to be [1, 1] where \"order\" is \"tokens\".");
  // Five factors of at most 2^20 each: compared as they grow, so that the product cannot overflow.
  int64_t elements = 1;
  for (int64_t n : {layout.channels, layout.grid_height, layout.grid_width, layout.patch_height, layout.patch_width}) {
    elements *= n;
    if (elements > length) break;
  }
  if (elements != length) throw invalid("Expected a token layout of " + std::to_string(length) + " elements in all, received another number.");
  return layout;
}

}  // namespace

int64_t read_integer(const Napi::Value& value, const char* name, int64_t low, int64_t high) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::numeric_limits<double>::quiet_NaN();
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) || std::floor(number) != number) {
    throw invalid(std::string("Expected \"") + name + "\" to be an integer from " + std::to_string(low) + " to " + std::to_string(high) + ", received " + show(value) + ".");
  }
  return static_cast<int64_t>(number);
}

int64_t read_integer(const Napi::Object& object, const char* name, int64_t low, int64_t high) { return read_integer(object.Get(name), name, low, high); }

std::string read_string(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (!value.IsString()) throw invalid(std::string("Expected \"") + name + "\" to be a string, received " + show(value) + ".");
  return value.As<Napi::String>().Utf8Value();
}

Floats read_floats(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    throw invalid(std::string("Expected \"") + name + "\" to be a Float32Array, received " + show(value) + ".");
  }
  Napi::Float32Array array = value.As<Napi::Float32Array>();
  const int64_t length = static_cast<int64_t>(array.ElementLength());
  return {length == 0 ? nullptr : array.Data(), length};
}

float* read_slice(const Napi::Value& value, const TensorSet& tensors, int64_t length, const char* name, bool* callers) {
  const Napi::Object object = read_object(value, name);
  const int64_t offset = read_integer(object, "offset", 0, kMostFloats);
  const Napi::Value tensor = object.Get("tensor");
  if (callers == nullptr || tensor.IsNumber()) return tensors.slice(read_integer(tensor, "tensor", 0, kMostFloats), offset, length);
  const Floats floats = read_floats(tensor, name);
  if (offset > floats.length || length > floats.length - offset) {
    throw invalid(std::string("Expected \"") + name + "\" to hold " + std::to_string(length) + " floats from " + std::to_string(offset) + ", received " +
                  std::to_string(floats.length) + " in all.");
  }
  *callers = true;
  return floats.data + offset;
}

StepRequest read_member(const Napi::Value& value, const TensorSet& tensors, int64_t length, bool* callers) {
  const Napi::Object member = read_object(value, "member");
  StepRequest request;
  request.length = length;
  const Napi::Array inputs = read_array(member, "inputs", kMaxInputs), rows = read_array(member, "rows", kMaxRows), sums = read_array(member, "sums", kMaxSums);
  request.inputs = static_cast<int>(inputs.Length());
  request.rows = static_cast<int>(rows.Length());
  request.sums = static_cast<int>(sums.Length());
  for (int k = 0; k < request.inputs; ++k) request.input[k] = read_slice(inputs.Get(k), tensors, length, "inputs", callers);
  int stores = 0;
  for (int r = 0; r < request.rows; ++r) {
    const Napi::Object row = read_object(rows.Get(r), "rows");
    request.row[r] = read_row(row, request.inputs);
    const Napi::Value store = row.Get("store");
    if (store.IsUndefined()) continue;
    if (++stores > kMaxStores) throw invalid("Expected at most 4 rows with a \"store\".");
    request.store[r] = read_slice(store, tensors, length, "store", callers);
  }
  for (int s = 0; s < request.sums; ++s) {
    const Napi::Object sum = read_object(sums.Get(s), "sums");
    request.sum[s].a = static_cast<int>(read_integer(sum, "a", 0, request.rows - 1));
    const Napi::Value b = sum.Get("b");
    request.sum[s].b = b.IsUndefined() ? -1 : static_cast<int>(read_integer(b, "b", 0, request.rows - 1));
    request.sum[s].is_signed = sum.Get("signed").ToBoolean().Value();
  }
  const Napi::Value tokens = member.Get("tokens");
  if (tokens.IsUndefined()) return request;
  const Napi::Object scored = read_object(tokens, "tokens");
  request.token_sum = static_cast<int>(read_integer(scored, "sum", 0, request.sums - 1));
  request.layout = read_layout(read_object(scored.Get("layout"), "layout"), length);
  request.token_means = read_slice(scored.Get("store"), tensors, request.layout.grid_height * request.layout.grid_width, "tokens.store", callers);
  return request;
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
      throw invalid(std::string("Expected \"") + name + "\" to hold integers from " + std::to_string(low) + " to " + std::to_string(high) + ", received " + std::to_string(each) + ".");
    }
  }
  return integers;
}

std::vector<sada::Binding> read_bindings(const Napi::Value& value, const TensorSet& tensors, const char* name) {
  const Napi::Object holder = read_object(value, name);
  const Napi::Array array = read_array(holder, name, 1024);
  std::vector<sada::Binding> bindings;
  for (uint32_t k = 0; k < array.Length(); ++k) {
    const Napi::Object object = read_object(array.Get(k), name);
    sada::Binding binding;
    binding.name = read_string(object, "name");
    const Napi::Array dims = read_array(object, "dims", 16);
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

SessionOptions read_session_options(const Napi::Value& value) {
  const Napi::Object object = read_object(value, "options");
  SessionOptions options;
  const Napi::Value bytes = object.Get("bytes"), threads = object.Get("threads"), arena = object.Get("memoryArena");
  if (bytes.IsUndefined()) {
    options.path = read_string(object, "path");
    if (options.path.empty()) throw invalid("Expected \"path\" to be the path of a model file, received an empty string.");
  } else {
    if (!bytes.IsTypedArray() || bytes.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) throw invalid("Expected \"bytes\" to be a Uint8Array.");
    const Napi::Uint8Array array = bytes.As<Napi::Uint8Array>();
    if (array.ElementLength() == 0) throw Error("MODEL_CORRUPT", "The model is empty: 0 bytes.");
    options.bytes.assign(array.Data(), array.Data() + array.ElementLength());
  }
  if (!threads.IsUndefined()) options.threads = static_cast<int>(read_integer(threads, "threads", 0, 1024));
  if (!arena.IsUndefined()) options.memory_arena = arena.ToBoolean().Value();
  return options;
}

}  // namespace sada::bind
