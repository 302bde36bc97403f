// Gather and scatter of tokens, with the cache write in the same pass.
//
// Token-major: a row of threads for each kept token, four times four channels to a thread at a time, all loaded before the first is
// stored: the compiler may not move loads over stores that could be to the same place. Channels-first: a thread for each kept token,
// eight planes at a time, so that a token's index is read once and eight loads are under way together; sixteen are slower on an H100. What
// keeps its type moves as words, by a kernel that knows no types: there a thread has little else to do than to find the next place.
#include "kernels.h"
#include "launch.cuh"
#include "storage.cuh"

namespace sada::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPlanes = 8;
constexpr int kQuads = 4;
constexpr int64_t kMostBlocks = int64_t{1} << 30, kMostBlocksY = 65535;  // the rest in turns

struct Move {
  DeviceMove request;
  bool quads_from, quads_to, quads_cache;  // tokens start aligned to four elements
};

// Where an element lies among whole maps and among kept tokens.
struct Place {
  int64_t whole, part;
};

template <bool kGather>
__device__ __forceinline__ int64_t source_of(Place place) {
  return kGather ? place.whole : place.part;
}

template <bool kGather>
__device__ __forceinline__ void store(const Move& move, Place place, const Quad& quad, int64_t left) {
  const DeviceMove& m = move.request;
  store_quad(m.to, m.to_type, kGather ? place.part : place.whole, converted(quad, m.from_type, m.to_type),
             {left, left >= 4 && move.quads_to});
  if (m.cache == nullptr) return;
  store_quad(m.cache, m.cache_type, place.whole, converted(quad, m.from_type, m.cache_type), {left, left >= 4 && move.quads_cache});
}

// In 32 bits where that is enough, which is most of the time: in 64 a division takes as long as a load.
__device__ __forceinline__ int64_t quotient(int64_t a, int64_t b) {
  return ((a | b) >> 32) == 0 ? static_cast<int64_t>(static_cast<uint32_t>(a) / static_cast<uint32_t>(b)) : a / b;
}

template <bool kGather>
__global__ void __launch_bounds__(kThreads, 4) token_major_kernel(const Move __grid_constant__ move) {
  const DeviceMove& m = move.request;
  const int64_t count = m.rows * m.kept, stride = static_cast<int64_t>(gridDim.x) * blockDim.y;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; at < count; at += stride) {
    const int64_t row = quotient(at, m.kept), whole = (row * m.tokens + m.indices[at - row * m.kept]) * m.channels, part = at * m.channels;
    const int64_t across = 4 * blockDim.x;
    for (int64_t first = 4 * threadIdx.x; first < m.channels; first += kQuads * across) {
      Quad quad[kQuads];
#pragma unroll
      for (int q = 0; q < kQuads; ++q) {
        const int64_t channel = first + q * across, left = m.channels - channel;
        if (left > 0)
          quad[q] =
              load_quad(m.from, m.from_type, source_of<kGather>({whole + channel, part + channel}), {left, left >= 4 && move.quads_from});
      }
#pragma unroll
      for (int q = 0; q < kQuads; ++q) {
        const int64_t channel = first + q * across, left = m.channels - channel;
        if (left > 0) store<kGather>(move, {whole + channel, part + channel}, quad[q], left);
      }
    }
  }
}

template <bool kGather>
__global__ void __launch_bounds__(kThreads) channels_first_kernel(const Move __grid_constant__ move) {
  const DeviceMove& m = move.request;
  const int64_t planes = m.rows * m.channels;
  for (int64_t k = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; k < m.kept; k += static_cast<int64_t>(gridDim.x) * kThreads) {
    const int64_t token = m.indices[k];
    for (int64_t first = static_cast<int64_t>(blockIdx.y) * kPlanes; first < planes; first += static_cast<int64_t>(gridDim.y) * kPlanes) {
      const auto place = [&](int p) { return Place{(first + p) * m.tokens + token, (first + p) * m.kept + k}; };
      Quad element[kPlanes];
#pragma unroll
      for (int p = 0; p < kPlanes; ++p) {
        if (first + p < planes) element[p] = load_quad(m.from, m.from_type, source_of<kGather>(place(p)), {1, false});
      }
#pragma unroll
      for (int p = 0; p < kPlanes; ++p) {
        if (first + p < planes) store<kGather>(move, place(p), element[p], 1);
      }
    }
  }
}

