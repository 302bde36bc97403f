#if defined(SADA_TENSORRT)

#include "tensorrt_library.h"

namespace sada {
namespace {

// Functions of the interfaces are called by their place in a table, and that changes with every major version: of all 10.x and 11.x
// headers, those of 11.0 and 11.1 agree, and none of 10.x with them. So only the major version of the headers is served; of 10 from
// 10.1 on, which has the functions used here.
constexpr int kMajor = NV_TENSORRT_MAJOR;
constexpr int kOldest = kMajor * 10000 + (kMajor == 10 ? 100 : 0), kNewest = kMajor * 10000 + 9999;
// TensorRT for RTX counts its own versions, and has the tables of TensorRT 11 (with the exception in tensorrt.cpp); these were built with.
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
    throw Error("BACKEND_UNAVAILABLE", path + " is version " + show_tensorrt_version(library.version) + "; TensorRT " + std::to_string(kMajor) +
                                           ", whose headers this addon was built with, or TensorRT for RTX 1 is needed.");
  }
  if (library.is_rtx && kMajor < 11) throw Error("BACKEND_UNAVAILABLE", path + " needs an addon that was built with the headers of TensorRT 11.");
  return library;
}

}  // namespace sada

#endif
