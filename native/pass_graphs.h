// CUDA graphs of the passes of one run: what is enqueued again and again with the same sizes and addresses, launched as one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "gpu.h"

namespace sada {

struct GraphReport {
  int64_t captured = 0, launched = 0;
  std::string failure;  // of the first capture or launch that failed; empty: none did
};

// Used by one thread at a time; the report by any.
class PassGraphs {
 public:
  explicit PassGraphs(GpuStream& gpu) : gpu_(gpu) {}
  ~PassGraphs();
  PassGraphs(const PassGraphs&) = delete;
  PassGraphs& operator=(const PassGraphs&) = delete;

  // Does the work that `key` says everything about but the contents of memory; it may change with the first run. The first time it is
  // enqueued; the second time also recorded, after it was enqueued: an engine's first run in a size may allocate. From then on the
  // recording is launched. What cannot be recorded or launched is enqueued, now and later. Returns whether a graph was launched.
  bool run(const std::function<std::string()>& key, const std::function<void()>& enqueue);
  // Of a graph that was recorded elsewhere, or why it was not.
  void note(const std::string& failure);
  GraphReport report() const;

 private:
  // Pruned passes of several members have few shapes; more than these, and the one that was unused for the longest time goes.
  static constexpr size_t kMostKept = 32;

  struct Entry {
    DeviceGraph* graph = nullptr;
    int64_t generation = 0;  // of the stream, when it was recorded
    bool failed = false;
    int64_t used = 0;
  };

  void record(Entry& entry, const std::function<void()>& enqueue);
  bool launch(Entry& entry);
  void fail(Entry& entry, const std::string& what);
  void make_room();

  GpuStream& gpu_;
  std::map<std::string, Entry> entries_;
  int64_t runs_ = 0;
  mutable std::mutex mutex_;  // of the report
  GraphReport report_;
};

}  // namespace sada
