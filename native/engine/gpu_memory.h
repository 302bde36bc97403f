// Scratch memory of engines on a GPU.
#pragma once

#include "../gpu.h"

namespace sada {

// Memory of the GPU that grows, and is zero-filled when it does. `moves`, where given, counts how often.
class GpuMemory {
 public:
  explicit GpuMemory(GpuStream& gpu, int64_t* moves = nullptr) : gpu_(gpu), moves_(moves) {}
  ~GpuMemory() { gpu_.release(memory_); }
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;

  void* reserve(int64_t bytes) {
    if (bytes <= bytes_) return memory_;
    gpu_.release(memory_);
    memory_ = nullptr, bytes_ = 0;
    if (moves_ != nullptr) *moves_ += 1;
    memory_ = gpu_.allocate(bytes);
    gpu_.synchronize();  // it is used on other streams
    bytes_ = bytes;
    return memory_;
  }
  void* get() const { return memory_; }
  int64_t bytes() const { return bytes_; }

 private:
  GpuStream& gpu_;
  int64_t* moves_;
  void* memory_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace sada
