// A GPU behind a device library (native/device.h) that is opened at run time: its failures as Errors, a stream for every run.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
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
  // Sums, and the kept tokens of each member.
  static int64_t pinned_bytes(const DeviceLimits& limits) {
    return limits.members * (kMaxSums * int64_t{sizeof(double)} + limits.host_indices * int64_t{sizeof(int32_t)});
  }
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
  // Indices on the host are pinned ones.
  void gather(const DeviceMove& move);
  void scatter(const DeviceMove& move);
  // A copy of the indices at an address that stays as long as their number does not grow; of the last call alone. The caller has waited for
  // what was enqueued with those before.
  const int32_t* pin(const std::vector<int32_t>& indices);
  // Apart, or the same memory and type.
  void convert(void* to, Storage to_type, const void* from, Storage from_type, int64_t length);
  // The steps of a batch; returns their sums, so it waits.
  std::vector<double> step(const std::vector<DeviceStep>& members);
  // Scratch memory for calls within these limits, and pinned memory for the sums of as many members: nothing is allocated for them later.
  void prepare(const DeviceLimits& limits);
  void synchronize();
  // A call of the library on this stream. Throws what it failed of.
  void call(const std::string& what, const std::function<DeviceStatus(const DeviceTable&, Device*)>& call);
  // What `work` adds, recorded instead of done. Throws what `work` throws; on failure the stream goes on as if it had not been.
  DeviceGraph* capture(const std::function<void()>& work);
  // Nothing, and false, where the stream's generation is another by now.
  bool launch_of(int64_t generation, DeviceGraph* graph);
  void release(DeviceGraph* graph) noexcept;
  // Changes when the memory behind the calls above has moved: then what was recorded before must not be launched.
  int64_t generation() const { return generation_; }
  int32_t index() const { return index_; }  // of the GPU
  void* stream() const { return library_.table().stream(device_); }  // a cudaStream_t

 private:
  void reserve(const DeviceLimits& limits);
  template <typename T>
  struct Pinned {
    T* data = nullptr;
    size_t room = 0;
  };
  // Room for `count`, grown where it is too small; contents are lost then.
  template <typename T>
  T* room_in(Pinned<T>& pinned, size_t count);

  const GpuLibrary& library_;
  const int32_t index_;
  std::mutex mutex_;
  Device* device_ = nullptr;
  DeviceLimits reserved_;
  int64_t scratch_bytes_ = 0;
  Pinned<double> sums_;
  Pinned<int32_t> indices_;
  std::atomic<int64_t> generation_{0};
};

}  // namespace sada
