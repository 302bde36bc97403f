#include "read.h"

#include <cmath>
#include <limits>

#include "../engine/element_type.h"

namespace sada::bind {
namespace {

constexpr int64_t kMostFloats = int64_t{1} << 40;
constexpr int64_t kMostBytes = int64_t{1} << 50;
constexpr int64_t kMostStepped = int64_t{1} << 31;  // about a second's work: what cannot be cancelled must end soon

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

// Reads a step's numbers one after the other; never past their end.
class ProgramReader {
 public:
  ProgramReader(const double* numbers, int64_t count, const TensorSet& tensors, const std::vector<Floats>& callers, int64_t length)
      : numbers_(numbers), count_(count), tensors_(tensors), callers_(callers), length_(length) {}

  bool at_end() const { return at_ == count_; }
  bool uses_callers() const { return uses_callers_; }

  StoredStep member() {
    StoredStep stored;
    StepRequest& request = stored.request;
    request.length = length_;
    request.inputs = integer("inputs.length", 0, kMaxInputs);
    for (int k = 0; k < request.inputs; ++k) {
      const StoredSlice input = slice("inputs", length_);
      request.input[k] = static_cast<const float*>(input.data), stored.input_type[k] = input.storage;
    }
    request.rows = integer("rows.length", 0, kMaxRows);
    int stores = 0;
    for (int r = 0; r < request.rows; ++r) {
      row(request.row[r], request.inputs);
      if (integer("store", 0, 1) == 0) continue;
      if (++stores > kMaxStores) throw invalid("Expected at most 6 rows with a \"store\", received more.");
      const StoredSlice store = slice("store", length_);
      request.store[r] = static_cast<float*>(store.data), stored.store_type[r] = store.storage;
    }
    request.sums = integer("sums.length", 0, kMaxSums);
    for (int s = 0; s < request.sums; ++s) {
      request.sum[s].a = integer("sums.a", 0, request.rows - 1);
      request.sum[s].b = integer("sums.b", -1, request.rows - 1);
      request.sum[s].is_signed = integer("sums.signed", 0, 1) == 1;
    }
    if (integer("tokens", 0, 1) == 1) tokens(request);
    check_stores(stored);
    return stored;
  }

 private:
  double number(const char* name) {
    if (at_ >= count_) throw invalid(std::string("Expected \"") + name + "\" in the step, but its numbers end.");
    return numbers_[at_++];
  }

  int64_t wide(const char* name, int64_t low, int64_t high) {
    const double value = number(name);
    if (value >= static_cast<double>(low) && value <= static_cast<double>(high) && std::floor(value) == value) return static_cast<int64_t>(value);
    throw invalid(std::string("Expected \"") + name + "\" to be an integer from " + std::to_string(low) + " to " + std::to_string(high) + ", received " + std::to_string(value) + ".");
  }
  int integer(const char* name, int low, int high) { return static_cast<int>(wide(name, low, high)); }

  StoredSlice slice(const char* name, int64_t length) {
    const int64_t tensor = wide(name, -static_cast<int64_t>(callers_.size()), kMostFloats), offset = wide("offset", 0, kMostFloats);
    if (tensor >= 0) return tensors_.stored_slice(tensor, offset, length);
    const Floats& floats = callers_[static_cast<size_t>(-1 - tensor)];
    if (offset > floats.length || length > floats.length - offset) {
      throw invalid(std::string("Expected \"") + name + "\" to hold " + std::to_string(length) + " floats from " + std::to_string(offset) + ", received a Float32Array of length " +
                    std::to_string(floats.length) + ".");
    }
    uses_callers_ = true;
    return {floats.data + offset, Storage::kFloat32};
  }

  // A store is an input's own slice, or apart from all inputs; and apart from the other stores. Else results would depend on the order
  // in which elements are formed.
  void check_stores(const StoredStep& stored) const {
    const StepRequest& request = stored.request;
    const auto bytes = [&](Storage type) { return length_ * bytes_of(type); };
    for (int r = 0; r < request.rows; ++r) {
      const float* store = request.store[r];
      if (store == nullptr) continue;
      const int64_t own = bytes(stored.store_type[r]);
      for (int k = 0; k < request.inputs; ++k) {
        if (store != request.input[k] && overlap(store, own, request.input[k], bytes(stored.input_type[k]))) throw invalid("Expected a \"store\" not to overlap an input in part.");
      }
      for (int other = 0; other < r; ++other) {
        if (request.store[other] != nullptr && overlap(store, own, request.store[other], bytes(stored.store_type[other]))) throw invalid("Expected the stores of a member not to overlap.");
      }
    }
  }

  void row(Row& row, int inputs) {
    row.terms = integer("rows.inputs.length", 0, kMaxInputs);
    for (int k = 0; k < row.terms; ++k) {
      row.input[k] = integer("rows.inputs", 0, inputs - 1);
      row.weight[k] = static_cast<float>(number("rows.weights"));
    }
  }

