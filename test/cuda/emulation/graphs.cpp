// CUDA graphs: what a stream records, and its launches. Where the environment asks for it, a call fails, and does nothing:
//   SADA_EMULATED_FAIL=call        beginCapture, endCapture, instantiate or launchGraph
#include <cstdlib>
#include <string>

#include "gpu.h"

namespace emulation {

struct Graph {
  std::vector<Work> work;
};

struct GraphExec {
  std::vector<Work> work;
};

namespace {

bool is_to_fail(const char* call) {
  const char* wanted = std::getenv("SADA_EMULATED_FAIL");
  return wanted != nullptr && std::string(wanted) == call;
}

bool is_stream(cudaStream_t stream) { return gpu().streams.count(stream) > 0; }

}  // namespace

cudaError_t refuse_in_capture() {
  for (Stream* stream : gpu().streams) {
    if (stream->capture == nullptr || stream->capture->thread != std::this_thread::get_id()) continue;
    stream->capture->valid = false;
    return cudaErrorStreamCaptureUnsupported;
  }
  return cudaSuccess;
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Locked locked(gpu().mutex);
  if (gpu().status() != cudaSuccess) return gpu().status();
  if (!is_stream(stream) || stream->capture != nullptr) return cudaErrorInvalidValue;
  if (is_to_fail("beginCapture")) return cudaErrorStreamCaptureUnsupported;
  stream->capture = std::make_unique<Capture>();
  stream->capture->thread = std::this_thread::get_id();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Locked locked(gpu().mutex);
  *graph = nullptr;
  if (!is_stream(stream) || stream->capture == nullptr) return cudaErrorInvalidValue;
  const std::unique_ptr<Capture> capture = std::move(stream->capture);
  if (gpu().status() != cudaSuccess) return gpu().status();
  if (!capture->valid || is_to_fail("endCapture")) return cudaErrorStreamCaptureInvalidated;
  *graph = new Graph{std::move(capture->work)};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const Locked locked(gpu().mutex);
  if (is_to_fail("instantiate")) return cudaErrorMemoryAllocation;
  *executable = new GraphExec{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Locked locked(gpu().mutex);
  if (gpu().status() != cudaSuccess) return gpu().status();
  if (is_to_fail("launchGraph")) return cudaErrorMemoryAllocation;
  for (const Work& work : executable->work) {
    const cudaError_t status = enqueue(stream, work);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }
