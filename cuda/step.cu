// The fused step: rows, stores and sums of all members of a batch in one launch.
//
// A block of 128 threads makes one tile of 1024 elements. Each thread reads its two fours of every input at once, 512 elements apart, and
// keeps them in registers: rows and inputs are counted by unrolled loops, which leave out what a row has no weight for. What is summed it
// leaves in a slot of shared memory that only it uses, so that sums can name rows by number, and adds up over its two fours. After one
// barrier, warps make the sums of the tile in the order of tree_sum.h: the stride of 512 lay within a thread, 256 and 128 lie within a
// lane, 64 to 4 between lanes, 2 and 1 within the lane again. The last block of every group of 1024 tiles, found by counting them, adds up
// the group's results in float64 by the same tree, and so on until one is left: eight results to a thread, all of them read at once, since
// nothing else is left to do meanwhile. Nothing depends on the order of blocks.
#include "../native/math/tree_sum.h"
#include "kernels.h"
#include "launch.cuh"
#include "shared.cuh"
#include "step_member.cuh"
#include "storage.cuh"

namespace sada::cuda {
namespace {

constexpr int kQuads = 2;  // fours of elements of a thread
constexpr int kThreads = kTile / 4 / kQuads;
constexpr int kStride = kTile / kQuads;  // elements from one of its fours to the next
constexpr int kLanes = 32, kWarps = kThreads / kLanes;
constexpr unsigned kAllLanes = 0xffffffffu;

template <int kCapacity>
struct Batch {
  StepMember member[kCapacity];
};

__device__ __forceinline__ float4 multiplied_and_added(float weight, float4 v, float4 sum) {
  return make_float4(fmaf(weight, v.x, sum.x), fmaf(weight, v.y, sum.y), fmaf(weight, v.z, sum.z), fmaf(weight, v.w, sum.w));
}

__device__ __forceinline__ float4 plus(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

// A thread's elements of a tile, Four as what each four is kept.
template <typename Four>
struct Part {
  Four quad[kQuads];
};

// How much of a thread's fours there is. Of a whole tile all of it, which leaves nothing to ask.
template <bool kIsWhole>
struct Extents {
  int64_t left;  // elements from the first on
  bool is_aligned;

  __device__ __forceinline__ Extent operator[](int quad) const {
    if (kIsWhole) return {4, true};
    const int64_t of_quad = left - quad * kStride;
    return {of_quad, is_aligned && of_quad >= 4};
  }
};

// What a thread must ask for the type of a buffer: nothing, where all have the same. Then elements are kept as they are stored, and halves
// become float32 for each row that has them: in half the registers there is room for more blocks, which counts for more than instructions.
struct AnyType {
  using Kept = float4;
  static __device__ __forceinline__ Storage of(Storage type) { return type; }
  static __device__ __forceinline__ Kept kept(const Quad& stored, Storage type) { return to_terms(stored, type); }
  static __device__ __forceinline__ float4 terms(const Kept& kept) { return kept; }
  static constexpr int kBlocks = 5;  // of a multiprocessor at a time, that registers have to do for
};
template <Storage kType>
struct OneType {
  using Kept = Quad;
  static __device__ __forceinline__ Storage of(Storage) { return kType; }
  static __device__ __forceinline__ Kept kept(const Quad& stored, Storage) { return stored; }
  static __device__ __forceinline__ float4 terms(const Kept& kept) { return to_terms(kept, kType); }
  static constexpr int kBlocks = kType == Storage::kFloat32 ? 5 : 8;
};

template <typename Types>
using Inputs = Part<typename Types::Kept>[kMaxInputs];

// All loads are under way before the first is waited for. Inputs that there are none of stay undefined, and are in no row.
template <typename Types, bool kIsWhole>
__device__ __forceinline__ void load_inputs(const DeviceStep& step, int64_t at, const Extents<kIsWhole>& extents, Inputs<Types>& inputs) {
  Quad stored[kMaxInputs][kQuads];
#pragma unroll
  for (int k = 0; k < kMaxInputs; ++k) {
    if (k >= step.request.inputs) break;
#pragma unroll
    for (int q = 0; q < kQuads; ++q)
      stored[k][q] = load_quad(step.request.input[k], Types::of(step.input_type[k]), at + q * kStride, extents[q]);
  }
#pragma unroll
  for (int k = 0; k < kMaxInputs; ++k) {
    if (k >= step.request.inputs) break;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) inputs[k].quad[q] = Types::kept(stored[k][q], Types::of(step.input_type[k]));
  }
}

// A row's sum (row.h) for a thread's elements.
template <typename Types>
__device__ __forceinline__ Part<float4> weighted_part(const Row& row, const Inputs<Types>& inputs) {
  const float none = nothing_yet(row);
  Part<float4> sum;
#pragma unroll
  for (int q = 0; q < kQuads; ++q) sum.quad[q] = make_float4(none, none, none, none);
#pragma unroll
  for (int k = 0; k < kMaxInputs; ++k) {
    if (!row.has(k)) continue;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) sum.quad[q] = multiplied_and_added(row.weight[k], Types::terms(inputs[k].quad[q]), sum.quad[q]);
  }
  return sum;
}

// Where a thread has a slot of shared memory.
__device__ __forceinline__ int at_slot(int slot, int quad) { return (slot * kQuads + quad) * kThreads + static_cast<int>(threadIdx.x); }

// Stores may be inputs: this thread has read all its elements, and no other thread reads them.
template <typename Types, bool kIsWhole>
__device__ __forceinline__ void form_rows(const StepMember& member, int64_t at, const Extents<kIsWhole>& extents,
                                          const Inputs<Types>& inputs, const Shared<float4>& tile) {
  const DeviceStep& step = member.step;
#pragma unroll
  for (int r = 0; r < kMaxRows; ++r) {
    if (r >= step.request.rows) break;
    const Part<float4> row = weighted_part<Types>(step.request.row[r], inputs);
    if (step.request.store[r] != nullptr) {
      const Storage type = Types::of(step.store_type[r]);
#pragma unroll
      for (int q = 0; q < kQuads; ++q) store_quad(step.request.store[r], type, at + q * kStride, of_terms(row.quad[q], type), extents[q]);
    }
    if (member.slot[r] < 0) continue;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const float4 v = row.quad[q];
      const int64_t left = extents[q].left;
      // Padding is +0, whatever the weights.
      tile[at_slot(member.slot[r], q)] =
          left >= 4 ? v : make_float4(left > 0 ? v.x : 0.0f, left > 1 ? v.y : 0.0f, left > 2 ? v.z : 0.0f, 0.0f);
    }
  }
}

