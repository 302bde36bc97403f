// CUDA graphs: what a stream records, and its launches. Where the environment asks for it, a call fails, and does nothing:
//   SADA_EMULATED_FAIL=call        beginCapture, endCapture, instantiate, launchGraph, or conditionalHandle, as with a driver that has none
#include <cstdlib>
#include <string>

#include "gpu.h"

namespace emulation {

// A chain: each node depends on the one before it, and calls that would add one beside it are refused.
struct Node {
  Work work;
};

struct Condition {
  unsigned value = 0, initial = 0;
};

struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::shared_ptr<Condition>> conditions;
  std::vector<std::shared_ptr<Graph>> bodies;
  std::vector<Graph*> handed_out;  // of the bodies
};

struct GraphExec {
  std::vector<Work> work;
};

void append(Graph& graph, Work work) {
  graph.nodes.push_back(std::make_unique<Node>());
  graph.nodes.back()->work = std::move(work);
}

namespace {

Node* last(const Graph& graph) { return graph.nodes.empty() ? nullptr : graph.nodes.back().get(); }

bool follows_last(const Graph& graph, const cudaGraphNode_t* dependencies, size_t count) {
  return last(graph) == nullptr ? count == 0 : count == 1 && dependencies[0] == last(graph);
}

cudaError_t execute(const Graph& graph) {
  for (const auto& node : graph.nodes) {
    const cudaError_t status = execute(node->work);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

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

namespace {

cudaError_t begin_capture(cudaStream_t stream, Graph* graph) {
  if (gpu().status() != cudaSuccess) return gpu().status();
  if (!is_stream(stream) || stream->capture != nullptr) return cudaErrorInvalidValue;
  if (is_to_fail("beginCapture")) return cudaErrorStreamCaptureUnsupported;
  stream->capture = std::make_unique<Capture>();
  stream->capture->thread = std::this_thread::get_id();
  stream->capture->is_own = graph == nullptr;
  stream->capture->graph = graph == nullptr ? new Graph : graph;
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Locked locked(gpu().mutex);
  return begin_capture(stream, nullptr);
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                          const cudaGraphEdgeData*, size_t count, cudaStreamCaptureMode) {
  const Locked locked(gpu().mutex);
  return follows_last(*graph, dependencies, count) ? begin_capture(stream, graph) : cudaErrorInvalidValue;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Locked locked(gpu().mutex);
  *graph = nullptr;
  if (!is_stream(stream) || stream->capture == nullptr) return cudaErrorInvalidValue;
  const std::unique_ptr<Capture> capture = std::move(stream->capture);
  const cudaError_t lost = gpu().status();
  if (lost == cudaSuccess && capture->valid && !is_to_fail("endCapture")) return *graph = capture->graph, cudaSuccess;
  if (capture->is_own) delete capture->graph;
  return lost != cudaSuccess ? lost : cudaErrorStreamCaptureInvalidated;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Locked locked(gpu().mutex);
  if (!is_stream(stream)) return cudaErrorInvalidValue;
  const Capture* capture = stream->capture.get();
  *status = capture == nullptr ? cudaStreamCaptureStatusNone
            : capture->valid   ? cudaStreamCaptureStatusActive
                               : cudaStreamCaptureStatusInvalidated;
  return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long*, cudaGraph_t*,
                                     const cudaGraphNode_t** dependencies, const cudaGraphEdgeData**, size_t* count) {
  const Locked locked(gpu().mutex);
  static thread_local Node* newest;
  const cudaError_t known = cudaStreamIsCapturing(stream, status);
  if (known != cudaSuccess || *status != cudaStreamCaptureStatusActive) return known;
  newest = last(*stream->capture->graph);
  return *dependencies = &newest, *count = newest == nullptr ? 0 : 1, cudaSuccess;
}

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) { return *graph = new Graph, cudaSuccess; }

cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle* handle, cudaGraph_t graph, unsigned value, unsigned) {
  const Locked locked(gpu().mutex);
  if (is_to_fail("conditionalHandle")) return cudaErrorCallRequiresNewerDriver;
  graph->conditions.push_back(std::make_shared<Condition>());
  graph->conditions.back()->initial = value;
  return *handle = reinterpret_cast<cudaGraphConditionalHandle>(graph->conditions.back().get()), cudaSuccess;
}

void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value) { reinterpret_cast<Condition*>(handle)->value = value; }

cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* dependencies, const cudaGraphEdgeData*,
                             size_t count, cudaGraphNodeParams* parameters) {
  const Locked locked(gpu().mutex);
  const cudaConditionalNodeParams& given = parameters->conditional;
  for (const auto& condition : graph->conditions) {
    if (condition.get() != reinterpret_cast<Condition*>(given.handle) || given.size != 1 || !follows_last(*graph, dependencies, count))
      continue;
    const auto body = std::make_shared<Graph>();
    graph->bodies.push_back(body);
    graph->handed_out.push_back(body.get());
    append(*graph, {[body, condition] { return condition->value != 0 ? execute(*body) : cudaSuccess; }});
    parameters->conditional.phGraph_out = &graph->handed_out.back();
    return *node = last(*graph), cudaSuccess;
  }
  return cudaErrorInvalidValue;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const Locked locked(gpu().mutex);
  if (is_to_fail("instantiate")) return cudaErrorMemoryAllocation;
  *executable = new GraphExec;
  std::vector<Work>& work = (*executable)->work;
  for (const auto& condition : graph->conditions)
    work.push_back({[condition] { return condition->value = condition->initial, cudaSuccess; }});
  for (const auto& node : graph->nodes) work.push_back(node->work);
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
