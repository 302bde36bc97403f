// What the builder and the runtime of TensorRT share: the opened library and its words. Included only where the headers are.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "dynamic_library.h"

namespace sada {

// An opened libnvinfer or libtensorrt_rtx; open for good. `version`: major * 10000 + minor * 100 + patch.
struct TensorRtLibrary {
  void* handle = nullptr;
  int version = 0;
  bool is_rtx = false;
};

// Throws BACKEND_UNAVAILABLE with the loader's own words, or for a version that does not speak the interfaces of the headers.
TensorRtLibrary open_tensorrt_library(const std::string& path);

// Opens what a builder of TensorRT loads by its bare name, where that lies beside the library and not where the system's loader looks. What
// does not open is left to the builder, which says what it misses.
void open_builder_resources(const std::string& library);

std::string show_tensorrt_version(int version);

// Keeps what the library says of failures; prints nothing. Called from the library's threads too.
class TensorRtLog : public nvinfer1::ILogger {
 public:
  struct GiveBack {
    void operator()(TensorRtLog* log) const;
  };
  using Taken = std::unique_ptr<TensorRtLog, GiveBack>;
  // One that nobody else has. They are never freed: the first that the library is given is its own log for as long as it has any object,
  // also when what it was given for has gone.
  static Taken take();

  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kERROR) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (said_.size() < 4000) said_ += (said_.empty() ? "" : "; ") + std::string(message);
  }
  std::string said() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return said_.empty() ? "it does not say why" : said_;
  }
  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    said_.clear();
  }

 private:
  TensorRtLog() = default;
  ~TensorRtLog() = default;

  mutable std::mutex mutex_;
  std::string said_;
};

}  // namespace sada
