// A library that runs networks. Loaded and run on the engine's own thread; float32 in and out.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sada {

class GpuStream;

struct TensorInfo {
  std::string name, type;
  std::vector<int64_t> dims;  // -1: dynamic
  std::vector<std::string> symbols;
};

struct SessionInfo {
  std::vector<TensorInfo> inputs, outputs;
  int64_t activation_bytes = -1;  // working memory of its runs, where the library says; -1: it does not
};

// A tensor of a model that lies in another file. It is read through the given descriptor (where those can be shared; else from the
// path): the library itself opens nothing, and maps nothing that could shrink under it.
struct ExternalTensor {
  std::string name;
  int type = 0;  // ONNX's number
  std::vector<int64_t> dims;
  std::string path;
  int descriptor = -1;
  int64_t offset = 0, bytes = 0;
};

struct SessionOptions {
  std::string path;
  std::vector<uint8_t> bytes;  // used where `path` is empty
  std::vector<uint8_t> runtime_cache;  // what such a session's `take_runtime_cache` gave, in whatever process; what is of no use is ignored
  std::vector<ExternalTensor> weights;
  int64_t most_folded = int64_t{1} << 30;  // bytes of what one node may make of constants while the model loads
  int threads = 0;
  bool memory_arena = true;
  bool convolves = false;  // on a GPU: convolutions are planned for a size
};

// Floats of the workspace with the shape that the network shall see.
struct Binding {
  std::string name;
  float* data = nullptr;
  std::vector<int64_t> dims;
};

inline int64_t count_of(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (int64_t n : dims) count *= n;
  return count;
}

// Ends a run from another thread.
class Cancellation {
 public:
  virtual ~Cancellation() = default;
  virtual void cancel() noexcept = 0;
  virtual bool cancelled() const noexcept = 0;
};

class Session {
 public:
  virtual ~Session() = default;
  // Of this session alone, also after it is gone.
  int64_t number() const { return number_; }
  virtual const SessionInfo& info() const = 0;
  // Whether bindings name the GPU's memory, and the work is added to the stream that `run` is given.
  virtual bool is_on_gpu() const { return false; }
  // Whether `run` only adds work, so that a CUDA graph can record it.
  virtual bool is_recordable() const { return false; }
  // Changes when memory of its own that runs use has moved: then what was recorded before must not be launched.
  virtual int64_t generation() const { return 0; }
  // What the library compiled where it runs, where that was for sizes that were new since the last call; else empty.
  virtual std::vector<uint8_t> take_runtime_cache() { return {}; }
  // `gpu`: the stream of the workspace for sessions on a GPU, else null. Throws Error: IO_MISMATCH, NETWORK_FAILED, OUT_OF_MEMORY, ABORTED,
  // DEVICE_LOST.
  virtual void run(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Cancellation& cancellation, GpuStream* gpu) = 0;

 private:
  static int64_t next_number() {
    static std::atomic<int64_t> made{0};
    return ++made;
  }
  const int64_t number_ = next_number();
};

class EngineLibrary {
 public:
  virtual ~EngineLibrary() = default;
  virtual std::string version() const = 0;
  // Throws Error: MODEL_NOT_FOUND, MODEL_CORRUPT, UNSUPPORTED, MODEL_CHANGED, OUT_OF_MEMORY; of compiled engines ENGINE_INCOMPATIBLE,
  // BACKEND_UNAVAILABLE, DEVICE_LOST.
  virtual std::unique_ptr<Session> load(const SessionOptions& options) = 0;
  virtual std::unique_ptr<Cancellation> make_cancellation() = 0;
};

// ONNX Runtime at `path`: opened once per process and never closed. Throws BACKEND_UNAVAILABLE.
std::shared_ptr<EngineLibrary> open_onnxruntime(const std::string& path);

// The same with its WebGPU provider, which is first used by `load`: that throws BACKEND_UNAVAILABLE where it finds no GPU. Its sessions
// take tensors in host memory. Throws BACKEND_UNAVAILABLE.
std::shared_ptr<EngineLibrary> open_onnxruntime_webgpu(const std::string& path);

// At the end of the process, when nothing runs any more: what the provider made on first use is destroyed before what was made earlier, and
// it has to be done with its sessions by then.
void release_webgpu_sessions();

// The same with its CUDA provider, on a GPU of a GPU library (gpu.h); the GPU itself and the provider are first used by `load`, which
// throws BACKEND_UNAVAILABLE where they do not work. Throws BACKEND_UNAVAILABLE.
std::shared_ptr<EngineLibrary> open_onnxruntime_on_gpu(const std::string& path, const std::string& gpu_library, int32_t gpu_index);

}  // namespace sada
