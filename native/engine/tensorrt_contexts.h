// Makes the contexts of an engine, on memory that they are given. Included only where the headers are.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <utility>

#include "tensorrt_rtx.h"

namespace sada {

constexpr auto kGivenMemory = nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED;

#if NV_TENSORRT_MAJOR >= 11

// How contexts come by the kernels of a size. By default they run slow ones until the right ones are compiled in the background: a CUDA graph
// would keep the slow ones for good, and the bits would change in the middle of a run. In the table of IRuntimeConfig TensorRT's own
// functions are followed by createRuntimeCache, its setter and getter, and setDynamicShapesKernelSpecializationStrategy(int), its getter.
class RtxKernels : private nvinfer1::IRuntimeConfig {
 public:
  // A configuration whose contexts compile the kernels of a size before they first run; null where the library makes none that says so.
  static std::unique_ptr<nvinfer1::IRuntimeConfig> compiled_first(nvinfer1::ICudaEngine& engine) {
    std::unique_ptr<nvinfer1::IRuntimeConfig> config(engine.createRuntimeConfig());
    if (config == nullptr) return nullptr;
    config->setExecutionContextAllocationStrategy(kGivenMemory);
    void* interface = static_cast<RtxKernels&>(*config).mImpl;
    if (config->getExecutionContextAllocationStrategy() != kGivenMemory || call_rtx<int>(interface, kGet) != kLazy) return nullptr;
    call_rtx<void>(interface, kSet, kEager);
    return call_rtx<int>(interface, kGet) == kEager ? std::move(config) : nullptr;
  }

 private:
  static constexpr int kSet = 6 + kRtxDestructors, kGet = kSet + 1;
  static constexpr int kLazy = 0, kEager = 1;
};

// Outlives the contexts that it makes.
class EngineContexts {
 public:
  EngineContexts(nvinfer1::ICudaEngine& engine, bool is_rtx) : engine_(engine), config_(is_rtx ? RtxKernels::compiled_first(engine) : nullptr) {}
  // Null where the library makes none.
  std::unique_ptr<nvinfer1::IExecutionContext> make() {
    return std::unique_ptr<nvinfer1::IExecutionContext>(config_ != nullptr ? engine_.createExecutionContext(config_.get()) : engine_.createExecutionContext(kGivenMemory));
  }

 private:
  nvinfer1::ICudaEngine& engine_;
  std::unique_ptr<nvinfer1::IRuntimeConfig> config_;
};

#else  // with whose headers TensorRT for RTX is not served

class EngineContexts {
 public:
  EngineContexts(nvinfer1::ICudaEngine& engine, bool) : engine_(engine) {}
  std::unique_ptr<nvinfer1::IExecutionContext> make() { return std::unique_ptr<nvinfer1::IExecutionContext>(engine_.createExecutionContext(kGivenMemory)); }

 private:
  nvinfer1::ICudaEngine& engine_;
};

#endif

}  // namespace sada
