// CUDA graphs of what is added to a Device's stream.
#include "device.cuh"

namespace sada::cuda {

cudaError_t instantiate(cudaGraph_t graph, cudaError_t status, DeviceGraph** out) {
  cudaGraphExec_t executable = nullptr;
  if (status == cudaSuccess) status = cudaGraphInstantiate(&executable, graph, 0);
  if (graph != nullptr) status = first(status, cudaGraphDestroy(graph));
  *out = status == cudaSuccess ? reinterpret_cast<DeviceGraph*>(executable) : nullptr;
  if (status != cudaSuccess) cudaGetLastError();  // told by the status; who looks at the last error must not take it for theirs
  return status;
}

DeviceStatus begin_capture(Device* device) {
  return on(device, [&] { return cudaStreamBeginCapture(device->stream, kCaptureMode); });
}

DeviceStatus end_capture(Device* device, DeviceGraph** out) {
  *out = nullptr;
  return on(device, [&] {
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(device->stream, &graph);
    return instantiate(graph, status, out);
  });
}

DeviceStatus launch_graph(Device* device, DeviceGraph* graph) {
  return on(device, [&] { return cudaGraphLaunch(reinterpret_cast<cudaGraphExec_t>(graph), device->stream); });
}

DeviceStatus release_graph(Device* device, DeviceGraph* graph) {
  return on(device, [&] { return graph == nullptr ? cudaSuccess : cudaGraphExecDestroy(reinterpret_cast<cudaGraphExec_t>(graph)); });
}

}  // namespace sada::cuda
