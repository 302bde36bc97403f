// Makes the contexts of an engine, on memory that they are given. Included only where the headers are.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tensorrt_rtx.h"

namespace sada {

constexpr auto kGivenMemory = nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED;

#if NV_TENSORRT_MAJOR >= 11

// How contexts come by the kernels of a size. By default they run slow ones until the right ones are compiled in the background: a CUDA
// graph would keep the slow ones for good, and the bits would change in the middle of a run. In the table of IRuntimeConfig TensorRT's own
// functions are followed by createRuntimeCache(), its setter → bool and getter, and setDynamicShapesKernelSpecializationStrategy(int), its
// getter.
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

  // What the contexts of this configuration take kernels from, and add them to: at first those of `bytes`. Null where the library has none.
  static std::unique_ptr<RtxRuntimeCache> cached(nvinfer1::IRuntimeConfig& config, const std::vector<uint8_t>& bytes) {
    void* interface = static_cast<RtxKernels&>(config).mImpl;
    std::unique_ptr<RtxRuntimeCache> cache(call_rtx<RtxRuntimeCache*>(interface, kCreateCache));
    if (cache == nullptr) return nullptr;
    if (!bytes.empty()) cache->read(bytes);  // before the configuration has it, as the library wants it; what it does not take is compiled
    return call_rtx<bool>(interface, kSetCache, static_cast<const RtxRuntimeCache*>(cache.get())) ? std::move(cache) : nullptr;
  }

 private:
  static constexpr int kCreateCache = 3 + kRtxDestructors, kSetCache = kCreateCache + 1;
  static constexpr int kSet = kCreateCache + 3, kGet = kSet + 1;
  static constexpr int kLazy = 0, kEager = 1;
};

// Outlives the contexts that it makes.
class EngineContexts {
 public:
  EngineContexts(nvinfer1::ICudaEngine& engine, bool is_rtx, const std::vector<uint8_t>& runtime_cache)
      : engine_(engine), config_(is_rtx ? RtxKernels::compiled_first(engine) : nullptr) {
    if (config_ != nullptr) cache_ = RtxKernels::cached(*config_, runtime_cache);
  }

  // What `make`'s contexts compiled and were given, for another process; empty where the library keeps nothing.
  std::vector<uint8_t> runtime_cache() const { return cache_ == nullptr ? std::vector<uint8_t>() : cache_->write(); }
  // Null where the library makes none.
  std::unique_ptr<nvinfer1::IExecutionContext> make() {
    return std::unique_ptr<nvinfer1::IExecutionContext>(config_ != nullptr ? engine_.createExecutionContext(config_.get())
                                                                           : engine_.createExecutionContext(kGivenMemory));
  }

 private:
  nvinfer1::ICudaEngine& engine_;
  std::unique_ptr<RtxRuntimeCache> cache_;  // before the configuration, which names it
  std::unique_ptr<nvinfer1::IRuntimeConfig> config_;
};

#else  // with whose headers TensorRT for RTX is not served

class EngineContexts {
 public:
  EngineContexts(nvinfer1::ICudaEngine& engine, bool, const std::vector<uint8_t>&) : engine_(engine) {}
  std::vector<uint8_t> runtime_cache() const { return {}; }
  std::unique_ptr<nvinfer1::IExecutionContext> make() {
    return std::unique_ptr<nvinfer1::IExecutionContext>(engine_.createExecutionContext(kGivenMemory));
  }

 private:
  nvinfer1::ICudaEngine& engine_;
};

#endif

}  // namespace sada
