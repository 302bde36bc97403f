// The fused step: rows, stores and sums of all members of a batch in one launch.
//
// A block of 256 threads makes one tile of 1024 elements. Each thread reads its four consecutive elements of every input at once, keeps
// them in a slot of shared memory that only it uses, so that rows can name inputs by number, and leaves the rows that are summed there
// too, and at last what is summed. After one barrier, warp s makes sum s of the tile in the order of tree_sum.h: with 128 elements to a
// warp, strides of 512 to 128 lie within a lane, 64 to 4 between lanes, 2 and 1 within the lane again. The last block of every group of
// 1024 tiles, found by counting them, adds up the group's results in float64 by the same tree, and so on until one is left. Nothing
// depends on the order of blocks.
#include "../native/math/tree_sum.h"
#include "kernels.h"
#include "launch.cuh"
#include "shared.cuh"
#include "step_member.cuh"
#include "storage.cuh"

namespace sada::cuda {
namespace {

constexpr int kThreads = kTile / 4;
constexpr int kLanes = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
static_assert(kMaxSums <= kThreads / kLanes, "a warp for each sum");

template <int kCapacity>
struct Batch {
  StepMember member[kCapacity];
};

__device__ __forceinline__ float4 scaled(float weight, float4 v) { return make_float4(weight * v.x, weight * v.y, weight * v.z, weight * v.w); }

__device__ __forceinline__ float4 multiplied_and_added(float weight, float4 v, float4 sum) {
  return make_float4(fmaf(weight, v.x, sum.x), fmaf(weight, v.y, sum.y), fmaf(weight, v.z, sum.z), fmaf(weight, v.w, sum.w));
}

__device__ __forceinline__ float4 plus(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

// weighted_sum.h for a thread's four elements.
__device__ __forceinline__ float4 weighted_quad(const Row& row, const Shared<float4>& tile, int thread) {
  if (row.terms == 0) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  float4 sum = scaled(row.weight[0], tile[row.input[0] * kThreads + thread]);
  // Unrolled, so that a term's place among the parameters is known; a condition on each would be paid for by rows of few terms.
#pragma unroll
  for (int k = 1; k < kMaxInputs; ++k) {
    if (k >= row.terms) break;
    sum = multiplied_and_added(row.weight[k], tile[row.input[k] * kThreads + thread], sum);
  }
  return sum;
}

// All loads are under way before the first is waited for.
__device__ __forceinline__ void load_inputs(const StepMember& member, int64_t at, int64_t left, const Shared<float4>& tile, int thread) {
  const DeviceStep& step = member.step;
  Quad quad[kMaxInputs];
#pragma unroll
  for (int k = 0; k < kMaxInputs; ++k) {
    if (k < step.request.inputs) quad[k] = load_quad(step.request.input[k], step.input_type[k], at, {left, left >= 4 && (member.quads_in >> k & 1) != 0});
  }
#pragma unroll
  for (int k = 0; k < kMaxInputs; ++k) {
    if (k < step.request.inputs) tile[k * kThreads + thread] = to_floats(quad[k], step.input_type[k]);
  }
}

// Stores may be inputs: this thread has read all its elements, and no other thread reads them.
__device__ __forceinline__ void form_rows(const StepMember& member, int64_t at, int64_t left, const Shared<float4>& tile, int thread) {
  const DeviceStep& step = member.step;
  for (int r = 0; r < step.request.rows; ++r) {
    float4 row = weighted_quad(step.request.row[r], tile, thread);
    if (step.request.store[r] != nullptr) {
      store_quad(step.request.store[r], step.store_type[r], at, to_quad(row, step.store_type[r]), {left, left >= 4 && (member.quads_out >> r & 1) != 0});
    }
    if (member.slot[r] < 0) continue;
    // Padding is +0, whatever the weights.
    if (left < 4) row = make_float4(left > 0 ? row.x : 0.0f, left > 1 ? row.y : 0.0f, left > 2 ? row.z : 0.0f, 0.0f);
    tile[(member.row_slots + member.slot[r]) * kThreads + thread] = row;
  }
}

__device__ __forceinline__ float4 terms_of(const StepMember& member, const Sum& sum, const Shared<float4>& tile, int thread) {
  const float4 a = tile[(member.row_slots + member.slot[sum.a]) * kThreads + thread];
  if (sum.b >= 0) {
    const float4 b = tile[(member.row_slots + member.slot[sum.b]) * kThreads + thread];
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
  }
  return sum.is_signed ? a : make_float4(fabsf(a.x), fabsf(a.y), fabsf(a.z), fabsf(a.w));
}

// What each sum adds up, in the slots from the first on: this thread needs its inputs no more. Where the sum is also averaged per token,
// its terms are left in memory too.
__device__ __forceinline__ void leave_terms(const StepMember& member, int64_t tile_at, const Shared<float4>& tile, int thread) {
  const StepRequest& request = member.step.request;
  for (int s = 0; s < request.sums; ++s) {
    const float4 terms = terms_of(member, request.sum[s], tile, thread);
    tile[s * kThreads + thread] = terms;
    if (s == request.token_sum) reinterpret_cast<float4*>(member.terms + tile_at)[thread] = terms;
  }
}

// By one warp; valid in its lane 0.
__device__ __forceinline__ float sum_of_tile(int s, const Shared<float4>& tile, int lane) {
  const auto terms = [&](int v) { return tile[s * kThreads + v * kLanes + lane]; };
  const float4 even = plus(plus(terms(0), terms(4)), plus(terms(2), terms(6)));
  float4 p = plus(even, plus(plus(terms(1), terms(5)), plus(terms(3), terms(7))));
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    p = plus(p, make_float4(__shfl_down_sync(kAllLanes, p.x, offset), __shfl_down_sync(kAllLanes, p.y, offset), __shfl_down_sync(kAllLanes, p.z, offset),
                            __shfl_down_sync(kAllLanes, p.w, offset)));
  }
  return (p.x + p.z) + (p.y + p.w);
}

// The tree over a group's results, by one warp; valid in its lane 0. Not through L1, which does not see what other blocks wrote.
__device__ __forceinline__ double sum_of_group(const double* results, int n, int lane) {
  const auto result = [&](int i) { return i * kLanes + lane < n ? __ldcg(results + i * kLanes + lane) : 0.0; };
  const auto strides_down_to_128 = [&](int i) {
    return ((result(i) + result(i + 16)) + (result(i + 8) + result(i + 24))) + ((result(i + 4) + result(i + 20)) + (result(i + 12) + result(i + 28)));
  };
  double p = 0.0;
#pragma unroll 1
  for (int i = 0; i < 2; ++i) {
    const double pair = strides_down_to_128(i) + strides_down_to_128(i + 2);
    p = i == 0 ? pair : p + pair;
  }
  for (int offset = kLanes / 2; offset > 0; offset /= 2) p += __shfl_down_sync(kAllLanes, p, offset);
  return p;
}

// Whether this block is the last of `size` to come here with its results written. The ticket is left as it was found. The barriers order
// the block's writes before one thread's fence, and that before its reads: a fence in every thread would wait for every store.
__device__ __forceinline__ bool is_last(uint32_t* ticket, uint32_t size) {
  const Shared<uint32_t> flag = shared_memory<uint32_t>();
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    const bool last = atomicAdd(ticket, 1u) == size - 1;
    if (last) *ticket = 0;
    flag[0] = last ? 1 : 0;
    __threadfence();
  }
  __syncthreads();
  return flag[0] != 0;
}

// `sum` is this tile's, in lane 0 of the warp that makes it.
__device__ __forceinline__ void reduce_tiles(const StepMember& member, int warp, int lane, double sum) {
  const bool has_sum = warp < member.step.request.sums;
  double* level = member.partials + warp * member.partials_length;
  uint32_t* tickets = member.tickets;
  int64_t at = blockIdx.x;
  for (int64_t n = member.tiles; n > 1;) {
    if (has_sum && lane == 0) level[at] = sum;
    const int64_t group = at / kTile, groups = (n + kTile - 1) / kTile;
    const int64_t left = n - group * kTile;
    const int size = static_cast<int>(left < kTile ? left : kTile);
    if (!is_last(tickets + group, static_cast<uint32_t>(size))) return;
    if (has_sum) sum = sum_of_group(level + group * kTile, size, lane);
    level += n, tickets += groups, at = group, n = groups;
  }
  if (has_sum && lane == 0) member.sums[warp] = sum;
}

// A block's tile of the member.
__device__ __forceinline__ void make_tile(const StepMember& member) {
  if (blockIdx.x >= member.tiles) return;
  const Shared<float4> tile = shared_memory<float4>();
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kLanes, lane = thread % kLanes;
  const int64_t tile_at = static_cast<int64_t>(blockIdx.x) * kTile, at = tile_at + 4 * thread;
  const int64_t left = member.step.request.length - at;
  load_inputs(member, at, left, tile, thread);
  form_rows(member, at, left, tile, thread);
  if (member.step.request.sums == 0) return;
  leave_terms(member, tile_at, tile, thread);
  __syncthreads();
  const double sum = warp < member.step.request.sums ? static_cast<double>(sum_of_tile(warp, tile, lane)) : 0.0;
  reduce_tiles(member, warp, lane, sum);
}

// Blocks of a multiprocessor at a time that registers have to do for.
constexpr int kBlocks = 5;

template <int kCapacity>
__global__ void __launch_bounds__(kThreads, kBlocks) step_kernel(const Batch<kCapacity> __grid_constant__ batch) {
  // A single member's place among the parameters is known to the compiler.
  make_tile(kCapacity == 1 ? batch.member[0] : batch.member[blockIdx.y]);
}

__global__ void __launch_bounds__(kThreads, kBlocks) step_in_memory_kernel(const StepMember* member) { make_tile(*member); }

template <int kCapacity>
cudaError_t launch_step(const DeviceStep* members, int count, double* sums, const StepScratch& scratch, cudaStream_t stream) {
  Batch<kCapacity> batch;
  Shape shape;
  shape.blocks_y = count, shape.threads = dim3(kThreads);
  for (int m = 0; m < count; ++m) {
    StepMember& member = batch.member[m] = make_step_member(members[m], m, sums, scratch);
    const int slots = member.row_slots + member.slots;
    if (static_cast<size_t>(slots) * kTile * sizeof(float) > shape.shared_bytes) shape.shared_bytes = static_cast<size_t>(slots) * kTile * sizeof(float);
    if (member.tiles > shape.blocks_x) shape.blocks_x = member.tiles;
    sums += members[m].request.sums;
  }
  return launch(step_kernel<kCapacity>, shape, stream, batch);
}

cudaError_t launch_means(const DeviceStep* members, int count, const StepScratch& scratch, cudaStream_t stream) {
  TokenMeans means[kMaxMembers];
  int with_means = 0;
  for (int m = 0; m < count; ++m) {
    const StepRequest& request = members[m].request;
    if (request.token_sum >= 0) means[with_means++] = {request.layout, scratch.terms + m * step_terms(scratch.limits.token_length), request.token_means};
  }
  return with_means == 0 ? cudaSuccess : token_means(means, with_means, stream);
}

static_assert(kSlotsInMemory * kTile * sizeof(float) <= 48 * 1024, "what a kernel may have without being allowed more");

template <int kCapacity>
cudaError_t allow_all_slots() {
  return cudaFuncSetAttribute(step_kernel<kCapacity>, cudaFuncAttributeMaxDynamicSharedMemorySize, (kMaxInputs + kMaxRows) * kTile * static_cast<int>(sizeof(float)));
}

bool is_within(const StepRequest& request, const DeviceLimits& limits) {
  const bool counts = request.inputs >= 0 && request.inputs <= kMaxInputs && request.rows >= 0 && request.rows <= kMaxRows && request.sums >= 0 && request.sums <= kMaxSums;
  return counts && request.length >= 0 && request.length <= limits.length && (request.token_sum < 0 || request.length <= limits.token_length);
}

}  // namespace

