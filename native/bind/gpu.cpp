#include "gpu.h"

#include <algorithm>
#include <string>
#include <vector>

#include "../gpu.h"
#include "addon_data.h"
#include "promise.h"
#include "read.h"

namespace sada::bind {
namespace {

class FindJob : public PromiseJob {
 public:
  // `only`: the GPU that is looked at, since each that is costs its context's memory; less than 0: all.
  FindJob(Courier& courier, std::string path, int32_t only) : PromiseJob(courier), path_(std::move(path)), only_(only) {}

 protected:
  void work() override {
    const GpuLibrary& library = GpuLibrary::open(path_);
    const DeviceTable& table = library.table();
    name_ = table.name;
    const DeviceStatus status = table.system(&system_);
    if (status != 0) reason_ = library.reason(status);
    else if (system_.devices == 0) reason_ = "no GPU was found";
    else if (only_ >= system_.devices) reason_ = "there is no GPU " + std::to_string(only_) + "; found " + std::to_string(system_.devices);
    for (int32_t k = 0; status == 0 && k < system_.devices; ++k) {
      if (only_ < 0 || k == only_) look_at(library, k);
    }
  }

  Napi::Value result(Napi::Env env) override {
    Napi::Object report = Napi::Object::New(env);
    report.Set("backend", name_);
    report.Set("driverVersion", static_cast<double>(system_.driver_version));
    report.Set("runtimeVersion", static_cast<double>(system_.runtime_version));
    if (!reason_.empty()) report.Set("reason", reason_);
    Napi::Array gpus = Napi::Array::New(env, gpus_.size());
    for (uint32_t k = 0; k < gpus_.size(); ++k) gpus.Set(k, describe(env, indices_[k], gpus_[k]));
    report.Set("gpus", gpus);
    return report;
  }

 private:
  void look_at(const GpuLibrary& library, int32_t index) {
    DeviceInfo info;
    const DeviceStatus usable = try_out(library.table(), index, info);
    if (usable == 0) gpus_.push_back(info), indices_.push_back(index);
    else reason_ = "GPU " + std::to_string(index) + show(info) + ": " + library.reason(usable);
  }

  // A GPU too old for the library's kernels shows when they are prepared.
  static DeviceStatus try_out(const DeviceTable& table, int32_t index, DeviceInfo& info) {
    const DeviceStatus described = table.describe(index, &info);
    if (described != 0) return described;
    Device* device = nullptr;
    const DeviceStatus created = table.create(index, &device);
    return created != 0 ? created : table.destroy(device);
  }

  static std::string show(const DeviceInfo& info) {
    if (info.name[0] == 0) return "";
    return std::string(" (") + info.name + ", compute capability " + std::to_string(info.capability_major) + "." +
           std::to_string(info.capability_minor) + ")";
  }

  static Napi::Object describe(Napi::Env env, int32_t index, const DeviceInfo& info) {
    Napi::Object gpu = Napi::Object::New(env);
    gpu.Set("index", static_cast<double>(index));
    gpu.Set("name", std::string(info.name));
    gpu.Set("computeCapability", std::to_string(info.capability_major) + "." + std::to_string(info.capability_minor));
    gpu.Set("multiprocessors", static_cast<double>(info.multiprocessors));
    gpu.Set("totalBytes", static_cast<double>(info.total_bytes));
    gpu.Set("freeBytes", static_cast<double>(info.free_bytes));
    return gpu;
  }

  std::string path_, name_, reason_;
  const int32_t only_;
  DeviceSystem system_;
  std::vector<DeviceInfo> gpus_;
  std::vector<int32_t> indices_;
};

}  // namespace

Napi::Value find_gpus(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    std::string library = read_string(info[0], "library");
    const int32_t only = info[1].IsUndefined() ? -1 : static_cast<int32_t>(read_integer(info[1], "index", 0, 1 << 20));
    Worker& worker = addon_data(info.Env()).step_worker(info.Env());
    return worker.submit(std::make_shared<FindJob>(worker.courier(), std::move(library), only));
  });
}

Napi::Value measure_gpu_scratch(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string library = read_string(info[0], "library");
    DeviceLimits limits = read_limits(info[1]);
    Napi::Object scratch = Napi::Object::New(info.Env());
    scratch.Set("pinned", static_cast<double>(GpuLibrary::pinned_bytes(limits)));
    limits.members = std::min(limits.members, kMaxMembers);
    scratch.Set("device", static_cast<double>(GpuLibrary::open(library).scratch_bytes(limits)));
    return scratch;
  });
}

}  // namespace sada::bind
