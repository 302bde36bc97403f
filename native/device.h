// The boundary between the addon and a library of GPU kernels that is opened at run time: one exported symbol, a table of plain functions
// over plain structs, no exceptions across it. `libsada_cuda` has it; so has the emulated library of the tests.
//
// A call that takes a Device only adds work to its stream, in order, and neither allocates nor waits, except create, destroy, reserve,
// allocate*, release*, synchronize, end_capture, sada_create, sada_destroy and sada_after. What a call's structs say is read before it
// returns; what their pointers name is read and written when the stream gets there. "Device pointers" may also name pinned memory of
// `allocate_host`. A Device is used by one thread at a time.
#pragma once

#include <cstdint>

#include "backend.h"
#include "math/sada_step.h"

namespace sada {

constexpr int kMaxMembers = 32;  // of one batch
constexpr int kMaxBuckets = 16;  // token counts a selection may be rounded up to

// 0: no error. Else an error of the CUDA runtime: invalid value (1) for requests outside of what is written here.
using DeviceStatus = int32_t;

// What a status means for the one who asked.
enum class DeviceFailure : int32_t {
  kNone,
  kInvalid,  // the request
  kOutOfMemory,  // this allocation; the device goes on
  kUnavailable,  // no driver, a driver or GPU too old, no GPU, none free
  kLost,  // nothing on this GPU works any more in this process
  kOther,
};

struct DeviceSystem {
  int32_t devices = 0;
  int32_t driver_version = 0;  // the newest CUDA the driver serves, 1000 * major + 10 * minor; 0: no driver
  int32_t runtime_version = 0;  // the CUDA of this library
};

struct DeviceInfo {
  char name[256] = {};
  int32_t capability_major = 0, capability_minor = 0;
  int32_t multiprocessors = 0;
  int64_t total_bytes = 0, free_bytes = 0;
};

// What one call may bring at most; scratch memory is sized by it.
struct DeviceLimits {
  int64_t length = 0;  // elements of a member
  int32_t members = 0;  // of a batch, at most kMaxMembers
  int64_t token_length = 0;  // elements of a member with token means; 0: none has any
  int64_t host_indices = 0;  // kept tokens of a move whose indices lie in host memory; 0: none do
};

// A member's step over device buffers. A store is an input's own slice with its own type, or apart from all inputs, and apart from the
// other stores; no member writes what another one reads.
using DeviceStep = StoredStep;

// Tokens between whole maps, [rows][tokens][channels] or [rows][channels][tokens] where channels come first, and kept ones.
// Elements keep their bits where the type stays, else they are rounded to the nearest, ties to even. Source and destinations are apart.
struct DeviceMove {
  const void* from = nullptr;
  void* to = nullptr;
  void* cache = nullptr;  // a whole map that gets the moved tokens as well; null: none
  Storage from_type = Storage::kFloat32, to_type = Storage::kFloat32, cache_type = Storage::kFloat32;
  bool channels_first = false;
  bool indices_on_host = false;  // then they are copied; pinned ones must live until the stream has passed
  int64_t rows = 0, tokens = 0, channels = 0, kept = 0;
  const int32_t* indices = nullptr;  // [kept], each of [0, tokens) and named once
};

// math/select.h with device scores: kept token indices, ascending, and how many.
struct DeviceSelection {
  const float* scores = nullptr;  // [height * width]
  int32_t height = 0, width = 0;  // at most 2^31 - 1 tokens
  float threshold = 0.0f;
  int32_t max_kept = 0;
  int32_t window_height = 0, window_width = 0;
  uint32_t seed = 0;
  int32_t buckets = 0;
  int32_t bucket[kMaxBuckets] = {};  // ascending
  int32_t* indices = nullptr;  // room for height * width
  int32_t* kept = nullptr;  // 1 number
};

// A member's run under the policy of math/sada_policy.h, whose decisions the device makes. Device pointers.
constexpr int kSadaBuffers = 10;
constexpr int kSadaHeader = 5, kSadaRecord = 3;  // numbers of a report before those of the steps, and of each step
struct DeviceSada {
  SadaOptions options;
  NamedRow output;  // the network's guided output over kCond and kUncond
  const SolverStep* levels = nullptr;  // [steps + 1], in host memory, copied
  int32_t steps = 0;
  int64_t length = 0;
  float* buffer[kSadaBuffers] = {};  // [length] each; the first holds the initial state; which has the last, the report says
  const float* cond = nullptr;  // [length]; what the network leaves
  const float* uncond = nullptr;  // null: it has one row
  float* sample[2] = {};  // [length]; what it is given, once for each row
  float* level = nullptr;  // [rows]
  int32_t rows = 0;  // 1 or 2
  const int32_t* cancelled = nullptr;  // pinned; other than 0: no step is made any more
};

struct Device;  // a GPU, a stream of its own and scratch memory
struct DeviceGraph;  // work that was recorded on a Device
struct DeviceSadaRun;

struct DeviceTable {
  uint32_t abi;
  const char* name;  // "cuda"; of the tests' library "cuda-emulated"

  // What there is; where it fails the status is the reason, and the versions are still filled in.
  DeviceStatus (*system)(DeviceSystem* system);
  // Starts the GPU's context in this process, which costs memory on it.
  DeviceStatus (*describe)(int32_t index, DeviceInfo* info);
  DeviceStatus (*create)(int32_t index, Device** device);
  DeviceStatus (*destroy)(Device* device);  // waits; null is fine
  void* (*stream)(Device* device);  // a cudaStream_t

