// A GPU with memory, streams and, where the environment asks for it, faults:
//   SADA_EMULATED_DEVICES=n        GPUs (1)
//   SADA_EMULATED_DRIVER=v         what the driver serves (13000); 0: none
//   SADA_EMULATED_CAPABILITY=m.n   of the GPUs (9.0)
//   SADA_EMULATED_MEMORY=bytes     of each (8 GiB); allocations beyond fail
//   SADA_EMULATED_PINNED=bytes     of page-locked memory (8 GiB)
//   SADA_EMULATED_LOST_AFTER=n     the n-th launch from here on, and all after it, ends with an illegal address; taken away, a new process
//   SADA_EMULATED_FAIL=call        of graphs.cpp
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gpu.h"

namespace emulation {

int64_t setting(const char* name, int64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : std::atoll(value);
}

cudaError_t Gpu::status() {
  if (setting("SADA_EMULATED_LOST_AFTER", 0) == 0) lost = cudaSuccess, launches = 0;
  return lost;
}

Gpu& gpu() {
  static Gpu* all = new Gpu;  // outlives whatever ends after it
  return *all;
}

namespace {

constexpr int kRuntimeVersion = 13000;
constexpr size_t kAlignment = 256;

int driver_version() { return static_cast<int>(setting("SADA_EMULATED_DRIVER", kRuntimeVersion)); }
int devices() { return static_cast<int>(setting("SADA_EMULATED_DEVICES", 1)); }
size_t total_bytes() { return static_cast<size_t>(setting("SADA_EMULATED_MEMORY", int64_t{8} << 30)); }

void capability(int& major, int& minor) {
  const char* value = std::getenv("SADA_EMULATED_CAPABILITY");
  if (value == nullptr || std::sscanf(value, "%d.%d", &major, &minor) != 2) major = 9, minor = 0;
}

void* aligned(size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, kAlignment, bytes) == 0 ? memory : nullptr;
}

cudaError_t drain(Stream& stream) {
  cudaError_t first = gpu().status();
  while (!stream.work.empty()) {
    const Work work = std::move(stream.work.front());
    stream.work.pop_front();
    const cudaError_t status = execute(work);
    if (first == cudaSuccess) first = status;
  }
  return first;
}

cudaError_t drain_all() {
  cudaError_t first = gpu().status();
  for (Stream* stream : gpu().streams) {
    const cudaError_t status = drain(*stream);
    if (first == cudaSuccess) first = status;
  }
  return first;
}

size_t pinned_bytes() {
  size_t sum = 0;
  for (const auto& [memory, bytes] : gpu().pinned) sum += bytes;
  return sum;
}

bool is_pinned(const void* address) {
  const auto after = gpu().pinned.upper_bound(const_cast<void*>(address));
  if (after == gpu().pinned.begin()) return false;
  const auto& [from, bytes] = *std::prev(after);
  return static_cast<const char*>(address) < static_cast<const char*>(from) + bytes;
}

cudaError_t free_from(std::map<void*, size_t>& from, void* memory, size_t* used) {
  if (memory == nullptr) return gpu().status();
  if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
  const auto found = from.find(memory);
  if (found == from.end()) return cudaErrorInvalidValue;
  const cudaError_t status = drain_all();
  if (used != nullptr) *used -= found->second;
  from.erase(found);
  std::free(memory);
  return status;
}

}  // namespace

cudaError_t execute(const Work& work) {
  if (gpu().status() != cudaSuccess) return gpu().status();
  const int64_t lost_after = setting("SADA_EMULATED_LOST_AFTER", 0);
  const bool is_lost = work.is_kernel && lost_after > 0 && ++gpu().launches >= lost_after;
  const cudaError_t status = is_lost ? cudaErrorIllegalAddress : work.run();
  if (status == cudaErrorIllegalAddress) gpu().lost = status;
  return status;
}

cudaError_t enqueue(Stream* stream, Work work) {
  if (stream == nullptr || gpu().streams.count(stream) == 0) return cudaErrorInvalidValue;
  if (gpu().status() != cudaSuccess) return gpu().status();
  if (stream->capture != nullptr) {
    if (!stream->capture->valid) return cudaErrorStreamCaptureInvalidated;
    return append(*stream->capture->graph, std::move(work)), cudaSuccess;
  }
  return stream->work.push_back(std::move(work)), cudaSuccess;
}

cudaError_t has_code() {
  int major, minor;
  capability(major, minor);
  return 10 * major + minor < 75 ? cudaErrorNoKernelImageForDevice : gpu().status();
}

cudaError_t allocate(void** memory, size_t bytes) {
  const Locked locked(gpu().mutex);
  if (gpu().status() != cudaSuccess) return gpu().status();
  if (bytes == 0) return *memory = nullptr, cudaSuccess;
  if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
  if (bytes > total_bytes() || gpu().used > total_bytes() - bytes) return cudaErrorMemoryAllocation;
  void* made = aligned(bytes);
  if (made == nullptr) return cudaErrorMemoryAllocation;
  std::memset(made, 0xcb, bytes);
  gpu().memory[made] = bytes;
  gpu().used += bytes;
  *memory = made;
  return cudaSuccess;
}

