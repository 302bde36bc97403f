// TensorRT's runtime on one GPU, and what the sessions of one engine share of it. Included only where the headers are.
#pragma once

#include <NvInferRuntime.h>

#include "gpu_memory.h"
#include "tensorrt.h"
#include "tensorrt_library.h"

namespace sada {

// One engine of the JavaScript side: used on its thread alone once it is made.
class TensorRtRuntime : public EngineLibrary, public std::enable_shared_from_this<TensorRtRuntime> {
 public:
  TensorRtRuntime(const TensorRtLibrary& library, const GpuLibrary& gpu_library, int32_t gpu_index);

  std::string version() const override { return show_tensorrt_version(library_.version); }
  bool is_rtx() const { return library_.is_rtx; }
  std::unique_ptr<Session> load(const SessionOptions& options) override;
  std::unique_ptr<Cancellation> make_cancellation() override;

  // Throws what the failure of a call was: where the GPU itself failed, that.
  [[noreturn]] void fail(const char* code, const std::string& what);
  void check(bool done, const std::string& what) {
    if (!done) fail("NETWORK_FAILED", what);
  }
  // Before a call: what is said from now on is of it.
  void listen() { log_->clear(); }

  GpuStream& gpu() { return *gpu_; }
  GpuMemory& arena() { return *arena_; }
  int64_t& moves() { return moves_; }
  int32_t gpu_index() const { return gpu_index_; }

 private:
  void start();

  const TensorRtLibrary library_;
  const GpuLibrary& gpu_library_;
  const int32_t gpu_index_;
  void* (*create_)(void*, int32_t);
  const TensorRtLog::Taken log_ = TensorRtLog::take();  // given back after what writes to it
  std::unique_ptr<GpuStream> gpu_;  // of the arena; work goes on the workspaces' streams
  std::unique_ptr<GpuMemory> arena_;
  int64_t moves_ = 0;  // of the arena and the sessions' memory
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
};

// A session of a compiled engine: a context for each of its profiles. Throws OUT_OF_MEMORY, IO_MISMATCH, NETWORK_FAILED.
std::unique_ptr<Session> make_engine_session(std::shared_ptr<TensorRtRuntime> runtime, std::unique_ptr<nvinfer1::ICudaEngine> engine,
                                             const std::vector<uint8_t>& runtime_cache);

}  // namespace sada
