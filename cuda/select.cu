// Which tokens a pruned pass computes, as math/select.h says, by one block for each member and any number of tokens.
//
// No token is sorted: every one has a key of its own, ascending in the order of select.h, so "the first n" is "keys up to a cut", and the
// cut is found eight bits at a time by counting. Whether a token is refreshed follows from its place. Counts are integers: any order will
// do. A warp has a stretch of tokens, and each pass over them reads four scores of a lane before it looks at the first. Which of its tokens
// must be kept a thread finds out once and remembers, of as many as 64: to divide for it in each pass takes longer than all else.
#include "../native/math/select.h"
#include "kernels.h"
#include "launch.cuh"
#include "shared.cuh"
#include "storage.cuh"

namespace sada::cuda {
namespace {

constexpr int kThreads = 1024, kLanes = 32, kWarps = kThreads / kLanes, kBins = 256;
constexpr unsigned kAllLanes = 0xffffffffu;
static_assert(kWarps == kLanes, "one warp adds up what all warps counted");

struct Batch {
  DeviceSelection member[kMaxMembers];
};

// Tokens with keys up to `last`, or none.
struct Cut {
  bool any;
  uint64_t last;
  __device__ bool holds(uint64_t key) const { return any && key <= last; }
};

// Shared memory, by what it is for.
struct Counts {
  Shared<int> bins = shared_memory<int>();
  Shared<int> found = shared_memory<int>(kBins * sizeof(int));  // digit, how many before it, how many in it
  Shared<int> warps = shared_memory<int>((kBins + 3) * sizeof(int));  // each of the three times that warps are counted has its own
};
constexpr size_t kSharedBytes = (kBins + 3 + 3 * kWarps) * sizeof(int);

// NaN first, then from high to low, -0 as +0; equal ones by index.
__device__ __forceinline__ uint64_t key_of(float score, int token) {
  const uint32_t bits = bits_of(score + 0.0f), descending = (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
  return static_cast<uint64_t>(score != score ? 0 : descending) << 32 | static_cast<uint32_t>(token);
}

__device__ __forceinline__ int least(int a, int b) { return a < b ? a : b; }

__device__ __forceinline__ bool is_refreshed(const DeviceSelection& s, int token) {
  if (s.window_height == 0 || s.window_width == 0) return false;
  const int y = token / s.width, x = token % s.width, across = (s.width - 1) / s.window_width + 1;
  const int down = y / s.window_height, right = x / s.window_width, top = down * s.window_height, left = right * s.window_width;
  const int rows = least(s.window_height, s.height - top), columns = least(s.window_width, s.width - left);
  const uint32_t window = static_cast<uint32_t>(down) * static_cast<uint32_t>(across) + static_cast<uint32_t>(right);
  const uint32_t pick = window_hash(s.seed, window) % static_cast<uint32_t>(rows * columns);
  return static_cast<uint32_t>((y - top) * columns + x - left) == pick;
}

// The sum over the block, in every thread.
__device__ __forceinline__ int sum_of_block(int value, int time, const Counts& counts) {
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes;
  for (int offset = kLanes / 2; offset > 0; offset /= 2) value += __shfl_down_sync(kAllLanes, value, offset);
  if (lane == 0) counts.warps[time * kWarps + warp] = value;
  __syncthreads();
  int sum = counts.warps[time * kWarps + lane];
  for (int offset = kLanes / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(kAllLanes, sum, offset);
  return sum;
}

// The tokens of a warp's lane: from + 32 step, for steps up to a number that all warps share; those from `tokens` on are none.
struct Stretch {
  int tokens;
  int64_t from, steps;

  __device__ __forceinline__ explicit Stretch(int count) : tokens(count), steps((static_cast<int64_t>(count) + kThreads - 1) / kThreads) {
    from = static_cast<int64_t>(threadIdx.x) / kLanes * steps * kLanes + threadIdx.x % kLanes;
  }

  // Calls `visit` with each step, its token and its score; all scores of four steps are under way at once.
  template <typename Visit>
  __device__ __forceinline__ void for_each(const float* scores, const Visit& visit) const {
    constexpr int kAhead = 4;
    for (int64_t step = 0; step < steps; step += kAhead) {
      float score[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        if (step + k < steps && from + (step + k) * kLanes < tokens) score[k] = scores[from + (step + k) * kLanes];
      }
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        if (step + k < steps && from + (step + k) * kLanes < tokens)
          visit(step + k, static_cast<int>(from + (step + k) * kLanes), score[k]);
      }
    }
  }
};

template <typename Is>
__device__ __forceinline__ int count_tokens(const DeviceSelection& s, const Stretch& stretch, int time, const Counts& counts, Is is) {
  int count = 0;
  stretch.for_each(s.scores, [&](int64_t step, int token, float score) { count += is(step, token, score) ? 1 : 0; });
  return sum_of_block(count, time, counts);
}

// By warp 0: in which bin the rank-th (from 1) lies, eight bins to a lane.
__device__ __forceinline__ void find_bin(int rank, const Counts& counts) {
  constexpr int kEach = kBins / kLanes;
  const int lane = static_cast<int>(threadIdx.x);
  int bins[kEach], own = 0;
  for (int b = 0; b < kEach; ++b) own += bins[b] = counts.bins[lane * kEach + b];
  int before = own;
  for (int offset = 1; offset < kLanes; offset *= 2) {
    const int lower = __shfl_up_sync(kAllLanes, before, offset);
    if (lane >= offset) before += lower;
  }
  before -= own;
  if (rank <= before || rank > before + own) return;
  int b = 0;
  while (rank > before + bins[b]) before += bins[b++];
  counts.found[0] = lane * kEach + b, counts.found[1] = before, counts.found[2] = bins[b];
}

// Up to which key lie the first `rank` (at least 1) of those tokens that `is` names; there are that many.
template <typename Is>
__device__ __forceinline__ Cut cut_after(int rank, const DeviceSelection& s, const Stretch& stretch, const Counts& counts, Is is) {
  uint64_t prefix = 0, known = 0;  // the key's high digits, and which bits these are
  for (int shift = 56; shift >= 0; shift -= 8) {
    const uint64_t digit_bits = uint64_t{0xff} << shift;
    // The index of few tokens has no such digit.
    const bool is_zero = shift < 32 && static_cast<uint64_t>(stretch.tokens - 1) >> shift == 0;
    if (!is_zero) {
      if (threadIdx.x < kBins) counts.bins[static_cast<int>(threadIdx.x)] = 0;
      __syncthreads();
      stretch.for_each(s.scores, [&](int64_t step, int token, float score) {
        const uint64_t key = key_of(score, token);
        if ((key & known) == prefix && is(step, token, key)) counts.bins.add(static_cast<int>(key >> shift & 0xff), 1);
      });
      __syncthreads();
      if (threadIdx.x < kLanes) find_bin(rank, counts);
      __syncthreads();
      prefix |= static_cast<uint64_t>(counts.found[0]) << shift;
      rank -= counts.found[1];
      if (rank == counts.found[2]) return {true, prefix | ((uint64_t{1} << shift) - 1)};  // all that begin so
    }
    known |= digit_bits;
  }
  return {true, prefix};
}

// Writes the kept tokens, ascending: those of each warp are counted first.
template <typename Is>
__device__ __forceinline__ void write_tokens(const DeviceSelection& s, const Stretch& of, const Counts& counts, Is is) {
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes;
  const auto kept = [&](int64_t step) {
    const int64_t token = of.from + step * kLanes;
    return __ballot_sync(kAllLanes, token < of.tokens && is(step, static_cast<int>(token)));
  };
  int own = 0;
  for (int64_t step = 0; step < of.steps; ++step) own += __popc(kept(step));
  if (lane == 0) counts.warps[2 * kWarps + warp] = own;
  __syncthreads();
  int before = lane < warp ? counts.warps[2 * kWarps + lane] : 0;
  for (int offset = kLanes / 2; offset > 0; offset /= 2) before += __shfl_xor_sync(kAllLanes, before, offset);
  for (int64_t step = 0; step < of.steps; ++step) {
    const unsigned lanes = kept(step);
    if ((lanes >> lane & 1u) != 0) s.indices[before + __popc(lanes & ((1u << lane) - 1))] = static_cast<int>(of.from + step * kLanes);
    before += __popc(lanes);
  }
}

// How many tokens shall be kept where `kept` must be.
__device__ __forceinline__ int target_of(const DeviceSelection& s, int tokens, int kept) {
  if (s.buckets == 0) return kept;
  for (int b = 0; b < s.buckets; ++b) {
    if (s.bucket[b] >= kept) return least(s.bucket[b], tokens);
  }
  return tokens;
}

__global__ void __launch_bounds__(kThreads) select_kernel(const Batch __grid_constant__ batch) {
  const DeviceSelection& s = batch.member[blockIdx.x];
  const Counts counts;
  const int tokens = s.height * s.width;
  const Stretch stretch(tokens);
  const int unstable = count_tokens(s, stretch, 0, counts, [&](int64_t, int, float score) { return is_unstable(score, s.threshold); });
  const int highest = least(least(s.max_kept, unstable), tokens);
  const Cut cut = highest == 0 ? Cut{false, 0} : cut_after(highest, s, stretch, counts, [](int64_t, int, uint64_t) { return true; });
  uint64_t kept_steps = 0;  // the first of this thread's, a bit to each
  const auto find_must = [&](int token, uint64_t key) { return cut.holds(key) || is_refreshed(s, token); };
  const auto must = [&](int64_t step, int token, uint64_t key) {
    return step < 64 ? (kept_steps >> step & 1) != 0 : find_must(token, key);
  };
  const int kept = count_tokens(s, stretch, 1, counts, [&](int64_t step, int token, float score) {
    const bool is = find_must(token, key_of(score, token));
    if (step < 64) kept_steps |= static_cast<uint64_t>(is) << step;
    return is;
  });
  const int target = target_of(s, tokens, kept);
  const Cut fill = target == kept ? Cut{false, 0}
                                  : cut_after(target - kept, s, stretch, counts,
                                              [&](int64_t step, int token, uint64_t key) { return !must(step, token, key); });
  write_tokens(s, stretch, counts, [&](int64_t step, int token) {
    if (step < 64 && !fill.any) return (kept_steps >> step & 1) != 0;
    const uint64_t key = key_of(s.scores[token], token);
    return must(step, token, key) || fill.holds(key);
  });
  if (threadIdx.x == 0) *s.kept = target;
}

bool is_valid(const DeviceSelection& s) {
  const bool sizes = s.height >= 0 && s.width >= 0 && static_cast<int64_t>(s.height) * s.width < (int64_t{1} << 31);
  return sizes && s.max_kept >= 0 && s.window_height >= 0 && s.window_width >= 0 && s.buckets >= 0 && s.buckets <= kMaxBuckets;
}

}  // namespace

cudaError_t select(const DeviceSelection* members, int count, cudaStream_t stream) {
  if (count < 0 || count > kMaxMembers) return cudaErrorInvalidValue;
  if (count == 0) return cudaSuccess;
  Batch batch;
  for (int m = 0; m < count; ++m) {
    if (!is_valid(members[m])) return cudaErrorInvalidValue;
    batch.member[m] = members[m];
  }
  Shape shape;
  shape.blocks_x = count, shape.threads = dim3(kThreads), shape.shared_bytes = kSharedBytes;
  return launch(select_kernel, shape, stream, batch);
}

}  // namespace sada::cuda
