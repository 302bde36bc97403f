// A run whose decisions are made here: one thread decides, the step kernel makes what it wrote, one thread learns from its sums. The
// network's pass stands in an IF node of the graph that one attempt at a step is, so the host reads nothing until the end.
#include <new>

#include "device.cuh"
#include "launch.cuh"
#include "step_member.cuh"

namespace sada {

namespace cuda {
namespace {

// What the device has of a run.
struct Run {
  Sada sada;
  NamedRow output;
  SadaState state;
  int64_t length;
  float* buffer[kSadaBuffers];
  const float* cond;
  const float* uncond;
  float* sample[2];
  float* level;
  int32_t rows;
  const volatile int32_t* cancelled;
  double* report;  // kSadaHeader numbers, then kSadaRecord of each step

  int32_t step;  // the next
  bool is_over;  // all steps made, or one that was not finite
  bool must_compute;  // the skip of this step was not finite
  bool is_skip, is_idle;  // of this attempt

  // Places in `buffer`. A computed step overwrites the state, a skip goes beside it: it may not be taken.
  int32_t x, x_beside;
  int32_t x0[3], y[3];  // of the newest and the older computed step, and free ones
  int32_t x0_prev, x0_of_skip[2];

  StepMember compose, made;
  double sums[kMaxSums];

