// What of the interfaces sada does not call: it ends the test that does. One line for each pure function of the public headers.
#pragma once

#include <NvInferRuntime.h>

#include <cstdio>
#include <cstdlib>

namespace tensorrt_double {

using namespace nvinfer1;

[[noreturn]] inline void unused(const char* name) {
  std::fprintf(stderr, "the double of TensorRT does not have %s\n", name);
  std::abort();
}

class UnusedRuntime : public apiv::VRuntime {
 public:
  IRuntime* getPImpl() noexcept override { unused("getPImpl"); }
  void setDLACore(int32_t) noexcept override { unused("setDLACore"); }
  int32_t getDLACore() const noexcept override { unused("getDLACore"); }
  int32_t getNbDLACores() const noexcept override { unused("getNbDLACores"); }
  void setGpuAllocator(IGpuAllocator*) noexcept override { unused("setGpuAllocator"); }
  void setErrorRecorder(IErrorRecorder*) noexcept override { unused("setErrorRecorder"); }
  IErrorRecorder* getErrorRecorder() const noexcept override { unused("getErrorRecorder"); }
  ILogger* getLogger() const noexcept override { unused("getLogger"); }
  bool setMaxThreads(int32_t) noexcept override { unused("setMaxThreads"); }
  int32_t getMaxThreads() const noexcept override { unused("getMaxThreads"); }
  void setTemporaryDirectory(char const*) noexcept override { unused("setTemporaryDirectory"); }
  char const* getTemporaryDirectory() const noexcept override { unused("getTemporaryDirectory"); }
  void setTempfileControlFlags(TempfileControlFlags) noexcept override { unused("setTempfileControlFlags"); }
  TempfileControlFlags getTempfileControlFlags() const noexcept override { unused("getTempfileControlFlags"); }
  IPluginRegistry& getPluginRegistry() noexcept override { unused("getPluginRegistry"); }
  void setPluginRegistryParent(IPluginRegistry*) noexcept override { unused("setPluginRegistryParent"); }
  IRuntime* loadRuntime(char const*) noexcept override { unused("loadRuntime"); }
  void setEngineHostCodeAllowed(bool) noexcept override { unused("setEngineHostCodeAllowed"); }
  bool getEngineHostCodeAllowed() const noexcept override { unused("getEngineHostCodeAllowed"); }
  nvinfer1::ICudaEngine* deserializeCudaEngineV2(IStreamReaderV2&) noexcept override { unused("deserializeCudaEngineV2"); }
};

class UnusedCudaEngine : public apiv::VCudaEngine {
 public:
  ICudaEngine* getPImpl() noexcept override { unused("getPImpl"); }
  int32_t getNbLayers() const noexcept override { unused("getNbLayers"); }
  IHostMemory* serialize() const noexcept override { unused("serialize"); }
  bool isRefittable() const noexcept override { unused("isRefittable"); }
  char const* getName() const noexcept override { unused("getName"); }
  EngineCapability getEngineCapability() const noexcept override { unused("getEngineCapability"); }
  void setErrorRecorder(IErrorRecorder*) noexcept override { unused("setErrorRecorder"); }
  IErrorRecorder* getErrorRecorder() const noexcept override { unused("getErrorRecorder"); }
  TacticSources getTacticSources() const noexcept override { unused("getTacticSources"); }
  ProfilingVerbosity getProfilingVerbosity() const noexcept override { unused("getProfilingVerbosity"); }
  IEngineInspector* createEngineInspector() const noexcept override { unused("createEngineInspector"); }
  int32_t getTensorBytesPerComponent(char const*) const noexcept override { unused("getTensorBytesPerComponent"); }
  int32_t getTensorComponentsPerElement(char const*) const noexcept override { unused("getTensorComponentsPerElement"); }
  TensorFormat getTensorFormat(char const*) const noexcept override { unused("getTensorFormat"); }
  char const* getTensorFormatDesc(char const*) const noexcept override { unused("getTensorFormatDesc"); }
  int32_t getTensorVectorizedDim(char const*) const noexcept override { unused("getTensorVectorizedDim"); }
  HardwareCompatibilityLevel getHardwareCompatibilityLevel() const noexcept override { unused("getHardwareCompatibilityLevel"); }
  int32_t getNbAuxStreams() const noexcept override { unused("getNbAuxStreams"); }
  int32_t getTensorBytesPerComponentV2(char const*, int32_t) const noexcept override { unused("getTensorBytesPerComponentV2"); }
  int32_t getTensorComponentsPerElementV2(char const*, int32_t) const noexcept override { unused("getTensorComponentsPerElementV2"); }
  TensorFormat getTensorFormatV2(char const*, int32_t) const noexcept override { unused("getTensorFormatV2"); }
  char const* getTensorFormatDescV2(char const*, int32_t) const noexcept override { unused("getTensorFormatDescV2"); }
  int32_t getTensorVectorizedDimV2(char const*, int32_t) const noexcept override { unused("getTensorVectorizedDimV2"); }
  ISerializationConfig* createSerializationConfig() noexcept override { unused("createSerializationConfig"); }
  IHostMemory* serializeWithConfig(ISerializationConfig&) const noexcept override { unused("serializeWithConfig"); }
  IRefitter* createRefitter(ILogger&) noexcept override { unused("createRefitter"); }
  int64_t getStreamableWeightsSize() const noexcept override { unused("getStreamableWeightsSize"); }
  bool isDebugTensor(char const*) const noexcept override { unused("isDebugTensor"); }
  bool setWeightStreamingBudgetV2(int64_t) noexcept override { unused("setWeightStreamingBudgetV2"); }
  int64_t getWeightStreamingBudgetV2() const noexcept override { unused("getWeightStreamingBudgetV2"); }
  int64_t getWeightStreamingAutomaticBudget() const noexcept override { unused("getWeightStreamingAutomaticBudget"); }
  int64_t getWeightStreamingScratchMemorySize() const noexcept override { unused("getWeightStreamingScratchMemorySize"); }
  int64_t getDeviceMemorySizeV2() const noexcept override { unused("getDeviceMemorySizeV2"); }
  int64_t const* getProfileTensorValuesV2(char const*, int32_t, OptProfileSelector) const noexcept override {
    unused("getProfileTensorValuesV2");
  }
  IExecutionContext* createExecutionContextWithRuntimeConfig(IRuntimeConfig*) noexcept override {
    unused("createExecutionContextWithRuntimeConfig");
  }
  IRuntimeConfig* createRuntimeConfig() noexcept override { unused("createRuntimeConfig"); }
  int64_t getEngineStat(EngineStat) const noexcept override { unused("getEngineStat"); }
  char const* getAliasedInputTensor(char const*) const noexcept override { unused("getAliasedInputTensor"); }
};

class UnusedExecutionContext : public apiv::VExecutionContext {
 public:
  IExecutionContext* getPImpl() noexcept override { unused("getPImpl"); }
  void setDebugSync(bool) noexcept override { unused("setDebugSync"); }
  bool getDebugSync() const noexcept override { unused("getDebugSync"); }
  void setProfiler(IProfiler*) noexcept override { unused("setProfiler"); }
  IProfiler* getProfiler() const noexcept override { unused("getProfiler"); }
  ICudaEngine const& getEngine() const noexcept override { unused("getEngine"); }
  void setName(char const*) noexcept override { unused("setName"); }
  char const* getName() const noexcept override { unused("getName"); }
  void setDeviceMemory(void*) noexcept override { unused("setDeviceMemory"); }
  int32_t getOptimizationProfile() const noexcept override { unused("getOptimizationProfile"); }
  bool allInputDimensionsSpecified() const noexcept override { unused("allInputDimensionsSpecified"); }
  void setErrorRecorder(IErrorRecorder*) noexcept override { unused("setErrorRecorder"); }
  IErrorRecorder* getErrorRecorder() const noexcept override { unused("getErrorRecorder"); }
  bool executeV2(void* const*) noexcept override { unused("executeV2"); }
  void setEnqueueEmitsProfile(bool) noexcept override { unused("setEnqueueEmitsProfile"); }
  bool getEnqueueEmitsProfile() const noexcept override { unused("getEnqueueEmitsProfile"); }
  bool reportToProfiler() const noexcept override { unused("reportToProfiler"); }
  Dims getTensorStrides(char const*) const noexcept override { unused("getTensorStrides"); }
  bool setTensorAddress(char const*, void*) noexcept override { unused("setTensorAddress"); }
  void const* getTensorAddress(char const*) const noexcept override { unused("getTensorAddress"); }
  int32_t inferShapes(int32_t, char const**) noexcept override { unused("inferShapes"); }
  bool setInputConsumedEvent(cudaEvent_t) noexcept override { unused("setInputConsumedEvent"); }
  cudaEvent_t getInputConsumedEvent() const noexcept override { unused("getInputConsumedEvent"); }
  void* getOutputTensorAddress(char const*) const noexcept override { unused("getOutputTensorAddress"); }
  bool setOutputAllocator(char const*, IOutputAllocator*) noexcept override { unused("setOutputAllocator"); }
  IOutputAllocator* getOutputAllocator(char const*) noexcept override { unused("getOutputAllocator"); }
  int64_t getMaxOutputSize(char const*) const noexcept override { unused("getMaxOutputSize"); }
  bool setTemporaryStorageAllocator(IGpuAllocator*) noexcept override { unused("setTemporaryStorageAllocator"); }
  IGpuAllocator* getTemporaryStorageAllocator() const noexcept override { unused("getTemporaryStorageAllocator"); }
  void setPersistentCacheLimit(size_t) noexcept override { unused("setPersistentCacheLimit"); }
  size_t getPersistentCacheLimit() const noexcept override { unused("getPersistentCacheLimit"); }
  bool setNvtxVerbosity(ProfilingVerbosity) noexcept override { unused("setNvtxVerbosity"); }
  ProfilingVerbosity getNvtxVerbosity() const noexcept override { unused("getNvtxVerbosity"); }
  void setAuxStreams(cudaStream_t*, int32_t) noexcept override { unused("setAuxStreams"); }
  bool setDebugListener(IDebugListener*) noexcept override { unused("setDebugListener"); }
  IDebugListener* getDebugListener() noexcept override { unused("getDebugListener"); }
  bool setTensorDebugState(char const*, bool) noexcept override { unused("setTensorDebugState"); }
  bool getDebugState(char const*) const noexcept override { unused("getDebugState"); }
  bool setAllTensorsDebugState(bool) noexcept override { unused("setAllTensorsDebugState"); }
  size_t updateDeviceMemorySizeForShapes() noexcept override { unused("updateDeviceMemorySizeForShapes"); }
  IRuntimeConfig* getRuntimeConfig() const noexcept override { unused("getRuntimeConfig"); }
  bool setUnfusedTensorsDebugState(bool) noexcept override { unused("setUnfusedTensorsDebugState"); }
  bool getUnfusedTensorsDebugState() const noexcept override { unused("getUnfusedTensorsDebugState"); }
  bool setCommunicator(void*) noexcept override { unused("setCommunicator"); }
};

}  // namespace tensorrt_double