cudaError_t enqueue_launch(Stream* stream, const Launch& launch, std::function<void()> thread) {
  const Locked locked(gpu().mutex);
  const int64_t threads = static_cast<int64_t>(launch.block.x) * launch.block.y * launch.block.z;
  const bool fits =
      launch.grid.x > 0 && launch.grid.x < 0x80000000u && launch.grid.y > 0 && launch.grid.y < 65536 && threads > 0 && threads <= 1024;
  if (!fits || launch.shared_bytes > 65536) return cudaErrorInvalidConfiguration;
  return enqueue(stream,
                 {[launch, thread = std::move(thread)] { return run(launch, thread) ? cudaSuccess : cudaErrorLaunchFailure; }, true});
}

}  // namespace emulation

using namespace emulation;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorCallRequiresNewerDriver: return "API call is not supported in the installed CUDA driver";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    default: return "unknown error";
  }
}

cudaError_t cudaDriverGetVersion(int* version) { return *version = driver_version(), cudaSuccess; }

cudaError_t cudaRuntimeGetVersion(int* version) { return *version = kRuntimeVersion, cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (driver_version() < kRuntimeVersion) return cudaErrorInsufficientDriver;
  *count = devices();
  return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t cudaSetDevice(int index) {
  int count;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return status;
  return index < 0 || index >= count ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  const cudaError_t status = cudaSetDevice(index);
  if (status != cudaSuccess) return status;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Emulated GPU %d", index);
  properties->totalGlobalMem = total_bytes();
  capability(properties->major, properties->minor);
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  int minor;
  capability(*value, minor);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  const Locked locked(gpu().mutex);
  *total = total_bytes();
  *free_bytes = *total > gpu().used ? *total - gpu().used : 0;
  return gpu().status();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Locked locked(gpu().mutex);
  if (gpu().status() != cudaSuccess) return gpu().status();
  *stream = new Stream;
  gpu().streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Locked locked(gpu().mutex);
  if (gpu().streams.count(stream) == 0) return cudaErrorInvalidValue;
  const cudaError_t status = drain(*stream);
  gpu().streams.erase(stream);
  delete stream;
  return status;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Locked locked(gpu().mutex);
  if (gpu().streams.count(stream) == 0) return cudaErrorInvalidValue;
  return stream->capture != nullptr ? refuse_in_capture() : drain(*stream);
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  const Locked locked(gpu().mutex);
  if (gpu().status() != cudaSuccess) return gpu().status();
  if (const cudaError_t refused = refuse_in_capture(); refused != cudaSuccess) return refused;
  if (bytes + pinned_bytes() > static_cast<size_t>(setting("SADA_EMULATED_PINNED", int64_t{8} << 30))) return cudaErrorMemoryAllocation;
  *memory = aligned(bytes);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xcb, bytes);
  gpu().pinned[*memory] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  const Locked locked(gpu().mutex);
  return free_from(gpu().pinned, memory, nullptr);
}

cudaError_t cudaFree(void* memory) {
  const Locked locked(gpu().mutex);
  return free_from(gpu().memory, memory, &gpu().used);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  const Locked locked(gpu().mutex);
  return enqueue(stream, {[=] { return std::memset(to, value, bytes), cudaSuccess; }});
}

// Pageable memory is read before the call returns, and written before it returns; in a capture when the graph gets there.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const Locked locked(gpu().mutex);
  const bool captured = gpu().streams.count(stream) > 0 && stream->capture != nullptr;
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from) && !captured) {
    const char* bytes_from = static_cast<const char*>(from);
    return enqueue(stream, {[to, copy = std::vector<char>(bytes_from, bytes_from + bytes)] {
                     return std::memcpy(to, copy.data(), copy.size()), cudaSuccess;
                   }});
  }
  const cudaError_t status = enqueue(stream, {[=] { return std::memmove(to, from, bytes), cudaSuccess; }});
  return kind == cudaMemcpyDeviceToHost && !is_pinned(to) && !captured && status == cudaSuccess ? drain(*stream) : status;
}

// For the double of TensorRT (test/engines/double): a network as work of a stream, done at every launch of a graph that recorded it. `work`
// returns what the stream's status becomes; `release` is called when no one has the work any more.
extern "C" __attribute__((visibility("default"))) int sada_emulated_enqueue(void* stream, int (*work)(void*), void* data,
                                                                            void (*release)(void*)) {
  using namespace emulation;
  const Locked locked(gpu().mutex);
  return enqueue(static_cast<Stream*>(stream),
                 {[work, kept = std::shared_ptr<void>(data, release)] { return static_cast<cudaError_t>(work(kept.get())); }});
}
extern "C" __attribute__((visibility("default"))) int sada_emulated_is_capturing(void* stream) {
  const Locked locked(emulation::gpu().mutex);
  return static_cast<emulation::Stream*>(stream)->capture != nullptr;
}
