// A GPU behind a device library (native/device.h) that is opened at run time: its failures as Errors, a stream for every run.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device.h"
#include "error.h"

namespace sada {

// An opened device library; open for good, as drivers do not like to be closed.
class GpuLibrary {
 public:
  // Opened once per path. Throws BACKEND_UNAVAILABLE with the loader's own words, or where it has another table.
  static const GpuLibrary& open(const std::string& path);

  const DeviceTable& table() const { return *table_; }
  // Throws BACKEND_UNAVAILABLE, OUT_OF_MEMORY, DEVICE_LOST or INTERNAL where `status` is a failure of `what`.
  void check(DeviceStatus status, const std::string& what) const;
  // Bytes of scratch memory and of pinned host memory that `GpuStream::prepare` takes.
  int64_t scratch_bytes(const DeviceLimits& limits) const { return table_->reserve_bytes(&limits); }
  static int64_t pinned_bytes(int64_t members) { return members * kMaxSums * static_cast<int64_t>(sizeof(double)); }
  // A failure in words, with the versions where they may be the cause.
  std::string reason(DeviceStatus status) const;

 private:
  explicit GpuLibrary(const DeviceTable* table) : table_(table) {}
  const DeviceTable* table_;
};

// One GPU's stream and scratch memory, for one run. Calls exclude each other; each waits for what it enqueued, where it says so.
class GpuStream {
 public:
  GpuStream(const GpuLibrary& library, int32_t index);
  ~GpuStream();
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;

  void* allocate(int64_t bytes);  // zero-filled
  void release(void* memory) noexcept;
  // `from` is pageable memory: it is read before this returns, and the copy takes its place on the stream.
  void upload(void* to, const void* from, int64_t bytes);
  void download(void* to, const void* from, int64_t bytes);  // waits
  void copy(void* to, const void* from, int64_t bytes);
  void gather(DeviceMove move);
  void scatter(DeviceMove move);
  // Apart, or the same memory and type.
  void convert(void* to, Storage to_type, const void* from, Storage from_type, int64_t length);
  // The steps of a batch; returns their sums, so it waits.
  std::vector<double> step(const std::vector<DeviceStep>& members);
  // Scratch memory for calls within these limits, and pinned memory for the sums of as many members: nothing is allocated for them later.
  void prepare(const DeviceLimits& limits);
  void synchronize();
  int32_t index() const { return index_; }  // of the GPU
  void* stream() const { return library_.table().stream(device_); }  // a cudaStream_t

 private:
  void reserve(const DeviceLimits& limits);
  double* pinned_sums(size_t count);

  const GpuLibrary& library_;
  const int32_t index_;
  std::mutex mutex_;
  Device* device_ = nullptr;
  DeviceLimits reserved_;
  int64_t scratch_bytes_ = 0;
  double* sums_ = nullptr;
  size_t sums_room_ = 0;
};

}  // namespace sada
