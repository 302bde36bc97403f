#include "gpu.h"

#include <algorithm>
#include <map>

#include "counters.h"
#include "engine/dynamic_library.h"

namespace sada {
namespace {

std::string version_of(int32_t number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

}  // namespace

const GpuLibrary& GpuLibrary::open(const std::string& path) {
  static std::mutex mutex;
  static auto* opened = new std::map<std::string, std::unique_ptr<GpuLibrary>>;  // leaked on purpose
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = opened->find(path);
  if (known != opened->end()) return *known->second;
  void* handle = open_library(path);
  const auto get_table = reinterpret_cast<const DeviceTable* (*)(uint32_t)>(find_symbol(handle, "sada_device_table"));
  const DeviceTable* table = get_table == nullptr ? nullptr : get_table(kDeviceAbi);
  if (table == nullptr || table->abi != kDeviceAbi)
    throw Error("BACKEND_UNAVAILABLE", path + " is not the GPU library of this version of sada.");
  return *((*opened)[path] = std::unique_ptr<GpuLibrary>(new GpuLibrary(table)));
}

std::string GpuLibrary::reason(DeviceStatus status) const {
  const std::string words = table_->error_string(status);
  if (table_->failure(status) != DeviceFailure::kUnavailable) return words;
  DeviceSystem system;
  table_->system(&system);
  if (system.driver_version == 0) return "no driver was found (" + words + ")";
  return words + " (the driver serves CUDA " + version_of(system.driver_version) + ", the library is built with " +
         version_of(system.runtime_version) + ")";
}

void GpuLibrary::check(DeviceStatus status, const std::string& what) const {
  if (status == 0) return;
  const std::string message = what + ": " + reason(status) + ", " + table_->name + " error " + std::to_string(status) + ".";
  switch (table_->failure(status)) {
    case DeviceFailure::kOutOfMemory: throw Error("OUT_OF_MEMORY", message);
    case DeviceFailure::kLost: throw Error("DEVICE_LOST", message + " Nothing runs on this GPU any more in this process; restart it.");
    case DeviceFailure::kUnavailable: throw Error("BACKEND_UNAVAILABLE", message);
    default: throw Error("INTERNAL", message);
  }
}

GpuStream::GpuStream(const GpuLibrary& library, int32_t index) : library_(library), index_(index) {
  library_.check(library_.table().create(index, &device_), "GPU " + std::to_string(index) + " could not be taken");
}

GpuStream::~GpuStream() {
  for (void* pinned : {static_cast<void*>(sums_.data), static_cast<void*>(indices_.data)}) {
    if (pinned != nullptr) library_.table().release_host(device_, pinned);
  }
  library_.table().destroy(device_);
  counters().scratch_bytes -= scratch_bytes_;
  counters().pinned_bytes -= static_cast<int64_t>(sums_.room * sizeof(double) + indices_.room * sizeof(int32_t));
}

void* GpuStream::allocate(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  void* memory = nullptr;
  library_.check(library_.table().allocate(device_, bytes, &memory), "No memory on the GPU for " + std::to_string(bytes) + " bytes");
  return memory;
}

void GpuStream::release(void* memory) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  library_.table().release(device_, memory);  // a failure here was one of earlier work and has been told
}

void GpuStream::upload(void* to, const void* from, int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes == 0) return;
  library_.check(library_.table().upload(device_, to, from, bytes), "Copying to the GPU failed");
}

void GpuStream::download(void* to, const void* from, int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes == 0) return;
  library_.check(library_.table().download(device_, to, from, bytes), "Copying from the GPU failed");
  library_.check(library_.table().synchronize(device_), "Copying from the GPU failed");
}

void GpuStream::copy(void* to, const void* from, int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes > 0) library_.check(library_.table().copy(device_, to, from, bytes), "Copying on the GPU failed");
}

void GpuStream::gather(const DeviceMove& move) {
  const std::lock_guard<std::mutex> lock(mutex_);
  reserve({0, 0, 0, move.kept});
  library_.check(library_.table().gather(device_, &move), "Gathering tokens failed");
}

void GpuStream::scatter(const DeviceMove& move) {
  const std::lock_guard<std::mutex> lock(mutex_);
  reserve({0, 0, 0, move.kept});
  library_.check(library_.table().scatter(device_, &move), "Scattering tokens failed");
}

void GpuStream::convert(void* to, Storage to_type, const void* from, Storage from_type, int64_t length) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (length > 0) library_.check(library_.table().convert(device_, to, to_type, from, from_type, length), "Converting a tensor failed");
}

