// What TensorRT for RTX has and TensorRT's headers lack: functions by their place in a table, and values of enums. Read out of its
// libraries 1.5.0, 1.6.1 and 1.7.1, which agree; what is set is read back. Included only where the headers are.
#pragma once

#include <NvInfer.h>

#include <vector>

namespace sada {

#if defined(_WIN32)
constexpr int kRtxDestructors = 1;  // slots of a table that begin it
#else
constexpr int kRtxDestructors = 2;
#endif

template <typename R, typename... A>
R call_rtx(void* interface, int slot, A... arguments) {
  void* const* table = *reinterpret_cast<void* const* const*>(interface);
  return reinterpret_cast<R (*)(void*, A...)>(table[slot])(interface, arguments...);
}

// The compute capabilities to build for. Four methods where TensorRT's headers have others: setNbComputeCapabilities(int) → bool, its getter,
// setComputeCapability(int, int index) → bool, its getter. They follow getL2LimitForTiling.
class RtxTargets : private nvinfer1::IBuilderConfig {
 public:
  // How many of them it took; the next one it refused.
  static int set(nvinfer1::IBuilderConfig& config, const std::vector<int>& targets) {
    void* interface = static_cast<RtxTargets&>(config).mImpl;
    const int count = static_cast<int>(targets.size());
    if (!call_rtx<bool>(interface, kSetCount, count) || call_rtx<int>(interface, kGetCount) != count) return 0;
    int taken = 0;
    while (taken < count && call_rtx<bool>(interface, kSet, targets[taken], taken) && call_rtx<int>(interface, kGet, taken) == targets[taken]) ++taken;
    return taken;
  }

 private:
  static constexpr int kSetCount = 53 + kRtxDestructors, kGetCount = kSetCount + 1, kSet = kSetCount + 2, kGet = kSetCount + 3;
};

// BuilderFlag::kREQUIRE_USER_ALLOCATION: the engine allocates nothing when it runs, as a CUDA graph that records it needs. A network whose
// sizes depend on values is not built with it.
class RtxAllocation {
 public:
  // Whether it is set now.
  static bool forbid(nvinfer1::IBuilderConfig& config) {
    config.setFlag(kFlag);
    return config.getFlag(kFlag);
  }
  static void allow(nvinfer1::IBuilderConfig& config) { config.clearFlag(kFlag); }

 private:
  static constexpr auto kFlag = static_cast<nvinfer1::BuilderFlag>(28);
};

}  // namespace sada