  void tokens(StepRequest& request) {
    constexpr int64_t most = int64_t{1} << 20;
    TokenLayout& layout = request.layout;
    request.token_sum = integer("tokens.sum", 0, request.sums - 1);
    layout.channels_first = integer("tokens.order", 0, 1) == 1;
    layout.channels = wide("channels", 1, most);
    layout.grid_height = wide("grid", 1, most), layout.grid_width = wide("grid", 1, most);
    layout.patch_height = wide("patch", 1, most), layout.patch_width = wide("patch", 1, most);
    if (!layout.channels_first && (layout.patch_height != 1 || layout.patch_width != 1)) throw invalid("Expected \"patch\" to be [1, 1] where \"order\" is \"tokens\".");
    // Factors of at most 2^20, compared as their product grows, so that it cannot overflow.
    int64_t elements = 1;
    for (int64_t n : {layout.channels, layout.grid_height, layout.grid_width, layout.patch_height, layout.patch_width}) {
      elements *= n;
      if (elements > length_) break;
    }
    if (elements != length_) throw invalid("Expected a token layout of " + std::to_string(length_) + " elements in all, received another number.");
    const StoredSlice means = slice("tokens.store", layout.grid_height * layout.grid_width);
    if (means.storage != Storage::kFloat32) throw invalid("Expected \"tokens.store\" to be of float32.");
    request.token_means = static_cast<float*>(means.data);
  }

  const double* numbers_;
  int64_t count_;
  int64_t at_ = 0;
  const TensorSet& tensors_;
  const std::vector<Floats>& callers_;
  int64_t length_;
  bool uses_callers_ = false;
};

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
  std::string string = value.As<Napi::String>().Utf8Value();
  if (string.find('\0') != std::string::npos) throw invalid(std::string("Expected \"") + name + "\" to hold no NUL character.");
  return string;
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
  const Napi::Array array = read_array(read_object(value, "plan"), "tensors", 1 << 20);
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
  return limits;
}

float* read_slice(const Napi::Value& value, const TensorSet& tensors, int64_t length, const char* name) {
  const Napi::Object object = read_object(value, name);
  return tensors.slice(read_integer(object, "tensor", 0, kMostFloats), read_integer(object, "offset", 0, kMostFloats), length);
}

StepProgram read_step(const Napi::CallbackInfo& info, const TensorSet& tensors) {
  StepProgram step;
  step.length = read_integer(info[0], "length", 0, kMostStepped);
  // Reading an array may run code of the caller's; so nothing's address is taken before.
  std::vector<Napi::Value> values;
  if (info[3].IsArray()) {
    const Napi::Array array = info[3].As<Napi::Array>();
    for (uint32_t k = 0; k < array.Length(); ++k) values.push_back(array.Get(k));
  }
  std::vector<Floats> callers;
  for (const Napi::Value& value : values) callers.push_back(read_floats(value, "tensor"));
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) throw invalid("Expected the step to be a Float64Array.");
  const Napi::Float64Array numbers = info[1].As<Napi::Float64Array>();
  const int64_t count = read_integer(info[2], "count", 0, static_cast<int64_t>(numbers.ElementLength()));
  ProgramReader reader(count == 0 ? nullptr : numbers.Data(), count, tensors, callers, step.length);
  while (!reader.at_end()) {
    step.members.push_back(reader.member());
    if (step.length * static_cast<int64_t>(step.members.size()) > kMostStepped) throw invalid("Expected a step of at most 2^31 elements in all.");
  }
  step.uses_callers = reader.uses_callers();
  return step;
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

std::vector<ExternalTensor> read_weights(const Napi::Object& options) {
  std::vector<ExternalTensor> weights;
  if (options.Get("weights").IsUndefined()) return weights;
  const Napi::Array array = read_array(options, "weights", 1 << 20);
  for (uint32_t k = 0; k < array.Length(); ++k) {
    const Napi::Object object = read_object(array.Get(k), "weights");
    ExternalTensor tensor;
    tensor.name = read_string(object, "name");
    tensor.type = static_cast<int>(read_integer(object, "type", 1, 64));
    tensor.path = read_string(object, "path");
    tensor.descriptor = static_cast<int>(read_integer(object, "descriptor", 0, 1 << 30));
    tensor.offset = read_integer(object, "offset", 0, kMostBytes);
    tensor.bytes = read_integer(object, "bytes", 0, kMostBytes);
    const Napi::Array dims = read_array(object, "dims", 64);
    int64_t elements = 1;
    for (uint32_t d = 0; d < dims.Length(); ++d) {
      const int64_t n = read_integer(dims.Get(d), "dims", 0, kMostBytes);
      if (n > 0 && elements > kMostBytes / n) throw invalid("Expected the product of \"dims\" to be at most 2^50.");
      elements *= n;
      tensor.dims.push_back(n);
    }
    // What is read must fit into the tensor that ONNX Runtime makes.
    if (tensor.bytes != (elements * element_bits(tensor.type) + 7) / 8) throw invalid("Expected \"" + tensor.name + "\" to have as many bytes as its elements.");
    weights.push_back(std::move(tensor));
  }
  return weights;
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
  options.weights = read_weights(object);
  if (!threads.IsUndefined()) options.threads = static_cast<int>(read_integer(threads, "threads", 0, 1024));
  if (!arena.IsUndefined()) options.memory_arena = arena.ToBoolean().Value();
  return options;
}

}  // namespace sada::bind
