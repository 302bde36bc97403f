// The emulated GPU behind runtime_api.h: its memory and its streams. For the files of this folder alone.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "runtime_api.h"

namespace emulation {

struct Work {
  std::function<cudaError_t()> run;  // any number of times
  bool is_kernel = false;
};

// Where what is added to a stream goes instead of being done, and whether it can still become a graph.
struct Capture {
  std::thread::id thread;
  Graph* graph;
  bool is_own = true;  // and not one that there was before
  bool valid = true;
};

// Adds a node after the last.
void append(Graph& graph, Work work);

struct Stream {
  std::deque<Work> work;
  std::unique_ptr<Capture> capture;
};

struct Gpu {
  std::recursive_mutex mutex;
  // An illegal address stays for good. Work that the emulation finds fault with fails once.
  cudaError_t status();
  std::map<void*, size_t> memory;  // on the GPU
  std::map<void*, size_t> pinned;
  std::set<Stream*> streams;
  size_t used = 0;
  int64_t launches = 0;
  cudaError_t lost = cudaSuccess;
};

Gpu& gpu();
using Locked = std::lock_guard<std::recursive_mutex>;

// What the environment says, or otherwise.
int64_t setting(const char* name, int64_t otherwise);

// Does work that the stream has come to; a launch counts here, also one of a graph.
cudaError_t execute(const Work& work);

// Adds work to a stream; of what is captured, to the capture.
cudaError_t enqueue(Stream* stream, Work work);

// The error of a call that a thread may not make while it captures, and the end of that capture; else none.
cudaError_t refuse_in_capture();

}  // namespace emulation