  // Scratch for calls up to these limits and those reserved before. Its size, without a device: `reserve_bytes`.
  DeviceStatus (*reserve)(Device* device, const DeviceLimits* limits);
  int64_t (*reserve_bytes)(const DeviceLimits* limits);

  // Memory of the GPU, zero-filled when the stream gets there, aligned to 256 bytes; 0 bytes: null. Releasing waits for the GPU.
  DeviceStatus (*allocate)(Device* device, int64_t bytes, void** memory);
  DeviceStatus (*release)(Device* device, void* memory);
  // Page-locked host memory that kernels reach by the same address; not filled.
  DeviceStatus (*allocate_host)(Device* device, int64_t bytes, void** memory);
  DeviceStatus (*release_host)(Device* device, void* memory);

  // Pageable host memory is read before `upload` returns, and written before `download` does.
  DeviceStatus (*upload)(Device* device, void* to, const void* from, int64_t bytes);
  DeviceStatus (*download)(Device* device, void* to, const void* from, int64_t bytes);
  DeviceStatus (*copy)(Device* device, void* to, const void* from, int64_t bytes);
  DeviceStatus (*fill)(Device* device, void* to, uint8_t value, int64_t bytes);
  DeviceStatus (*synchronize)(Device* device);  // and hands over the error of work that failed since

  // The steps of all members in one launch, two where tokens have means. `sums`: those of the first member, then of the next, …; a device
  // pointer or, to read them after `synchronize`, pinned memory. May be null where no member has any.
  DeviceStatus (*step)(Device* device, const DeviceStep* members, int32_t count, double* sums);
  DeviceStatus (*gather)(Device* device, const DeviceMove* move);  // to[r][k] = from[r][indices[k]]
  DeviceStatus (*scatter)(Device* device, const DeviceMove* move);  // to[r][indices[k]] = from[r][k]
  DeviceStatus (*select)(Device* device, const DeviceSelection* members, int32_t count);
  DeviceStatus (*convert)(Device* device, void* to, Storage to_type, const void* from, Storage from_type, int64_t length);

  // Between these two calls, by one thread, work is recorded instead of done; calls that allocate, release or wait fail then, and so does
  // the recording. Either way the device goes on. A graph holds what its calls' structs said; what their pointers name is read anew by
  // every launch, pinned memory included. It is launched on the device that recorded it, as long as that has the scratch memory of then.
  DeviceStatus (*begin_capture)(Device* device);
  DeviceStatus (*end_capture)(Device* device, DeviceGraph** graph);
  DeviceStatus (*launch)(Device* device, DeviceGraph* graph);
  DeviceStatus (*release_graph)(Device* device, DeviceGraph* graph);

  // A run that DeviceSada describes; scratch for its length must have been reserved, and may grow between these calls. An attempt at the
  // next step is what is added between `before`, which decides and makes the network's inputs, and `after`, which makes the step and
  // learns: the network's pass, to be done only where the step is computed. A skip whose result is not finite is not taken, and its step
  // computed in the next attempt; after the last step attempts do nothing. `is_recorded`: the attempt is recorded, with the pass under a
  // condition, and `after` hands over a graph that makes one attempt at each launch. `after` ends the recording also where the pass failed;
  // a `before` that fails has ended it. Not recorded: `graph` becomes null.
  DeviceStatus (*sada_create)(Device* device, const DeviceSada* request, DeviceSadaRun** run);
  DeviceStatus (*sada_destroy)(Device* device, DeviceSadaRun* run);  // waits; null is fine
  DeviceStatus (*sada_before)(Device* device, DeviceSadaRun* run, bool is_recorded);
  DeviceStatus (*sada_after)(Device* device, DeviceSadaRun* run, DeviceGraph** graph);
  // The first `count` numbers of the report: steps made; whether the next is computed, as `before` decided; whether a computed one was not
  // finite, which ends the run; which buffers have the state and the clean sample; then of each step made whether it was skipped, the
  // criterion and the error (NaN: none).
  DeviceStatus (*sada_report)(Device* device, DeviceSadaRun* run, double* to, int64_t count);

  const char* (*error_string)(DeviceStatus status);
  DeviceFailure (*failure)(DeviceStatus status);
};

// Which table the addon understands: raised when a meaning changes, or the layout of a struct without its size; another size of one shows
// by itself.
constexpr uint32_t mix_sizes(uint32_t hash) { return hash; }
template <typename... Sizes>
constexpr uint32_t mix_sizes(uint32_t hash, size_t size, Sizes... others) {
  return mix_sizes((hash ^ static_cast<uint32_t>(size)) * 16777619u, others...);  // FNV-1a
}
constexpr uint32_t kDeviceAbi = mix_sizes(3, sizeof(DeviceTable), sizeof(DeviceStep), sizeof(DeviceMove), sizeof(DeviceSelection),
                                          sizeof(DeviceSada), sizeof(DeviceLimits), sizeof(SolverStep));

}  // namespace sada

// The table, or null where the library has another one than `abi` (kDeviceAbi of the caller).
extern "C" {
#if defined(_WIN32)
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
    const sada::DeviceTable* sada_device_table(uint32_t abi);
}
