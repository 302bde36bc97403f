// The tensors of one run, by id. Shared ownership: a job in flight keeps them alive after their workspace is disposed.
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
#include "pass_graphs.h"

namespace sada {

constexpr int64_t kMostFloats = int64_t{1} << 40;  // of a tensor

// Zero-filled memory of the host, or of the GPU where there is one.
class Block {
 public:
  Block(int64_t bytes, std::shared_ptr<GpuStream> gpu) : gpu_(std::move(gpu)), bytes_(bytes) {
    if (gpu_ != nullptr) {
      data_ = static_cast<char*>(memory_ = gpu_->allocate(bytes));
    } else {
      // calloc: pages that are never touched are never filled. Aligned by hand: Windows has no aligned_alloc.
      memory_ = std::calloc(1, static_cast<size_t>(bytes) + kAlignment);
      if (memory_ == nullptr) throw Error("OUT_OF_MEMORY", "No memory for " + std::to_string(bytes) + " bytes.");
      data_ = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(memory_) + kAlignment - 1) / kAlignment * kAlignment);
    }
    counters().bytes += bytes;
  }
  ~Block() {
    if (gpu_ != nullptr) gpu_->release(memory_);
    else std::free(memory_);
    counters().bytes -= bytes_;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  char* data() const { return data_; }

 private:
  static constexpr size_t kAlignment = 64;
  std::shared_ptr<GpuStream> gpu_;
  int64_t bytes_;
  void* memory_;
  char* data_;
};

struct TensorShape {
  int64_t length;
  Storage storage;
};

// Elements of a tensor and how they are stored.
struct StoredSlice {
  void* data;
  Storage storage;
};

inline bool overlap(const void* a, int64_t a_bytes, const void* b, int64_t b_bytes) {
  const char *from_a = static_cast<const char*>(a), *from_b = static_cast<const char*>(b);
  return a_bytes > 0 && b_bytes > 0 && from_a < from_b + b_bytes && from_b < from_a + a_bytes;
}

class TensorSet {
 public:
  // Tensors that are made together lie in one block, each on such a boundary (ts/native/types.ts says so too).
  static constexpr int64_t kTensorAlignment = 256;

  explicit TensorSet(std::shared_ptr<GpuStream> gpu = nullptr) : gpu_(std::move(gpu)) {
    if (gpu_ != nullptr) graphs_ = std::make_unique<PassGraphs>(*gpu_);
    counters().workspaces += 1;
  }
  ~TensorSet() {
    counters().tensors -= static_cast<int64_t>(tensors_.size());
    counters().workspaces -= 1;
  }
  TensorSet(const TensorSet&) = delete;
  TensorSet& operator=(const TensorSet&) = delete;

  int64_t allocate(int64_t length, Storage storage = Storage::kFloat32) {
    check(length);
    place(std::make_shared<Block>(length * bytes_of(storage), gpu_), 0, {length, storage});
    return static_cast<int64_t>(tensors_.size()) - 1;
  }

  // Makes tensors in one block: one allocation and one release, however many there are.
  void allocate_all(const std::vector<TensorShape>& shapes) {
    std::vector<int64_t> offsets;
    int64_t bytes = 0;
    for (const TensorShape& shape : shapes) {
      check(shape.length);
      offsets.push_back(bytes);
      bytes += (shape.length * bytes_of(shape.storage) + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
      if (bytes > kMostFloats * 4) throw Error("OUT_OF_MEMORY", "No memory for tensors of more than 2^42 bytes.");
    }
    const auto block = std::make_shared<Block>(bytes, gpu_);
    for (size_t k = 0; k < shapes.size(); ++k) place(block, offsets[k], shapes[k]);
  }

  // `length` elements of a tensor from `offset`, checked.
  StoredSlice stored_slice(int64_t id, int64_t offset, int64_t length) const {
    if (id < 0 || id >= static_cast<int64_t>(tensors_.size()))
      throw invalid("There is no tensor " + std::to_string(id) + " in this workspace.");
    const Tensor& tensor = tensors_[static_cast<size_t>(id)];
    if (offset < 0 || length < 0 || offset > tensor.length || length > tensor.length - offset) {
      throw invalid(std::to_string(length) + " elements from " + std::to_string(offset) + " on lie outside tensor " + std::to_string(id) +
                    " of length " + std::to_string(tensor.length) + ".");
    }
    return {tensor.data + offset * bytes_of(tensor.storage), tensor.storage};
  }

  // The same of a float32 tensor.
  float* slice(int64_t id, int64_t offset, int64_t length) const {
    const StoredSlice found = stored_slice(id, offset, length);
    if (found.storage != Storage::kFloat32)
      throw invalid("Expected tensor " + std::to_string(id) + " to be of float32; it is stored in half precision.");
    return static_cast<float*>(found.data);
  }

  // Where the tensors lie on a GPU: its stream. Null: they lie in host memory.
  GpuStream* gpu() const { return gpu_.get(); }
  // Of passes over these tensors, on a GPU; else null.
  PassGraphs* graphs() const { return graphs_.get(); }
  // Keeps what works on these tensors as long as them; it ends before they do.
  void keep(std::shared_ptr<void> user) { users_.push_back(std::move(user)); }

 private:
  struct Tensor {
    std::shared_ptr<Block> block;
    char* data;
    int64_t length;
    Storage storage;
  };

  static void check(int64_t length) {
    if (length < 0 || length > kMostFloats)
      throw invalid("Expected a tensor length from 0 to 2^40, received " + std::to_string(length) + ".");
  }

  void place(const std::shared_ptr<Block>& block, int64_t offset, const TensorShape& shape) {
    tensors_.push_back({block, block->data() + offset, shape.length, shape.storage});
    counters().tensors += 1;
  }

  std::shared_ptr<GpuStream> gpu_;
  std::vector<Tensor> tensors_;
  std::unique_ptr<PassGraphs> graphs_;
  std::vector<std::shared_ptr<void>> users_;
};

}  // namespace sada
