// The table that native/device.h describes.
#include <algorithm>
#include <new>

#include "device.cuh"
#include "step_member.cuh"

#if !defined(SADA_DEVICE_NAME)
#define SADA_DEVICE_NAME "cuda"
#endif

namespace sada {

namespace {

constexpr int64_t kMostElements = int64_t{1} << 40;

// What a Device's scratch is made of, one after the other.
struct ScratchSizes {
  int64_t partials, tickets, terms, indices;
  int64_t all() const { return partials + tickets + terms + indices; }
};

ScratchSizes scratch_sizes(const DeviceLimits& limits) {
  const auto aligned = [](int64_t bytes) { return (bytes + 255) / 256 * 256; };
  const int64_t members = limits.members;
  return {aligned(members * kMaxSums * cuda::step_partials(limits.length) * 8), aligned(members * cuda::step_tickets(limits.length) * 4),
          aligned(members * cuda::step_terms(limits.token_length) * 4), aligned(limits.host_indices * 4)};
}

bool is_valid(const DeviceLimits& limits) {
  const auto in_range = [](int64_t n) { return n >= 0 && n <= kMostElements; };
  return in_range(limits.length) && in_range(limits.token_length) && in_range(limits.host_indices) && limits.members >= 0 &&
         limits.members <= kMaxMembers;
}

DeviceLimits larger(const DeviceLimits& a, const DeviceLimits& b) {
  return {std::max(a.length, b.length), std::max(a.members, b.members), std::max(a.token_length, b.token_length),
          std::max(a.host_indices, b.host_indices)};
}

DeviceStatus system(DeviceSystem* out) {
  *out = {};
  cudaDriverGetVersion(&out->driver_version);
  cudaRuntimeGetVersion(&out->runtime_version);
  const cudaError_t status = cudaGetDeviceCount(&out->devices);
  if (status != cudaSuccess) out->devices = 0;
  return status;
}

DeviceStatus describe(int32_t index, DeviceInfo* info) {
  *info = {};
  cudaDeviceProp properties;
  cudaError_t status = cudaGetDeviceProperties(&properties, index);
  if (status != cudaSuccess) return status;
  std::copy_n(properties.name, std::min(sizeof info->name, sizeof properties.name), info->name);
  info->name[sizeof info->name - 1] = '\0';
  info->capability_major = properties.major, info->capability_minor = properties.minor;
  info->multiprocessors = properties.multiProcessorCount;
  info->total_bytes = static_cast<int64_t>(properties.totalGlobalMem);
  size_t free_bytes = 0, total_bytes = 0;
  status = cudaSetDevice(index);
  if (status == cudaSuccess) status = cudaMemGetInfo(&free_bytes, &total_bytes);
  info->free_bytes = static_cast<int64_t>(free_bytes);
  return status;
}

DeviceStatus create(int32_t index, Device** out) {
  *out = nullptr;
  Device* device = new (std::nothrow) Device;
  if (device == nullptr) return cudaErrorMemoryAllocation;
  device->index = index;
  const DeviceStatus status = on(device, [&] {
    int major = 0, architecture = 0;
    cudaError_t made = cuda::kernel_architecture(&architecture);
    if (made == cudaSuccess) made = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index);
    // Kernels that were compiled for older GPUs do not wait, whatever runs them.
    device->has_early_starts = major >= 9 && architecture >= 90;
    return made != cudaSuccess ? made : cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking);
  });
  if (status == cudaSuccess) *out = device;
  else delete device;
  return status;
}

DeviceStatus destroy(Device* device) {
  if (device == nullptr) return cudaSuccess;
  const DeviceStatus status = on(device, [&] {
    const cudaError_t waited = cudaStreamSynchronize(device->stream), freed = cudaFree(device->scratch);
    return first(first(waited, freed), cudaStreamDestroy(device->stream));
  });
  delete device;
  return status;
}

void* stream(Device* device) { return device == nullptr ? nullptr : device->stream; }

int64_t reserve_bytes(const DeviceLimits* limits) { return is_valid(*limits) ? scratch_sizes(*limits).all() : 0; }

// The old scratch goes first: both may not fit. cudaFree waits for what still uses it.
cudaError_t replace_scratch(Device& device, const DeviceLimits& limits) {
  const cudaError_t freed = cudaFree(device.scratch);
  device.scratch = nullptr, device.step = {}, device.indices = nullptr;
  if (freed != cudaSuccess) return freed;
  const ScratchSizes sizes = scratch_sizes(limits);
  cudaError_t status = cudaMalloc(&device.scratch, static_cast<size_t>(sizes.all()));
  if (status != cudaSuccess) return device.scratch = nullptr, status;
  char* at = static_cast<char*>(device.scratch);
  device.step.partials = reinterpret_cast<double*>(at);
  device.step.tickets = reinterpret_cast<uint32_t*>(at += sizes.partials);
  device.step.terms = reinterpret_cast<float*>(at += sizes.tickets);
  device.indices = reinterpret_cast<int32_t*>(at + sizes.terms);
  status = cudaMemsetAsync(device.step.tickets, 0, static_cast<size_t>(sizes.tickets), device.stream);
  if (status == cudaSuccess) device.step.limits = limits, device.step.has_early_starts = device.has_early_starts;
  return status;
}

DeviceStatus reserve(Device* device, const DeviceLimits* limits) {
  return on(device, [&] {
    if (!is_valid(*limits)) return cudaErrorInvalidValue;
    const DeviceLimits& before = device->step.limits;
    const DeviceLimits wanted = larger(before, *limits);
    const bool enough = wanted.length == before.length && wanted.members == before.members && wanted.token_length == before.token_length &&
                        wanted.host_indices == before.host_indices;
    return enough ? cudaSuccess : replace_scratch(*device, wanted);
  });
}