__device__ __forceinline__ float4 terms_of(const StepMember& member, const Sum& sum, int quad, const Shared<float4>& tile) {
  const float4 a = tile[at_slot(member.slot[sum.a], quad)];
  if (sum.b >= 0) {
    const float4 b = tile[at_slot(member.slot[sum.b], quad)];
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
  }
  return sum.is_signed ? a : make_float4(fabsf(a.x), fabsf(a.y), fabsf(a.z), fabsf(a.w));
}

// Where what sum s adds up begins in shared memory, behind the slots of rows.
__device__ __forceinline__ int at_sum(const StepMember& member, int s) { return (member.slots * kQuads + s) * kThreads; }

// What each sum adds up, as far as that lies within this thread. Where the sum is also averaged per token, its terms are left in memory
// too.
__device__ __forceinline__ void leave_terms(const StepMember& member, int64_t tile_at, const Shared<float4>& tile) {
  const StepRequest& request = member.step.request;
  for (int s = 0; s < request.sums; ++s) {
    Part<float4> terms;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      terms.quad[q] = terms_of(member, request.sum[s], q, tile);
      if (s == request.token_sum) reinterpret_cast<float4*>(member.terms + tile_at)[at_slot(0, q)] = terms.quad[q];
    }
    tile[at_sum(member, s) + static_cast<int>(threadIdx.x)] = plus(terms.quad[0], terms.quad[1]);
  }
}
static_assert(kQuads == 2, "a thread's fours are added as two");

// By one warp, of terms that begin at `from`; valid in its lane 0.
__device__ __forceinline__ float sum_of_tile(int from, const Shared<float4>& tile, int lane) {
  const auto terms = [&](int v) { return tile[from + v * kLanes + lane]; };
  float4 p = plus(plus(terms(0), terms(2)), plus(terms(1), terms(3)));
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    p = plus(p, make_float4(__shfl_down_sync(kAllLanes, p.x, offset), __shfl_down_sync(kAllLanes, p.y, offset),
                            __shfl_down_sync(kAllLanes, p.z, offset), __shfl_down_sync(kAllLanes, p.w, offset)));
  }
  return (p.x + p.z) + (p.y + p.w);
}

static_assert(kWarps == 4, "a lane adds up four fours of a tile");

constexpr int kResults = kTile / kThreads;  // of a group, to a thread

