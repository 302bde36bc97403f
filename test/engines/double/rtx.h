// What TensorRT for RTX has that TensorRT's public headers lack, as this double has it where its version is one of that.
#pragma once

#include <memory>

#include "double.h"

namespace tensorrt_double {

bool is_rtx();

// TensorRT's own functions are followed by others, in this order.
class RuntimeConfigImpl : public apiv::VRuntimeConfig {
 public:
  explicit RuntimeConfigImpl(ILogger& log) : log_(log) {}
  IRuntimeConfig* getPImpl() noexcept override { unused("getPImpl"); }
  void setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy memory) noexcept override { memory_ = memory; }
  ExecutionContextAllocationStrategy getExecutionContextAllocationStrategy() const noexcept override { return memory_; }
  virtual void* createRuntimeCache() noexcept { unused("createRuntimeCache"); }
  virtual bool setRuntimeCache(void*) noexcept { unused("setRuntimeCache"); }
  virtual void* getRuntimeCache() noexcept { unused("getRuntimeCache"); }
  virtual void setDynamicShapesKernelSpecializationStrategy(int32_t strategy) noexcept {
    if (!is_to_fail("setSpecialization", log_)) specialization_ = strategy;
  }
  virtual int32_t getDynamicShapesKernelSpecializationStrategy() const noexcept { return specialization_; }

 private:
  ILogger& log_;
  ExecutionContextAllocationStrategy memory_ = ExecutionContextAllocationStrategy::kSTATIC;
  int32_t specialization_ = 0;  // kLAZY; kEAGER is 1
};

class RuntimeConfig : public IRuntimeConfig {
 public:
  explicit RuntimeConfig(ILogger& log) : impl_(log) { mImpl = &impl_; }
  const RuntimeConfigImpl& impl() const { return impl_; }

 private:
  RuntimeConfigImpl impl_;
};

}  // namespace tensorrt_double
