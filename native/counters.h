// What is alive in the process, over all environments: for leak tests and `sada doctor`.
#pragma once

#include <atomic>
#include <cstdint>

namespace sada {

struct Counters {
  std::atomic<int64_t> workspaces{0}, tensors{0}, bytes{0};
  std::atomic<int64_t> scratch_bytes{0}, pinned_bytes{0};  // of streams: on GPUs, and of the host
  std::atomic<int64_t> engines{0}, sessions{0}, jobs{0};
};

inline Counters& counters() {
  static Counters all;
  return all;
}

}  // namespace sada