// Elements of one size that keep their type.
template <bool kGather, typename Word>
__global__ void __launch_bounds__(kThreads) words_channels_first_kernel(const DeviceMove __grid_constant__ m) {
  const int64_t planes = m.rows * m.channels;
  for (int64_t k = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; k < m.kept; k += static_cast<int64_t>(gridDim.x) * kThreads) {
    const int64_t token = m.indices[k];
    for (int64_t first = static_cast<int64_t>(blockIdx.y) * kPlanes; first < planes; first += static_cast<int64_t>(gridDim.y) * kPlanes) {
      const auto whole = [&](int p) { return (first + p) * m.tokens + token; };
      const auto part = [&](int p) { return (first + p) * m.kept + k; };
      Word word[kPlanes];
#pragma unroll
      for (int p = 0; p < kPlanes; ++p) {
        if (first + p < planes) word[p] = static_cast<const Word*>(m.from)[kGather ? whole(p) : part(p)];
      }
#pragma unroll
      for (int p = 0; p < kPlanes; ++p) {
        if (first + p >= planes) break;
        static_cast<Word*>(m.to)[kGather ? part(p) : whole(p)] = word[p];
        if (m.cache != nullptr) static_cast<Word*>(m.cache)[whole(p)] = word[p];
      }
    }
  }
}

bool keeps_type(const DeviceMove& m) { return m.from_type == m.to_type && (m.cache == nullptr || m.cache_type == m.from_type); }

// Halves that stay halves move two at a time, as if they were floats.
DeviceMove in_words(DeviceMove m) {
  const auto is_word = [](const void* buffer) { return reinterpret_cast<uintptr_t>(buffer) % sizeof(float) == 0; };
  if (m.channels_first || m.channels % 2 != 0 || m.from_type == Storage::kFloat32 || !keeps_type(m) || !is_word(m.from) || !is_word(m.to) ||
      !is_word(m.cache))
    return m;
  m.channels /= 2, m.from_type = m.to_type = m.cache_type = Storage::kFloat32;
  return m;
}

int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

template <bool kGather>
cudaError_t launch_move(const DeviceMove& given, cudaStream_t stream) {
  const DeviceMove m = in_words(given);
  if (m.rows < 0 || m.tokens < 0 || m.channels < 0 || m.kept < 0 || m.kept > m.tokens) return cudaErrorInvalidValue;
  if (m.rows == 0 || m.channels == 0 || m.kept == 0) return cudaSuccess;
  const bool whole_quads = m.channels % 4 == 0;
  const Move move = {m, whole_quads && is_quad_aligned(m.from, m.from_type), whole_quads && is_quad_aligned(m.to, m.to_type),
                     whole_quads && is_quad_aligned(m.cache, m.cache_type)};
  Shape shape;
  if (m.channels_first) {
    shape.threads = dim3(kThreads);
    shape.blocks_x = at_most((m.kept + kThreads - 1) / kThreads, kMostBlocks);
    shape.blocks_y = at_most((m.rows * m.channels + kPlanes - 1) / kPlanes, kMostBlocksY);
    if (!keeps_type(m)) return launch(channels_first_kernel<kGather>, shape, stream, move);
    return launch(
        bytes_of(m.from_type) == 4 ? words_channels_first_kernel<kGather, uint32_t> : words_channels_first_kernel<kGather, uint16_t>, shape,
        stream, m);
  }
  int across = 1;
  while (across < kThreads && kQuads * 4 * across < m.channels) across *= 2;
  shape.threads = dim3(static_cast<unsigned>(across), static_cast<unsigned>(kThreads / across));
  shape.blocks_x = at_most((m.rows * m.kept + kThreads / across - 1) / (kThreads / across), kMostBlocks);
  return launch(token_major_kernel<kGather>, shape, stream, move);
}

}  // namespace

cudaError_t gather(const DeviceMove& move, cudaStream_t stream) { return launch_move<true>(move, stream); }

cudaError_t scatter(const DeviceMove& move, cudaStream_t stream) { return launch_move<false>(move, stream); }

}  // namespace sada::cuda