DeviceStatus allocate(Device* device, int64_t bytes, void** memory) {
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  return on(device, [&] {
    if (bytes < 0) return cudaErrorInvalidValue;
    const cudaError_t allocated = cudaMalloc(memory, static_cast<size_t>(bytes));
    if (allocated != cudaSuccess) return *memory = nullptr, allocated;
    const cudaError_t filled = cudaMemsetAsync(*memory, 0, static_cast<size_t>(bytes), device->stream);
    if (filled != cudaSuccess) cudaFree(*memory), *memory = nullptr;
    return filled;
  });
}

DeviceStatus release(Device* device, void* memory) {
  return on(device, [&] { return cudaFree(memory); });
}

DeviceStatus allocate_host(Device* device, int64_t bytes, void** memory) {
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  return on(device, [&] {
    return bytes < 0 ? cudaErrorInvalidValue
                     : cudaHostAlloc(memory, static_cast<size_t>(bytes), cudaHostAllocMapped | cudaHostAllocPortable);
  });
}

DeviceStatus release_host(Device* device, void* memory) {
  return on(device, [&] { return cudaFreeHost(memory); });
}

DeviceStatus move_bytes(Device* device, void* to, const void* from, int64_t bytes, cudaMemcpyKind kind) {
  return on(device, [&] {
    if (bytes < 0) return cudaErrorInvalidValue;
    return bytes == 0 ? cudaSuccess : cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), kind, device->stream);
  });
}

DeviceStatus upload(Device* device, void* to, const void* from, int64_t bytes) {
  return move_bytes(device, to, from, bytes, cudaMemcpyHostToDevice);
}

DeviceStatus download(Device* device, void* to, const void* from, int64_t bytes) {
  return move_bytes(device, to, from, bytes, cudaMemcpyDeviceToHost);
}

DeviceStatus copy(Device* device, void* to, const void* from, int64_t bytes) {
  return move_bytes(device, to, from, bytes, cudaMemcpyDefault);
}

DeviceStatus fill(Device* device, void* to, uint8_t value, int64_t bytes) {
  return on(device, [&] {
    if (bytes < 0) return cudaErrorInvalidValue;
    return bytes == 0 ? cudaSuccess : cudaMemsetAsync(to, value, static_cast<size_t>(bytes), device->stream);
  });
}

DeviceStatus synchronize(Device* device) {
  return on(device, [&] { return cudaStreamSynchronize(device->stream); });
}

DeviceStatus step(Device* device, const DeviceStep* members, int32_t count, double* sums) {
  return on(device, [&] { return cuda::step(members, count, sums, device->step, device->stream); });
}

// One scratch for the indices of all moves is enough: the next copy into it waits on the stream for the move before.
template <cudaError_t (*launch)(const DeviceMove&, cudaStream_t)>
DeviceStatus move_tokens(Device* device, const DeviceMove* request) {
  return on(device, [&] {
    DeviceMove move = *request;
    if (move.indices_on_host && move.kept > 0) {
      if (move.kept > device->step.limits.host_indices) return cudaErrorInvalidValue;
      const cudaError_t copied = cudaMemcpyAsync(device->indices, move.indices, static_cast<size_t>(move.kept) * sizeof(int32_t),
                                                 cudaMemcpyHostToDevice, device->stream);
      if (copied != cudaSuccess) return copied;
      move.indices = device->indices;
    }
    return launch(move, device->stream);
  });
}

DeviceStatus select(Device* device, const DeviceSelection* members, int32_t count) {
  return on(device, [&] { return cuda::select(members, count, device->stream); });
}

DeviceStatus convert(Device* device, void* to, Storage to_type, const void* from, Storage from_type, int64_t length) {
  return on(device, [&] { return cuda::convert(to, to_type, from, from_type, length, device->stream); });
}

const char* error_string(DeviceStatus status) { return cudaGetErrorString(static_cast<cudaError_t>(status)); }

DeviceFailure failure(DeviceStatus status) {
  switch (static_cast<cudaError_t>(status)) {
    case cudaSuccess: return DeviceFailure::kNone;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidDevice: return DeviceFailure::kInvalid;
    case cudaErrorMemoryAllocation: return DeviceFailure::kOutOfMemory;
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInitializationError:
    case cudaErrorStubLibrary:
    case cudaErrorDevicesUnavailable:
    case cudaErrorDeviceNotLicensed:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilerNotFound:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice: return DeviceFailure::kUnavailable;
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorContextIsDestroyed:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorCudartUnloading:
    case cudaErrorUnknown: return DeviceFailure::kLost;
    default: return DeviceFailure::kOther;
  }
}

constexpr DeviceTable kTable = {kDeviceAbi,
                                SADA_DEVICE_NAME,
                                system,
                                describe,
                                create,
                                destroy,
                                stream,
                                reserve,
                                reserve_bytes,
                                allocate,
                                release,
                                allocate_host,
                                release_host,
                                upload,
                                download,
                                copy,
                                fill,
                                synchronize,
                                step,
                                move_tokens<cuda::gather>,
                                move_tokens<cuda::scatter>,
                                select,
                                convert,
                                cuda::begin_capture,
                                cuda::end_capture,
                                cuda::launch_graph,
                                cuda::release_graph,
                                cuda::sada_create,
                                cuda::sada_destroy,
                                cuda::sada_before,
                                cuda::sada_after,
                                cuda::sada_report,
                                error_string,
                                failure};

}  // namespace
}  // namespace sada

extern "C" const sada::DeviceTable* sada_device_table(uint32_t abi) { return abi == sada::kDeviceAbi ? &sada::kTable : nullptr; }
