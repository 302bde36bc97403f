// What a Device is, for the files that the table of device.cu is made of.
#pragma once

#include "kernels.h"

namespace sada {

struct Device {
  int index = 0;
  cudaStream_t stream = nullptr;
  bool has_early_starts = false;  // launch.cuh's, on this GPU
  void* scratch = nullptr;  // one allocation for all that follows
  cuda::StepScratch step;
  int32_t* indices = nullptr;  // [limits.host_indices]
};

// The first error of several calls that are all made.
inline cudaError_t first(cudaError_t a, cudaError_t b) { return a != cudaSuccess ? a : b; }

// Makes the GPU current on the calling thread, then does the work.
template <typename Work>
DeviceStatus on(const Device* device, Work work) {
  if (device == nullptr) return cudaErrorInvalidValue;
  const cudaError_t status = cudaSetDevice(device->index);
  return status != cudaSuccess ? status : work();
}

namespace cuda {

// Thread-local: other threads may allocate for runs of their own meanwhile.
constexpr cudaStreamCaptureMode kCaptureMode = cudaStreamCaptureModeThreadLocal;

// graph.cu
DeviceStatus begin_capture(Device* device);
DeviceStatus end_capture(Device* device, DeviceGraph** out);
DeviceStatus launch_graph(Device* device, DeviceGraph* graph);
DeviceStatus release_graph(Device* device, DeviceGraph* graph);
// Destroys a graph whose recording ended with `status`, ready for launches in `out` where all went well.
cudaError_t instantiate(cudaGraph_t graph, cudaError_t status, DeviceGraph** out);

// sada.cu
DeviceStatus sada_create(Device* device, const DeviceSada* request, DeviceSadaRun** out);
DeviceStatus sada_destroy(Device* device, DeviceSadaRun* run);
DeviceStatus sada_before(Device* device, DeviceSadaRun* run, bool is_recorded);
DeviceStatus sada_after(Device* device, DeviceSadaRun* run, DeviceGraph** graph);
DeviceStatus sada_report(Device* device, DeviceSadaRun* run, double* to, int64_t count);

}  // namespace cuda
}  // namespace sada