// The tree over a thread's results of a group of n, kThreads from one to the next. Not through L1, which does not see what other blocks
// wrote.
__device__ __forceinline__ double sum_of_results(const double* results, int n) {
  const int thread = static_cast<int>(threadIdx.x);
  double p[kResults];
#pragma unroll
  for (int i = 0; i < kResults; ++i) p[i] = thread + i * kThreads < n ? __ldcg(results + thread + i * kThreads) : 0.0;
#pragma unroll
  for (int stride = kResults / 2; stride > 0; stride /= 2) {
#pragma unroll
    for (int i = 0; i < stride; ++i) p[i] += p[i + stride];
  }
  return p[0];
}

// The rest of the tree, over what each thread has of a group, by one warp; valid in its lane 0.
__device__ __forceinline__ double sum_of_group(const Shared<double>& of_threads, int lane) {
  const auto of_warp = [&](int warp) { return of_threads[warp * kLanes + lane]; };
  double p = (of_warp(0) + of_warp(2)) + (of_warp(1) + of_warp(3));
  for (int offset = kLanes / 2; offset > 0; offset /= 2) p += __shfl_down_sync(kAllLanes, p, offset);
  return p;
}
static_assert(kWarps == 4, "threads' sums are added as four");

// Whether this block is the last of `size` to come here with its results written. The ticket is left as it was found. The barriers order
// the block's writes before one thread's count, and that before its reads.
__device__ __forceinline__ bool is_last(uint32_t* ticket, uint32_t size) {
  const Shared<uint32_t> flag = shared_memory<uint32_t>();
  __syncthreads();
  if (threadIdx.x == 0) {
    const bool last = count_in(ticket) == size - 1;
    if (last) *ticket = 0;
    flag[0] = last ? 1 : 0;
  }
  __syncthreads();
  return flag[0] != 0;
}

// Where the threads' shares of sum s lie, behind the flag of is_last(). By then nothing else is wanted in shared memory.
__device__ __forceinline__ Shared<double> shares_of(int s) {
  return shared_memory<double>((2 + s * kThreads) * static_cast<int>(sizeof(double)));
}

// Warp w makes sums w, w + kWarps, …: of the tile, then of groups of results for as long as this block is the last of its group.
__device__ __forceinline__ void make_sums(const StepMember& member, const Shared<float4>& tile) {
  const int warp = static_cast<int>(threadIdx.x) / kLanes, lane = static_cast<int>(threadIdx.x) % kLanes, sums = member.step.request.sums;
  int64_t level = 0, at = blockIdx.x, n = member.tiles;  // of n results of this level, which begin at `level`, the one at `at` is made
  const auto leave = [&](int s, double sum) {
    if (lane == 0) *(n == 1 ? member.sums + s : member.partials + s * member.partials_length + level + at) = sum;
  };
  for (int s = warp; s < sums; s += kWarps) leave(s, static_cast<double>(sum_of_tile(at_sum(member, s), tile, lane)));
  for (uint32_t* tickets = member.tickets; n > 1;) {
    const int64_t group = at / kTile, groups = (n + kTile - 1) / kTile, left = n - group * kTile, from = level + group * kTile;
    const int size = static_cast<int>(left < kTile ? left : kTile);
    if (!is_last(tickets + group, static_cast<uint32_t>(size))) return;
    for (int s = 0; s < sums; ++s)
      shares_of(s)[static_cast<int>(threadIdx.x)] = sum_of_results(member.partials + s * member.partials_length + from, size);
    __syncthreads();
    level += n, tickets += groups, at = group, n = groups;
    for (int s = warp; s < sums; s += kWarps) leave(s, sum_of_group(shares_of(s), lane));
  }
}

template <typename Types, bool kIsWhole>
__device__ __forceinline__ void make_elements(const StepMember& member, int64_t tile_at, const Shared<float4>& tile) {
  const int64_t at = tile_at + 4 * static_cast<int64_t>(threadIdx.x);
  const Extents<kIsWhole> extents = {member.step.request.length - at, member.is_aligned};
  Inputs<Types> inputs;
  load_inputs<Types>(member.step, at, extents, inputs);
  form_rows<Types>(member, at, extents, inputs, tile);
}