void GpuStream::prepare(const DeviceLimits& limits) {
  const std::lock_guard<std::mutex> lock(mutex_);
  DeviceLimits of_one_batch = limits;
  of_one_batch.members = std::min(limits.members, kMaxMembers);
  reserve(of_one_batch);
  room_in(sums_, static_cast<size_t>(limits.members) * kMaxSums);
  room_in(indices_, static_cast<size_t>(limits.members * limits.host_indices));
}

std::vector<double> GpuStream::step(const std::vector<DeviceStep>& members) {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t count = 0;
  DeviceLimits limits;
  limits.members = static_cast<int32_t>(std::min<size_t>(members.size(), kMaxMembers));
  for (const DeviceStep& member : members) {
    count += static_cast<size_t>(member.request.sums);
    limits.length = std::max(limits.length, member.request.length);
    if (member.request.token_sum >= 0) limits.token_length = std::max(limits.token_length, member.request.length);
  }
  reserve(limits);
  double* sums = room_in(sums_, count);
  double* at = sums;
  for (size_t from = 0; from < members.size(); from += kMaxMembers) {
    const size_t n = std::min<size_t>(members.size() - from, kMaxMembers);
    library_.check(library_.table().step(device_, members.data() + from, static_cast<int32_t>(n), at), "A step on the GPU failed");
    for (size_t k = from; k < from + n; ++k) at += members[k].request.sums;
  }
  library_.check(library_.table().synchronize(device_), "A step on the GPU failed");
  return std::vector<double>(sums, sums + count);
}

void GpuStream::synchronize() {
  const std::lock_guard<std::mutex> lock(mutex_);
  library_.check(library_.table().synchronize(device_), "The GPU failed");
}

// Grows only: after the first steps of a run nothing is allocated any more.
void GpuStream::reserve(const DeviceLimits& limits) {
  DeviceLimits wanted = reserved_;
  wanted.length = std::max(wanted.length, limits.length);
  wanted.members = std::max(wanted.members, limits.members);
  wanted.token_length = std::max(wanted.token_length, limits.token_length);
  wanted.host_indices = std::max(wanted.host_indices, limits.host_indices);
  const bool is_enough = wanted.length == reserved_.length && wanted.members == reserved_.members &&
                         wanted.token_length == reserved_.token_length && wanted.host_indices == reserved_.host_indices;
  if (is_enough) return;
  generation_ += 1;
  // The old scratch goes first, and is gone also where the new one does not fit.
  counters().scratch_bytes -= scratch_bytes_;
  reserved_ = {}, scratch_bytes_ = 0;
  library_.check(library_.table().reserve(device_, &wanted), "No scratch memory on the GPU");
  reserved_ = wanted, scratch_bytes_ = library_.scratch_bytes(wanted);
  counters().scratch_bytes += scratch_bytes_;
}

template <typename T>
T* GpuStream::room_in(Pinned<T>& pinned, size_t count) {
  if (count <= pinned.room) return pinned.data;  // also none of none
  if (pinned.data != nullptr) library_.check(library_.table().release_host(device_, pinned.data), "Releasing memory failed");
  counters().pinned_bytes -= static_cast<int64_t>(pinned.room * sizeof(T));
  pinned = {};
  generation_ += 1;
  void* memory = nullptr;
  library_.check(library_.table().allocate_host(device_, static_cast<int64_t>(count * sizeof(T)), &memory), "No page-locked memory");
  pinned = {static_cast<T*>(memory), count};
  counters().pinned_bytes += static_cast<int64_t>(count * sizeof(T));
  return pinned.data;
}

const int32_t* GpuStream::pin(const std::vector<int32_t>& indices) {
  const std::lock_guard<std::mutex> lock(mutex_);
  int32_t* to = room_in(indices_, indices.size());
  std::copy(indices.begin(), indices.end(), to);
  return to;
}

void GpuStream::call(const std::string& what, const std::function<DeviceStatus(const DeviceTable&, Device*)>& call) {
  const std::lock_guard<std::mutex> lock(mutex_);
  library_.check(call(library_.table(), device_), what);
}

DeviceGraph* GpuStream::capture(const std::function<void()>& work) {
  const char* const what = "Recording a CUDA graph failed";
  const auto end = [&](DeviceGraph** graph) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return library_.table().end_capture(device_, graph);
  };
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    library_.check(library_.table().begin_capture(device_), what);
  }
  DeviceGraph* graph = nullptr;
  try {
    work();
  } catch (...) {
    if (end(&graph) == 0) release(graph);
    throw;
  }
  library_.check(end(&graph), what);
  return graph;
}

bool GpuStream::launch_of(int64_t generation, DeviceGraph* graph) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (generation != generation_) return false;
  library_.check(library_.table().launch(device_, graph), "Launching a CUDA graph failed");
  return true;
}

void GpuStream::release(DeviceGraph* graph) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  library_.table().release_graph(device_, graph);
}

}  // namespace sada
