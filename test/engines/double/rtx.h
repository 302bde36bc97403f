// What TensorRT for RTX has that TensorRT's public headers lack, as this double has it where its version is one of that.
#pragma once

#include <memory>
#include <set>
#include <sstream>
#include <string>

#include "double.h"

namespace tensorrt_double {

bool is_rtx();

class Bytes : public IHostMemory, private apiv::VHostMemory {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) { mImpl = this; }

 private:
  void* data() const noexcept override { return const_cast<char*>(bytes_.data()); }
  std::size_t size() const noexcept override { return bytes_.size(); }
  DataType type() const noexcept override { return DataType::kUINT8; }
  std::string bytes_;
};

// The functions of IRuntimeCache, as the library's table has them.
class VRuntimeCache {
 public:
  virtual ~VRuntimeCache() noexcept = default;
  virtual IHostMemory* serialize() const noexcept = 0;
  virtual bool deserialize(const void* bytes, std::size_t size) noexcept = 0;
  virtual bool reset() noexcept = 0;
};

// Names of kernels; of another version's nothing is taken.
class RuntimeCacheImpl : public VRuntimeCache, public Kernels {
 public:
  explicit RuntimeCacheImpl(ILogger& log) : log_(log) {}
  IHostMemory* serialize() const noexcept override {
    if (is_to_fail("writeRuntimeCache", log_)) return nullptr;
    std::string text = header();
    for (const std::string& each : names) text += each + "\n";
    return new Bytes(text);
  }
  bool deserialize(const void* bytes, std::size_t size) noexcept override {
    std::istringstream text(std::string(static_cast<const char*>(bytes), size));
    std::string line;
    std::getline(text, line);
    if (is_to_fail("readRuntimeCache", log_) || line + "\n" != header()) return false;
    while (std::getline(text, line)) names.insert(line);
    return true;
  }
  bool reset() noexcept override { unused("reset"); }

 private:
  static std::string header();
  ILogger& log_;
};

class RuntimeCache : public INoCopy {
 public:
  explicit RuntimeCache(ILogger& log) : kernels_(log) { mImpl = &kernels_; }
  virtual ~RuntimeCache() noexcept {
    if (kernels_.contexts != 0) unused("contexts that outlive their runtime cache");
  }
  Kernels& kernels() { return kernels_; }

 protected:
  VRuntimeCache* mImpl;

 private:
  RuntimeCacheImpl kernels_;
};

// TensorRT's own functions are followed by others, in this order.
class RuntimeConfigImpl : public apiv::VRuntimeConfig {
 public:
  explicit RuntimeConfigImpl(ILogger& log) : log_(log) {}
  IRuntimeConfig* getPImpl() noexcept override { unused("getPImpl"); }
  void setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy memory) noexcept override { memory_ = memory; }
  ExecutionContextAllocationStrategy getExecutionContextAllocationStrategy() const noexcept override { return memory_; }
  virtual RuntimeCache* createRuntimeCache() const noexcept {
    return is_to_fail("createRuntimeCache", log_) ? nullptr : new RuntimeCache(log_);
  }
  virtual bool setRuntimeCache(const RuntimeCache& cache) noexcept {
    if (is_to_fail("setRuntimeCache", log_)) return false;
    cache_ = const_cast<RuntimeCache*>(&cache);
    return true;
  }
  virtual RuntimeCache* getRuntimeCache() const noexcept { return cache_; }
  virtual void setDynamicShapesKernelSpecializationStrategy(int32_t strategy) noexcept {
    if (!is_to_fail("setSpecialization", log_)) specialization_ = strategy;
  }
  virtual int32_t getDynamicShapesKernelSpecializationStrategy() const noexcept { return specialization_; }

 private:
  ILogger& log_;
  ExecutionContextAllocationStrategy memory_ = ExecutionContextAllocationStrategy::kSTATIC;
  int32_t specialization_ = 0;  // kLAZY; kEAGER is 1
  RuntimeCache* cache_ = nullptr;
};

class RuntimeConfig : public IRuntimeConfig {
 public:
  explicit RuntimeConfig(ILogger& log) : impl_(log) { mImpl = &impl_; }
  const RuntimeConfigImpl& impl() const { return impl_; }

 private:
  RuntimeConfigImpl impl_;
};

}  // namespace tensorrt_double
