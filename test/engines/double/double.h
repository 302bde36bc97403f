// A double of TensorRT's runtime, for tests without a GPU: the library's own interfaces, from its public headers, over engines that ONNX
// Runtime computes on the processor when the (emulated) stream gets there. It refuses what the real one refuses: sizes outside of the
// profile, addresses that are missing or no multiples of 256, too small an arena, a recording of the first run after sizes changed, in
// which the real one may allocate, and a launch of what was recorded before its context had another size. The environment asks for faults:
//   SADA_DOUBLE_FAIL=call[:n]      the n-th (1) such call from here on fails: createInferRuntime, deserialize, createRuntimeConfig,
//                                  setSpecialization, createRuntimeCache, setRuntimeCache, readRuntimeCache, writeRuntimeCache,
//                                  createContext, setProfile, setInputShape, setInputAddress, setOutputAddress, enqueue; execute fails on
//                                  the stream
//   SADA_DOUBLE_SAYS=words         what it says then
//   SADA_DOUBLE_COMPILED=path      TensorRT for RTX adds a line to this file for all kernels of a size that it compiles
//   SADA_DOUBLE_VERSION=n          its version (110100); below 20000 it is TensorRT for RTX, of which kernels that are not compiled first
//   are
//                                  fallbacks in the first three runs of a size: their bits are others
//   SADA_DOUBLE_ONNXRUNTIME=path   of ONNX Runtime's library
//   SADA_DOUBLE_GPU=path           of the emulated GPU's library, whose streams it works on
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../../../native/engine/engine.h"
#include "unused.h"

namespace tensorrt_double {

// A dimension: a number, -1 where it changes, or (of an output) that of an input.
struct Size {
  int64_t value = -1;
  std::string input;
  int axis = 0;
};

struct Tensor {
  std::string name, type;
  bool is_input = false;
  std::vector<Size> sizes;
};

struct Range {
  std::vector<int64_t> smallest, usual, largest;
};

// What an engine's bytes say; test/support/tensorrt-double.ts writes them.
struct Engine {
  int64_t memory = 0;
  std::vector<Tensor> tensors;
  std::vector<std::map<std::string, Range>> profiles;
  std::vector<uint8_t> onnx;
  std::string path;  // of the model, where it has weights beside it
  std::shared_ptr<sada::Session> network;

  const Tensor& find(const std::string& name) const;  // ends the test for a name it does not have
};

// Throws std::runtime_error where they are not an engine of this double.
Engine read_engine(const void* bytes, size_t size);

// Whether the environment wants this call to fail; then it has been said.
bool is_to_fail(const char* call, ILogger& log);

// Adds work to an emulated stream: it returns the status of the stream, 0 for none, and is done again by every graph that recorded it.
// Owns the data from here on. False where the stream takes none.
bool enqueue(void* stream, int (*work)(void*), void* data, void (*release)(void*));

// Whether a CUDA graph records what is added to it now.
bool is_capturing(void* stream);

// What TensorRT for RTX compiled, by its name, and how many contexts use it.
struct Kernels {
  std::set<std::string> names;
  int contexts = 0;
};

// `is_compiled_first`: what runs is not a fallback of TensorRT for RTX. Without `kernels` a context compiles all that it runs.
IExecutionContext* make_context(std::shared_ptr<const Engine> engine, ILogger& log, bool is_compiled_first, Kernels* kernels = nullptr);

}  // namespace tensorrt_double
