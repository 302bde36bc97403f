// The float32 tensors of one run, by id. Shared ownership: a job in flight keeps them alive after their workspace is disposed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "counters.h"
#include "error.h"
#include "gpu.h"

namespace sada {

class Tensor {
 public:
  // In host memory, or in the GPU's where there is one.
  Tensor(int64_t length, std::shared_ptr<GpuStream> gpu) : gpu_(std::move(gpu)), length_(length) {
    const size_t bytes = static_cast<size_t>(length) * sizeof(float);
    if (gpu_ != nullptr) {
      data_ = static_cast<float*>(block_ = gpu_->allocate(length * 4));
    } else {
      // calloc: pages that are never touched are never filled. Aligned by hand: Windows has no aligned_alloc.
      block_ = std::calloc(1, bytes + kAlignment);
      if (block_ == nullptr) throw Error("OUT_OF_MEMORY", "No memory for a tensor of " + std::to_string(length) + " floats.");
      data_ = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(block_) + kAlignment - 1) / kAlignment * kAlignment);
    }
    counters().tensors += 1;
    counters().bytes += static_cast<int64_t>(length) * 4;
  }
  ~Tensor() {
    if (gpu_ != nullptr) gpu_->release(block_);
    else std::free(block_);
    counters().tensors -= 1;
    counters().bytes -= length_ * 4;
  }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  float* data() const { return data_; }
  int64_t length() const { return length_; }

 private:
  static constexpr size_t kAlignment = 64;
  std::shared_ptr<GpuStream> gpu_;
  int64_t length_;
  void* block_;
  float* data_;
};

inline bool overlap(const float* a, int64_t a_length, const float* b, int64_t b_length) { return a < b + b_length && b < a + a_length; }

class TensorSet {
 public:
  explicit TensorSet(std::shared_ptr<GpuStream> gpu = nullptr) : gpu_(std::move(gpu)) { counters().workspaces += 1; }
  ~TensorSet() { counters().workspaces -= 1; }
  TensorSet(const TensorSet&) = delete;
  TensorSet& operator=(const TensorSet&) = delete;

  int64_t allocate(int64_t length) {
    if (length < 0 || length > kMostFloats) throw invalid("Expected a tensor length from 0 to 2^40, received " + std::to_string(length) + ".");
    tensors_.push_back(std::make_unique<Tensor>(length, gpu_));
    return static_cast<int64_t>(tensors_.size()) - 1;
  }

  // `length` floats of a tensor from `offset`, checked.
  float* slice(int64_t id, int64_t offset, int64_t length) const {
    if (id < 0 || id >= static_cast<int64_t>(tensors_.size())) throw invalid("There is no tensor " + std::to_string(id) + " in this workspace.");
    const Tensor& tensor = *tensors_[static_cast<size_t>(id)];
    if (offset < 0 || length < 0 || offset > tensor.length() || length > tensor.length() - offset) {
      throw invalid(std::to_string(length) + " floats from " + std::to_string(offset) + " on lie outside tensor " + std::to_string(id) + " of length " +
                    std::to_string(tensor.length()) + ".");
    }
    return tensor.data() + offset;
  }

  // Where the tensors lie on a GPU: its stream. Null: they lie in host memory.
  GpuStream* gpu() const { return gpu_.get(); }

 private:
  static constexpr int64_t kMostFloats = int64_t{1} << 40;
  std::shared_ptr<GpuStream> gpu_;
  std::vector<std::unique_ptr<Tensor>> tensors_;
};

}  // namespace sada