cudaError_t prepare_step() {
  for (cudaError_t (*allow)() : {allow_all_slots<1>, allow_all_slots<8>, allow_all_slots<kMaxMembers>}) {
    const cudaError_t status = allow();
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

// One that decisions on the device wrote; how many slots it has is not known here, so there is room for the most that they use.
cudaError_t step_in_memory(const StepMember* member, int64_t length, cudaStream_t stream) {
  Shape shape;
  shape.blocks_x = step_tiles(length), shape.threads = dim3(kThreads), shape.shared_bytes = kSlotsInMemory * kTile * sizeof(float);
  return launch(step_in_memory_kernel, shape, stream, member);
}

// A launch carries its members as a parameter, which costs more the larger it is: so three sizes of it.
cudaError_t step(const DeviceStep* members, int count, double* sums, const StepScratch& scratch, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  if (count < 0 || count > scratch.limits.members) return cudaErrorInvalidValue;
  for (int m = 0; m < count; ++m) {
    if (!is_within(members[m].request, scratch.limits)) return cudaErrorInvalidValue;
  }
  const auto run = count == 1 ? launch_step<1> : count <= 8 ? launch_step<8> : launch_step<kMaxMembers>;
  const cudaError_t status = run(members, count, sums, scratch, stream);
  return status != cudaSuccess ? status : launch_means(members, count, scratch, stream);
}

}  // namespace sada::cuda
