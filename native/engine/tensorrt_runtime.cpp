// Compiled engines on TensorRT's runtime. Not run on real hardware yet: docs/tensorrt.md says what was tested, and with what.
#if defined(SADA_TENSORRT)

#include "tensorrt_runtime.h"

#include <algorithm>
#include <atomic>
#include <cctype>

namespace sada {
namespace {

class Flag : public Cancellation {
 public:
  void cancel() noexcept override { cancelled_ = true; }
  bool cancelled() const noexcept override { return cancelled_; }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace

TensorRtRuntime::TensorRtRuntime(const TensorRtLibrary& library, const GpuLibrary& gpu_library, int32_t gpu_index)
    : library_(library), gpu_library_(gpu_library), gpu_index_(gpu_index),
      create_(reinterpret_cast<void* (*)(void*, int32_t)>(find_symbol(library.handle, "createInferRuntime_INTERNAL"))) {
  if (create_ == nullptr) throw Error("BACKEND_UNAVAILABLE", "TensorRT's library has no createInferRuntime_INTERNAL.");
}

std::unique_ptr<Cancellation> TensorRtRuntime::make_cancellation() { return std::make_unique<Flag>(); }

void TensorRtRuntime::fail(const char* code, const std::string& what) {
  gpu_->synchronize();
  std::string said = log_->said(), lower = said;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto says = [&](const char* words) { return lower.find(words) != std::string::npos; };
  if (says("out of memory") || says("outofmemory")) code = "OUT_OF_MEMORY";
  // A failure of CUDA itself, like a driver that is missing, says nothing against an engine: it must not be thrown away. In the words of
  // TensorRT for RTX, and in two of TensorRT's.
  else if (code == std::string("ENGINE_INCOMPATIBLE") && (says("cudaerror") || says("cuda runtime (") || says("cuda initialization")))
    code = "BACKEND_UNAVAILABLE";
  throw Error(code, "TensorRT " + version() + " " + what + ": " + said + ".");
}

void TensorRtRuntime::start() {
  if (gpu_ == nullptr) gpu_ = std::make_unique<GpuStream>(gpu_library_, gpu_index_);
  if (arena_ == nullptr) arena_ = std::make_unique<GpuMemory>(*gpu_, &moves_);
  gpu_->synchronize();  // makes this GPU the thread's own, which TensorRT goes by
  if (runtime_ != nullptr) return;
  listen();
  runtime_.reset(static_cast<nvinfer1::IRuntime*>(create_(log_.get(), library_.version)));
  if (runtime_ == nullptr) fail("BACKEND_UNAVAILABLE", "made no runtime");
}

std::unique_ptr<Session> TensorRtRuntime::load(const SessionOptions& options) {
  // A file's origin cannot be known here; the cache (ts/engines/cache.ts) hands over bytes whose signature it checked.
  if (options.bytes.empty())
    throw Error("ENGINE_UNTRUSTED", "Compiled engines are code: they are taken as bytes from the cache, not from a file.");
  start();
  listen();
  std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime_->deserializeCudaEngine(options.bytes.data(), options.bytes.size()));
  if (engine == nullptr) fail("ENGINE_INCOMPATIBLE", "does not load the engine");
  return make_engine_session(shared_from_this(), std::move(engine), options.runtime_cache);
}

std::shared_ptr<EngineLibrary> open_tensorrt_engines(const std::string& library, const std::string& gpu_library, int32_t gpu_index) {
  return std::make_shared<TensorRtRuntime>(open_tensorrt_library(library), GpuLibrary::open(gpu_library), gpu_index);
}

}  // namespace sada

#endif