  // Of the thread that decides: what it works on lies here, since a stack would be set aside for every thread that the GPU can hold.
  SadaWork work;
  int8_t place[kNames];  // of buffers among a step's inputs
};

__device__ const float* find(const Run& run, Name name) {
  switch (name) {
    case Name::kX: return run.buffer[run.x];
    case Name::kX0Prev: return run.buffer[run.x0_prev];
    case Name::kCond: return run.cond;
    case Name::kUncond: return run.uncond;
    case Name::kX0Newest: return run.buffer[run.x0[0]];
    case Name::kX0Older: return run.buffer[run.x0[1]];
    case Name::kYNewest: return run.buffer[run.y[0]];
    case Name::kYOlder: return run.buffer[run.y[1]];
    default: return nullptr;  // defined by others, in no row of a step
  }
}

// The place of a buffer among a step's inputs.
__device__ int input_of(Run& run, StepRequest& request, Name name) {
  int8_t& at = run.place[static_cast<int>(name)];
  if (at < 0) {
    at = static_cast<int8_t>(request.inputs);
    request.input[request.inputs++] = find(run, name);
  }
  return at;
}

// A request of nothing, where one of an attempt before may be.
__device__ void begin(StepRequest& request, int64_t length, int rows, int sums) {
  request.length = length, request.inputs = 0, request.rows = rows, request.sums = sums;
  for (int r = 0; r < kMaxRows; ++r) request.row[r].inputs = 0, request.store[r] = nullptr;
}

// What `run.work` has, over the buffers.
__device__ void form(Run& run) {
  StepRequest& request = run.made.step.request;
  const SadaStep& step = run.work.step;
  for (int8_t& each : run.place) each = -1;
  begin(request, run.length, step.rows, step.sums);
  for (int r = 0; r < step.rows; ++r) {
    const NamedRow& row = *step.row[r];
    for (int k = 0; k < row.terms; ++k) request.row[r].set(input_of(run, request, row.name[k]), static_cast<float>(row.weight[k]));
  }
  request.sum[0].a = kX0Row;
  request.sum[1].a = request.sum[1].b = kMissedRow;
  request.sum[2].a = kCriterionA, request.sum[2].b = kCriterionB;
  request.sum[3].a = kMissedRow, request.sum[3].b = kLastRow;
  request.sum[4].a = request.sum[4].b = kLastRow;
}

__device__ int32_t x0_place_of_skip(const Run& run) { return run.x0_of_skip[run.x0_of_skip[0] == run.x0_prev ? 1 : 0]; }

__device__ void prepare_skip(Run& run, const StepScratch& scratch) {
  make_skipped_step(run.work, run.sada, run.state, run.step);
  form(run);
  StepRequest& request = run.made.step.request;
  request.store[kNextRow] = run.buffer[run.x_beside];
  request.store[kX0Row] = run.buffer[x0_place_of_skip(run)];
  complete(run.made, 0, run.sums, scratch);
}

__device__ void prepare_compose(Run& run, const StepScratch& scratch) {
  const SolverStep& at = run.sada.step[run.step];
  StepRequest& request = run.compose.step.request;
  begin(request, run.length, run.rows, 0);
  request.inputs = 1, request.input[0] = run.buffer[run.x];
  for (int r = 0; r < run.rows; ++r) {
    request.row[r].set(0, at.input_scale);
    request.store[r] = run.sample[r];
    run.level[r] = at.input_level;
  }
  complete(run.compose, 0, run.sums, scratch);
}

__device__ void prepare_run(Run& run, const StepScratch& scratch) {
  make_computed_step(run.work, run.sada, run.state, run.step, run.output);
  form(run);
  StepRequest& request = run.made.step.request;
  request.store[kNextRow] = run.buffer[run.x];
  request.store[kX0Row] = run.buffer[run.x0[2]];
  request.store[kVelocityRow] = run.buffer[run.y[2]];
  complete(run.made, 0, run.sums, scratch);
  prepare_compose(run, scratch);
}

// `scratch`: what the device has now; it may have grown since the attempt before. `condition`: of the node that the network's pass is in;
// 0: there is none.
__global__ void decide_kernel(Run* of, StepScratch scratch, cudaGraphConditionalHandle condition) {
  Run& run = *of;
  run.is_idle = run.is_over || *run.cancelled != 0;
  run.is_skip = !run.is_idle && !run.must_compute && skips(run.sada, run.state, run.step);
  const bool is_computed = !run.is_idle && !run.is_skip;
  run.made.tiles = run.compose.tiles = 0;
  if (run.is_skip) prepare_skip(run, scratch);
  if (is_computed) prepare_run(run, scratch);
  run.report[1] = is_computed ? 1.0 : 0.0;
  if (condition != 0) cudaGraphSetConditional(condition, is_computed ? 1u : 0u);
}

// Scratch that grew since the decision.
__global__ void renew_kernel(Run* of, StepScratch scratch) { of->made.partials = scratch.partials, of->made.tickets = scratch.tickets; }

__device__ void accept_skip(Run& run) {
  const int32_t before = run.x;
  run.x = run.x_beside, run.x_beside = before;
  run.x0_prev = x0_place_of_skip(run);
}

__device__ void accept_run(Run& run) {
  for (int32_t(*ring)[3] : {&run.x0, &run.y}) {
    const int32_t made = (*ring)[2];
    (*ring)[2] = (*ring)[1], (*ring)[1] = (*ring)[0], (*ring)[0] = made;
  }
  run.x0_prev = run.x0[0];
}

__global__ void learn_kernel(Run* of) {
  Run& run = *of;
  if (run.is_idle) return;
  const double n = static_cast<double>(run.length), magnitude = run.sums[0] / n;
  if (!is_finite(magnitude)) {
    run.must_compute = true;
    run.is_over = !run.is_skip;
    run.report[2] = run.is_over ? 1.0 : 0.0;
    return;
  }
  SadaVerdict verdict;
  if (run.is_skip) {
    accept_skip(run);
    verdict = after_skip(run.sada, run.state, run.step);
  } else {
    accept_run(run);
    verdict = after_run(run.sada, run.state, run.step, {run.sums[1] / n, run.sums[2] / n, run.sums[3] / n, run.sums[4] / n}, magnitude);
  }
  double* record = run.report + kSadaHeader + kSadaRecord * run.step;
  record[0] = run.is_skip ? 1.0 : 0.0, record[1] = verdict.criterion, record[2] = verdict.error;
  run.must_compute = false;
  run.report[0] = ++run.step;
  run.report[3] = run.x, run.report[4] = run.x0_prev;
  run.is_over = run.step == run.sada.steps;
}

Run first_state(const DeviceSada& request) {
  Run run = {};
  run.sada = {request.options, request.steps, nullptr};
  run.output = request.output;
  run.length = request.length;
  for (int k = 0; k < kSadaBuffers; ++k) run.buffer[k] = request.buffer[k];
  run.cond = request.cond, run.uncond = request.uncond;
  for (int r = 0; r < 2; ++r) run.sample[r] = request.sample[r];
  run.level = request.level, run.rows = request.rows;
  run.cancelled = request.cancelled;
  run.x = 0, run.x_beside = 1;
  for (int k = 0; k < 3; ++k) run.x0[k] = 2 + k, run.y[k] = 5 + k;
  run.x0_of_skip[0] = 8, run.x0_of_skip[1] = 9;
  run.x0_prev = run.x0[0];
  return run;
}

bool has_room(const DeviceLimits& limits, int64_t length) { return length <= limits.length && limits.members > 0; }

bool is_valid(const DeviceSada& request, const DeviceLimits& limits) {
  const bool counts = request.steps > 0 && request.length > 0 && (request.rows == 1 || request.rows == 2) && request.cancelled != nullptr;
  return counts && has_room(limits, request.length);
}

bool is_same(const StepScratch& a, const StepScratch& b) {
  return a.partials == b.partials && a.tickets == b.tickets && a.limits.length == b.limits.length;
}

}  // namespace
}  // namespace cuda

struct DeviceSadaRun {
  cuda::Run* run = nullptr;  // of the device, with the levels and the report behind it
  double* report = nullptr;
  int64_t length = 0;
  cuda::StepScratch scratch;  // of the attempt that has begun
  // Of a recording.
  cudaGraph_t graph = nullptr;
  cudaGraphNode_t condition = nullptr;
  cudaGraph_t pass = nullptr;
};

namespace cuda {
namespace {

cudaError_t decide(DeviceSadaRun& run, const Device& device, cudaGraphConditionalHandle condition) {
  if (!has_room(device.step.limits, run.length)) return cudaErrorInvalidValue;
  run.scratch = device.step;
  return launch(decide_kernel, Shape{}, device.stream, run.run, run.scratch, condition);
}

cudaError_t renew(DeviceSadaRun& run, const Device& device) {
  if (!has_room(device.step.limits, run.length)) return cudaErrorInvalidValue;
  run.scratch = device.step;
  return launch(renew_kernel, Shape{}, device.stream, run.run, run.scratch);
}

cudaError_t learn(const DeviceSadaRun& run, cudaStream_t stream) {
  const cudaError_t status = step_in_memory(&run.run->made, run.length, stream);
  return status != cudaSuccess ? status : launch(learn_kernel, Shape{}, stream, run.run);
}

// The node of the pass, after what the stream has recorded so far.
cudaError_t add_condition(DeviceSadaRun& run, cudaGraphConditionalHandle handle, cudaStream_t stream) {
  cudaStreamCaptureStatus capture;
  const cudaGraphNode_t* before = nullptr;
  size_t count = 0;
  cudaError_t status = cudaStreamGetCaptureInfo(stream, &capture, nullptr, nullptr, &before, nullptr, &count);
  if (status != cudaSuccess) return status;
  cudaGraphNodeParams parameters = {};
  parameters.type = cudaGraphNodeTypeConditional;
  parameters.conditional.handle = handle;
  parameters.conditional.type = cudaGraphCondTypeIf;
  parameters.conditional.size = 1;
  status = cudaGraphAddNode(&run.condition, run.graph, before, nullptr, count, &parameters);
  if (status == cudaSuccess) run.pass = parameters.conditional.phGraph_out[0];
  return status;
}

bool is_capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(stream, &status) == cudaSuccess && status != cudaStreamCaptureStatusNone;
}

// Ends a recording as what `status` says it became.
cudaError_t finish(DeviceSadaRun& run, cudaError_t status, cudaStream_t stream, DeviceGraph** out) {
  cudaGraph_t ended = nullptr;
  if (is_capturing(stream)) status = first(status, cudaStreamEndCapture(stream, &ended));
  status = instantiate(run.graph, status, out);
  run.graph = nullptr, run.condition = nullptr, run.pass = nullptr;
  return status;
}

// Leaves the stream recording the pass, or all as it was.
cudaError_t begin_recording(DeviceSadaRun& run, const Device& device) {
  const cudaStream_t stream = device.stream;
  cudaGraphConditionalHandle handle = 0;
  cudaGraph_t ended = nullptr;
  cudaError_t status = cudaGraphCreate(&run.graph, 0);
  if (status == cudaSuccess) status = cudaGraphConditionalHandleCreate(&handle, run.graph, 0, cudaGraphCondAssignDefault);
  if (status == cudaSuccess) status = cudaStreamBeginCaptureToGraph(stream, run.graph, nullptr, nullptr, 0, kCaptureMode);
  if (status == cudaSuccess) status = decide(run, device, handle);
  if (status == cudaSuccess) status = add_condition(run, handle, stream);
  if (status == cudaSuccess) status = cudaStreamEndCapture(stream, &ended);
  if (status == cudaSuccess) status = cudaStreamBeginCaptureToGraph(stream, run.pass, nullptr, nullptr, 0, kCaptureMode);
  if (status == cudaSuccess) status = step_in_memory(&run.run->compose, run.length, stream);
  DeviceGraph* none = nullptr;
  return status == cudaSuccess ? status : finish(run, status, stream, &none);
}

cudaError_t end_recording(DeviceSadaRun& run, cudaStream_t stream, DeviceGraph** out) {
  cudaGraph_t ended = nullptr;
  cudaError_t status = cudaStreamEndCapture(stream, &ended);
  if (status == cudaSuccess) status = cudaStreamBeginCaptureToGraph(stream, run.graph, &run.condition, nullptr, 1, kCaptureMode);
  if (status == cudaSuccess) status = learn(run, stream);
  return finish(run, status, stream, out);
}

}  // namespace

// docs/memory.md says what a run takes beside its quote.
static_assert(sizeof(Run) + sizeof(SolverStep) + kSadaHeader * sizeof(double) <= 10240, "at most 10 KiB");
static_assert(sizeof(SolverStep) + kSadaRecord * sizeof(double) <= 450, "at most 450 bytes a step");

DeviceStatus sada_create(Device* device, const DeviceSada* request, DeviceSadaRun** out) {
  *out = nullptr;
  return on(device, [&] {
    if (!is_valid(*request, device->step.limits)) return cudaErrorInvalidValue;
    DeviceSadaRun* run = new (std::nothrow) DeviceSadaRun;
    if (run == nullptr) return cudaErrorMemoryAllocation;
    const size_t levels = (static_cast<size_t>(request->steps) + 1) * sizeof(SolverStep);
    const size_t report = static_cast<size_t>(kSadaHeader + kSadaRecord * request->steps) * sizeof(double);
    char* memory = nullptr;
    cudaError_t status = cudaMalloc(&memory, sizeof(Run) + levels + report);
    if (status != cudaSuccess) return delete run, status;
    Run state = first_state(*request);
    state.sada.step = reinterpret_cast<const SolverStep*>(memory + sizeof(Run));
    state.report = reinterpret_cast<double*>(memory + sizeof(Run) + levels);
    run->run = reinterpret_cast<Run*>(memory), run->report = state.report, run->length = request->length;
    status = cudaMemcpyAsync(memory, &state, sizeof state, cudaMemcpyHostToDevice, device->stream);
    status = first(status, cudaMemcpyAsync(memory + sizeof(Run), request->levels, levels, cudaMemcpyHostToDevice, device->stream));
    status = first(status, cudaMemsetAsync(state.report, 0, report, device->stream));
    if (status != cudaSuccess) return cudaFree(memory), delete run, status;
    return *out = run, cudaSuccess;
  });
}

DeviceStatus sada_destroy(Device* device, DeviceSadaRun* run) {
  if (run == nullptr) return cudaSuccess;
  const DeviceStatus status = on(device, [&] { return cudaFree(run->run); });
  delete run;
  return status;
}

DeviceStatus sada_before(Device* device, DeviceSadaRun* run, bool is_recorded) {
  return on(device, [&] {
    if (is_recorded) return begin_recording(*run, *device);
    const cudaError_t status = decide(*run, *device, 0);
    return status != cudaSuccess ? status : step_in_memory(&run->run->compose, run->length, device->stream);
  });
}

DeviceStatus sada_after(Device* device, DeviceSadaRun* run, DeviceGraph** graph) {
  *graph = nullptr;
  return on(device, [&] {
    if (run->graph != nullptr) return end_recording(*run, device->stream, graph);
    const cudaError_t status = is_same(run->scratch, device->step) ? cudaSuccess : renew(*run, *device);
    return status != cudaSuccess ? status : learn(*run, device->stream);
  });
}

DeviceStatus sada_report(Device* device, DeviceSadaRun* run, double* to, int64_t count) {
  return on(device, [&] {
    return cudaMemcpyAsync(to, run->report, static_cast<size_t>(count) * sizeof(double), cudaMemcpyDeviceToHost, device->stream);
  });
}

}  // namespace cuda
}  // namespace sada
