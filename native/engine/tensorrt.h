// TensorRT and TensorRT for RTX: one source for both, opened at run time. Built where their public headers are (SADA_TENSORRT);
// elsewhere `TensorRt::open` says that it is not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"

namespace sada {

// Sizes that an input may have in one profile.
struct InputRange {
  std::string input;
  std::vector<int64_t> smallest, usual, largest;
};
using Profile = std::vector<InputRange>;

struct EngineRequest {
  std::vector<uint8_t> onnx;
  std::string model_path;  // where weights beside the model are looked for; empty: there are none
  std::vector<Profile> profiles;
  // Compute capabilities (89 for 8.9) to build for without a GPU: TensorRT for RTX alone. None: for the GPU of this machine
  // (TensorRT), for every one it knows (TensorRT for RTX).
  std::vector<int> targets;
  std::vector<uint8_t> timing_cache;  // of an earlier build; empty: none
  uint64_t most_bytes = UINT64_MAX;  // of the engine
};

struct BuiltEngine {
  std::vector<uint8_t> engine, timing_cache;
};

// Told of a build on the threads of the builder.
struct BuildMonitor {
  // A phase, the one it is part of (or empty), and how far it is.
  std::function<void(const std::string& phase, const std::string& parent, int done, int of)> progress;
  std::function<bool()> is_cancelled;
};

// An opened library; open for good.
class TensorRt {
 public:
  virtual ~TensorRt() = default;
  virtual bool is_rtx() const = 0;
  virtual std::string version() const = 0;
  virtual std::string parser_version() const = 0;
  // Whether it builds for a compute capability, 89 for 8.9; TensorRT, which builds for the GPU that is here, says that when it does.
  virtual bool serves(int target) const = 0;
  // Throws MODEL_CORRUPT or NETWORK_FAILED in the library's own words, UNSUPPORTED for targets it does not serve, MODEL_TOO_LARGE,
  // ABORTED.
  virtual BuiltEngine build(const EngineRequest& request, const BuildMonitor& monitor) const = 0;
};

// Opens the library (libnvinfer or libtensorrt_rtx) and its ONNX parser. Throws BACKEND_UNAVAILABLE with the loader's own words.
std::shared_ptr<const TensorRt> open_tensorrt(const std::string& library, const std::string& parser);

// Runs compiled engines, given as bytes, on a GPU of a GPU library (gpu.h): activations in one arena that its sessions share. Throws
// BACKEND_UNAVAILABLE with the loader's own words; the GPU itself is first used by `load`.
std::shared_ptr<EngineLibrary> open_tensorrt_engines(const std::string& library, const std::string& gpu_library, int32_t gpu_index);

}  // namespace sada
