// Means of terms per token, in the order of native/cpu/token_means.h: channels-first a thread for each token, token-major eight.
#include "kernels.h"
#include "launch.cuh"

namespace sada::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kTokenLanes = 8;  // running sums of a token-major mean: channel mod 8
constexpr unsigned kAllLanes = 0xffffffffu;

struct Member {
  TokenMeans means;
  float scale;  // one over the elements of a token
};

struct Batch {
  Member member[kMaxMembers];
};

__host__ __device__ __forceinline__ int64_t tokens_of(const TokenLayout& layout) { return layout.grid_height * layout.grid_width; }

// The terms of one pixel column of a token, over (channel, row): eight at a time are under way before the first is added.
__device__ __forceinline__ float sum_of_column(const TokenLayout& layout, const float* from) {
  constexpr int kAhead = 8;
  const int64_t width = layout.grid_width * layout.patch_width, height = layout.grid_height * layout.patch_height;
  const int64_t to_next_channel = (height - layout.patch_height + 1) * width;
  int64_t row = 0, left = layout.channels * layout.patch_height;
  const auto next = [&] {
    const float term = *from;
    const bool is_end = ++row == layout.patch_height;
    from += is_end ? to_next_channel : width;
    if (is_end) row = 0;
    return term;
  };
  float column = 0.0f;
  for (; left >= kAhead; left -= kAhead) {
    float term[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) term[k] = next();
#pragma unroll
    for (int k = 0; k < kAhead; ++k) column += term[k];
  }
  for (; left > 0; --left) column += next();
  return column;
}

// One running sum per pixel column, then the columns of the patch from left to right.
__device__ __forceinline__ float sum_of_pixels(const TokenLayout& layout, const float* terms, int64_t token) {
  const int64_t width = layout.grid_width * layout.patch_width;
  const float* patch = terms + token / layout.grid_width * layout.patch_height * width + token % layout.grid_width * layout.patch_width;
  float sum = sum_of_column(layout, patch);
  for (int64_t x = 1; x < layout.patch_width; ++x) sum += sum_of_column(layout, patch + x);
  return sum;
}

// This lane's channels of the token.
__device__ __forceinline__ float sum_of_lane(const TokenLayout& layout, const float* terms, int64_t token, int lane) {
  const float* from = terms + token * layout.channels;
  float sum = 0.0f;
#pragma unroll 4
  for (int64_t channel = lane; channel < layout.channels; channel += kTokenLanes) sum += from[channel];
  return sum;
}

__global__ void __launch_bounds__(kThreads) means_kernel(const Batch __grid_constant__ batch) {
  wait_for_earlier_work();
  const Member& member = batch.member[blockIdx.y];
  const TokenLayout& layout = member.means.layout;
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x, tokens = tokens_of(layout);
  if (layout.channels_first) {
    if (thread < tokens) member.means.means[thread] = member.scale * sum_of_pixels(layout, member.means.terms, thread);
    return;
  }
  const int64_t token = thread / kTokenLanes;
  const int lane = static_cast<int>(thread % kTokenLanes);
  float sum = token < tokens ? sum_of_lane(layout, member.means.terms, token, lane) : 0.0f;
  for (int offset = kTokenLanes / 2; offset > 0; offset /= 2) sum += __shfl_down_sync(kAllLanes, sum, offset);
  if (token < tokens && lane == 0) member.means.means[token] = member.scale * sum;
}

}  // namespace

cudaError_t token_means(const TokenMeans* members, int count, bool is_early, cudaStream_t stream) {
  Batch batch;
  Shape shape;
  shape.blocks_y = count, shape.threads = dim3(kThreads), shape.is_early = is_early;
  for (int m = 0; m < count; ++m) {
    const TokenLayout& layout = members[m].layout;
    batch.member[m] = {members[m], 1.0f / static_cast<float>(layout.channels * layout.patch_height * layout.patch_width)};
    const int64_t threads = tokens_of(layout) * (layout.channels_first ? 1 : kTokenLanes), blocks = (threads + kThreads - 1) / kThreads;
    if (blocks > shape.blocks_x) shape.blocks_x = blocks;
  }
  return launch(means_kernel, shape, stream, batch);
}

}  // namespace sada::cuda
