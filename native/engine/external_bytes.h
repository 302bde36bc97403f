// Bytes of a file that a model keeps its weights in.
#pragma once

#include "engine.h"

#ifdef _WIN32
#include <filesystem>
#include <fstream>
#else
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#endif

namespace sada {

// Fills `to` with the bytes of the tensor. Throws MODEL_CHANGED where the file has fewer.
inline void read_external(const ExternalTensor& tensor, void* to) {
  const Error changed("MODEL_CHANGED", tensor.path + " became shorter while it was read.");
#ifdef _WIN32
  // Node's descriptors belong to its own C runtime.
  std::ifstream file(std::filesystem::u8path(tensor.path), std::ios::binary);
  file.seekg(tensor.offset);
  if (!file.read(static_cast<char*>(to), tensor.bytes)) throw changed;
#else
  constexpr int64_t kPiece = int64_t{1} << 30;  // macOS reads no 2^31 bytes at once: it fails
  for (int64_t done = 0; done < tensor.bytes;) {
    const size_t piece = static_cast<size_t>(std::min(tensor.bytes - done, kPiece));
    const ssize_t got = pread(tensor.descriptor, static_cast<char*>(to) + done, piece, static_cast<off_t>(tensor.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw changed;
    done += got;
  }
#endif
}

}  // namespace sada
