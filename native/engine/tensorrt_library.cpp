#if defined(SADA_TENSORRT)

#include "tensorrt_library.h"

#include <filesystem>
#include <vector>

namespace sada {
namespace {

// Functions of the interfaces are called by their place in a table, and that changes with every major version: of all 10.x and 11.x
// headers, those of 11.0 and 11.1 agree, and none of 10.x with them. So only the major version of the headers is served; of 10 from
// 10.1 on, which has the functions used here.
constexpr int kMajor = NV_TENSORRT_MAJOR;
constexpr int kOldest = kMajor * 10000 + (kMajor == 10 ? 100 : 0), kNewest = kMajor * 10000 + 9999;
// TensorRT for RTX counts its own versions, and changes its tables with minor ones: those of 1.4 are TensorRT 10's, and a call through
// them ends the process. Those of 1.5.0, 1.6.1 and 1.7.1 were read out of the libraries: they are TensorRT 11's, with the exceptions of
// tensorrt_rtx.h. What a later one changes is not known before it is read.
constexpr int kOldestRtx = 10500, kNewestRtx = 10799;

void check_version(const std::string& path, int version, bool is_rtx) {
  const std::string found = path + " is version " + show_tensorrt_version(version);
  if (is_rtx && (version < kOldestRtx || version > kNewestRtx))
    throw Error("BACKEND_UNAVAILABLE", found + " of TensorRT for RTX; of that, 1.5 to 1.7 are served.");
  if (is_rtx && kMajor < 11) throw Error("BACKEND_UNAVAILABLE", path + " needs an addon that was built with the headers of TensorRT 11.");
  if (!is_rtx && (version < kOldest || version > kNewest)) {
    throw Error("BACKEND_UNAVAILABLE", found + "; TensorRT " + std::to_string(kMajor) +
                                           ", whose headers this addon was built with, or TensorRT for RTX 1.5 to 1.7 is needed.");
  }
}

}  // namespace

std::string show_tensorrt_version(int version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

TensorRtLibrary open_tensorrt_library(const std::string& path) {
  TensorRtLibrary library;
  library.handle = open_library(path);
  const auto get_version = reinterpret_cast<int (*)()>(find_symbol(library.handle, "getInferLibVersion"));
  if (get_version == nullptr) throw Error("BACKEND_UNAVAILABLE", path + " is not TensorRT: it has no getInferLibVersion.");
  library.version = get_version();
  const size_t slash = path.find_last_of("/\\");
  library.is_rtx = path.find("tensorrt_rtx", slash == std::string::npos ? 0 : slash) != std::string::npos;
  check_version(path, library.version, library.is_rtx);
  return library;
}

namespace {

// Those that nobody has.
struct IdleLogs {
  std::mutex mutex;
  std::vector<TensorRtLog*> logs;
};

IdleLogs& idle_logs() {
  static auto* idle = new IdleLogs;
  return *idle;
}

}  // namespace

TensorRtLog::Taken TensorRtLog::take() {
  IdleLogs& idle = idle_logs();
  const std::lock_guard<std::mutex> lock(idle.mutex);
  if (idle.logs.empty()) return Taken(new TensorRtLog);
  Taken taken(idle.logs.back());
  idle.logs.pop_back();
  taken->clear();
  return taken;
}

void TensorRtLog::GiveBack::operator()(TensorRtLog* log) const {
  IdleLogs& idle = idle_logs();
  const std::lock_guard<std::mutex> lock(idle.mutex);
  idle.logs.push_back(log);
}

void open_builder_resources(const std::string& library) {
  namespace fs = std::filesystem;
  std::error_code failed;
  for (fs::directory_iterator file(fs::u8path(library).parent_path(), failed), end; !failed && file != end; file.increment(failed)) {
    if (file->path().filename().u8string().find("nvinfer_builder_resource") == std::string::npos) continue;
    try {
      open_library(file->path().u8string());
    } catch (const Error&) {}
  }
}

}  // namespace sada

#endif
