#if defined(SADA_TENSORRT)

#include "tensorrt_library.h"

namespace sada {
namespace {

// The oldest and newest that speak the interfaces of the headers this was written with.
constexpr int kOldest = 100000, kNewest = 119999;
// TensorRT for RTX counts its own versions; these have been built with.
constexpr int kOldestRtx = 10100, kNewestRtx = 19999;

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
  if (library.version < (library.is_rtx ? kOldestRtx : kOldest) || library.version > (library.is_rtx ? kNewestRtx : kNewest)) {
    throw Error("BACKEND_UNAVAILABLE", path + " is version " + show_tensorrt_version(library.version) + "; TensorRT 10 or 11, or TensorRT for RTX 1, is needed.");
  }
  return library;
}

}  // namespace sada

#endif
