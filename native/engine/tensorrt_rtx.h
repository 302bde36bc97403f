// What TensorRT for RTX has and TensorRT's headers lack: functions by their place in a table, and values of enums. Read out of its
// libraries 1.5.0, 1.6.1 and 1.7.1, which agree, as do the calls that NVIDIA's own bindings for Python of those versions make; what is set
// is read back. Included only where the headers are.
#pragma once

#include <NvInfer.h>

#include <cstdint>
#include <memory>
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

// The compute capabilities to build for. Four methods where TensorRT's headers have others: setNbComputeCapabilities(int) → bool, its
// getter, setComputeCapability(int, int index) → bool, its getter. They follow getL2LimitForTiling.
class RtxTargets : private nvinfer1::IBuilderConfig {
 public:
  // How many of them it took; the next one it refused.
  static int set(nvinfer1::IBuilderConfig& config, const std::vector<int>& targets) {
    void* interface = static_cast<RtxTargets&>(config).mImpl;
    const int count = static_cast<int>(targets.size());
    if (!call_rtx<bool>(interface, kSetCount, count) || call_rtx<int>(interface, kGetCount) != count) return 0;
    int taken = 0;
    while (taken < count && call_rtx<bool>(interface, kSet, targets[taken], taken) &&
           call_rtx<int>(interface, kGet, taken) == targets[taken])
      ++taken;
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

// IRuntimeCache: the kernels that contexts compiled for this GPU, which another process can be given.
class RtxRuntimeCache : public nvinfer1::INoCopy {
 public:
  virtual ~RtxRuntimeCache() noexcept = default;

  // False where the bytes are of another library, kind of GPU or operating system, or of a newer driver; then nothing of them is used.
  bool read(const std::vector<uint8_t>& bytes) noexcept { return table_->deserialize(bytes.data(), bytes.size()); }
  // Empty where the library gives nothing.
  std::vector<uint8_t> write() const {
    const std::unique_ptr<nvinfer1::IHostMemory> bytes(table_->serialize());
    if (bytes == nullptr) return {};
    const uint8_t* data = static_cast<const uint8_t*>(bytes->data());
    return std::vector<uint8_t>(data, data + bytes->size());
  }

 private:
  class Table {
   public:
    virtual ~Table() noexcept = default;
    virtual nvinfer1::IHostMemory* serialize() const noexcept = 0;
    virtual bool deserialize(const void* bytes, std::size_t size) noexcept = 0;
    virtual bool reset() noexcept = 0;
  };
  Table* table_;  // made by the library alone
};

}  // namespace sada
