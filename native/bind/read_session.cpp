// What a session is loaded from.
#include "../engine/element_type.h"
#include "read.h"

namespace sada::bind {
namespace {

constexpr int64_t kMostBytes = int64_t{1} << 50;

ExternalTensor read_weight(const Napi::Object& object) {
  ExternalTensor tensor;
  tensor.name = read_string(object, "name");
  tensor.type = static_cast<int>(read_integer(object, "type", 1, 64));
  tensor.path = read_string(object, "path");
  tensor.descriptor = static_cast<int>(read_integer(object, "descriptor", 0, 1 << 30));
  tensor.offset = read_integer(object, "offset", 0, kMostBytes);
  tensor.bytes = read_integer(object, "bytes", 0, kMostBytes);
  const Napi::Array dims = read_array(object.Get("dims"), "dims", 0, 64);
  int64_t elements = 1;
  for (uint32_t d = 0; d < dims.Length(); ++d) {
    const int64_t n = read_integer(dims.Get(d), "dims", 0, kMostBytes);
    if (n > 0 && elements > kMostBytes / n) throw invalid("Expected the product of \"dims\" to be at most 2^50.");
    elements *= n;
    tensor.dims.push_back(n);
  }
  // What is read must fit into the tensor that ONNX Runtime makes of it.
  if (tensor.bytes != (elements * element_bits(tensor.type) + 7) / 8)
    throw invalid("Expected \"" + tensor.name + "\" to have as many bytes as its elements.");
  return tensor;
}

std::vector<ExternalTensor> read_weights(const Napi::Object& options) {
  std::vector<ExternalTensor> weights;
  if (options.Get("weights").IsUndefined()) return weights;
  const Napi::Array array = read_array(options.Get("weights"), "weights", 0, 1 << 20);
  for (uint32_t k = 0; k < array.Length(); ++k) weights.push_back(read_weight(read_object(array.Get(k), "weights")));
  return weights;
}

}  // namespace

SessionOptions read_session_options(const Napi::Value& value) {
  const Napi::Object object = read_object(value, "options");
  SessionOptions options;
  const Napi::Value bytes = object.Get("bytes"), threads = object.Get("threads"), arena = object.Get("memoryArena"),
                    convolves = object.Get("convolves");
  if (bytes.IsUndefined()) {
    options.path = read_string(object, "path");
    if (options.path.empty()) throw invalid("Expected \"path\" to be the path of a model file, received an empty string.");
  } else {
    options.bytes = read_bytes(object, "bytes");
    if (options.bytes.empty()) throw Error("MODEL_CORRUPT", "The model is empty: 0 bytes.");
    // A model can have gigabytes, and is about to take as many again. Memory that cannot be detached waits for the garbage collector.
    if (object.Get("detach").ToBoolean().Value()) napi_detach_arraybuffer(object.Env(), bytes.As<Napi::Uint8Array>().ArrayBuffer());
  }
  options.runtime_cache = read_bytes(object, "runtimeCache");
  options.weights = read_weights(object);
  const Napi::Value folded = object.Get("mostFolded");
  if (!folded.IsUndefined()) options.most_folded = read_integer(folded, "mostFolded", 1, kMostBytes);
  if (!threads.IsUndefined()) options.threads = static_cast<int>(read_integer(threads, "threads", 0, 1024));
  if (!convolves.IsUndefined()) options.convolves = convolves.ToBoolean().Value();
  if (!arena.IsUndefined()) options.memory_arena = arena.ToBoolean().Value();
  return options;
}

}  // namespace sada::bind