// A block's tile of the member.
template <typename Types>
__device__ __forceinline__ void make_tile(const StepMember& member) {
  if (blockIdx.x >= member.tiles) return;
  const Shared<float4> tile = shared_memory<float4>();
  const int64_t tile_at = static_cast<int64_t>(blockIdx.x) * kTile;
  if (member.is_aligned && member.step.request.length - tile_at >= kTile) {
    make_elements<Types, true>(member, tile_at, tile);
  } else {
    make_elements<Types, false>(member, tile_at, tile);
  }
  if (member.step.request.sums == 0) return;
  leave_terms(member, tile_at, tile);
  __syncthreads();
  make_sums(member, tile);
}

template <int kCapacity, typename Types>
__global__ void __launch_bounds__(kThreads, Types::kBlocks) step_kernel(const Batch<kCapacity> __grid_constant__ batch) {
  // A single member's place among the parameters is known to the compiler.
  const StepMember& member = kCapacity == 1 ? batch.member[0] : batch.member[blockIdx.y];
  read_ahead(member);
  wait_for_earlier_work();
  make_tile<Types>(member);
}

using Floats = OneType<Storage::kFloat32>;

__global__ void __launch_bounds__(kThreads, Floats::kBlocks) step_in_memory_kernel(const StepMember* member) { make_tile<Floats>(*member); }

// Of a step with this many summed rows.
constexpr size_t shared_bytes(int slots, int sums) {
  return (static_cast<size_t>(slots) * kQuads + static_cast<size_t>(sums)) * kThreads * sizeof(float4);
}
static_assert(shared_bytes(kMaxRows, kMaxSums) <= 48 * 1024, "what a kernel may have without being allowed more");

// Whether every buffer has this type.
bool has_type(const DeviceStep& step, Storage type) {
  for (int k = 0; k < step.request.inputs; ++k) {
    if (step.input_type[k] != type) return false;
  }
  for (int r = 0; r < step.request.rows; ++r) {
    if (step.request.store[r] != nullptr && step.store_type[r] != type) return false;
  }
  return true;
}

template <int kCapacity>
cudaError_t launch_step(const DeviceStep* members, int count, double* sums, const StepScratch& scratch, cudaStream_t stream) {
  Batch<kCapacity> batch;
  Shape shape;
  shape.blocks_y = count, shape.threads = dim3(kThreads), shape.is_early = scratch.has_early_starts;
  for (int m = 0; m < count; ++m) {
    StepMember& member = batch.member[m];
    member.step = members[m];
    complete(member, m, sums, scratch);
    const size_t bytes = shared_bytes(member.slots, members[m].request.sums);
    if (bytes > shape.shared_bytes) shape.shared_bytes = bytes;
    if (member.tiles > shape.blocks_x) shape.blocks_x = member.tiles;
    sums += members[m].request.sums;
  }
  if constexpr (kCapacity == 1) {
    if (has_type(members[0], Storage::kFloat32)) return launch(step_kernel<1, Floats>, shape, stream, batch);
    if (has_type(members[0], Storage::kFloat16)) return launch(step_kernel<1, OneType<Storage::kFloat16>>, shape, stream, batch);
  }
  return launch(step_kernel<kCapacity, AnyType>, shape, stream, batch);
}

cudaError_t launch_means(const DeviceStep* members, int count, const StepScratch& scratch, cudaStream_t stream) {
  TokenMeans means[kMaxMembers];
  int with_means = 0;
  for (int m = 0; m < count; ++m) {
    const StepRequest& request = members[m].request;
    if (request.token_sum >= 0)
      means[with_means++] = {request.layout, scratch.terms + m * step_terms(scratch.limits.token_length), request.token_means};
  }
  return with_means == 0 ? cudaSuccess : token_means(means, with_means, scratch.has_early_starts, stream);
}

bool is_within(const StepRequest& request, const DeviceLimits& limits) {
  const bool counts = request.inputs >= 0 && request.inputs <= kMaxInputs && request.rows >= 0 && request.rows <= kMaxRows &&
                      request.sums >= 0 && request.sums <= kMaxSums;
  return counts && request.length >= 0 && request.length <= limits.length &&
         (request.token_sum < 0 || request.length <= limits.token_length);
}

}  // namespace

cudaError_t kernel_architecture(int* architecture) {
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, step_kernel<1, AnyType>);
  if (status == cudaSuccess) *architecture = attributes.ptxVersion;
  return status;
}

// One that decisions on the device wrote; how many rows it sums is not known here, so there is room for the most that they do.
cudaError_t step_in_memory(const StepMember* member, int64_t length, cudaStream_t stream) {
  Shape shape;
  shape.blocks_x = step_tiles(length), shape.threads = dim3(kThreads), shape.shared_bytes = shared_bytes(kSadaRows, kSadaSums);
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
