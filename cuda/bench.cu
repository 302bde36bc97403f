// What each kernel costs on this machine's GPU, and how near it comes to a plain copy of as many bytes:
//
//   build/sada_cuda_bench [--json] [kernel]      that kernel alone: step, gather, scatter, select, convert; exits 3 where there is no GPU
//
// A time is the median of seven runs of many launches between two events on one stream, after a warm-up. "copy" is cudaMemcpyAsync on the
// device that reads and writes as many bytes as the kernel must. Buffers are used again and again: small ones stay in the GPU's cache, the
// copy's as well. "host" is what the call takes until it returns, "replayed" the same launches as a CUDA graph: what the GPU alone takes.
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../native/device.h"

namespace {

using sada::DeviceMove;
using sada::DeviceSelection;
using sada::DeviceStep;
using sada::Storage;

constexpr int kRuns = 7;
constexpr float kLeastMilliseconds = 10.0f;  // of a run

const sada::DeviceTable& table = *sada_device_table(sada::kDeviceAbi);
sada::Device* device = nullptr;

void check(int status, const char* what) {
  if (status == 0) return;
  std::printf("%s: %s\n", what, table.error_string(status));
  std::exit(1);
}

// Device memory for the length of a case.
struct Memory {
  explicit Memory(int64_t bytes) { check(table.allocate(device, bytes, &data), "allocate"); }
  Memory(const Memory&) = delete;
  ~Memory() { check(table.release(device, data), "release"); }
  float* floats() const { return static_cast<float*>(data); }
  void* data = nullptr;
};

struct Events {
  Events() { check(cudaEventCreate(&from) != cudaSuccess || cudaEventCreate(&to) != cudaSuccess, "cudaEventCreate"); }
  ~Events() { cudaEventDestroy(from), cudaEventDestroy(to); }
  cudaEvent_t from, to;
};

struct Cost {
  double device_ms, host_ms, replayed_ms;
};

using Launch = std::function<int()>;

Cost run(const Launch& launch, int launches, const Events& events) {
  const auto stream = static_cast<cudaStream_t>(table.stream(device));
  check(table.synchronize(device), "synchronize");
  check(cudaEventRecord(events.from, stream), "cudaEventRecord");
  const auto from = std::chrono::steady_clock::now();
  for (int k = 0; k < launches; ++k) check(launch(), "launch");
  const std::chrono::duration<double, std::milli> host = std::chrono::steady_clock::now() - from;
  check(cudaEventRecord(events.to, stream), "cudaEventRecord");
  check(cudaEventSynchronize(events.to), "cudaEventSynchronize");
  float milliseconds = 0.0f;
  check(cudaEventElapsedTime(&milliseconds, events.from, events.to), "cudaEventElapsedTime");
  return {milliseconds / launches, host.count() / launches, 0.0};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The median of each over several runs of so many launches that one takes long enough.
Cost measure_launches(const Launch& launch) {
  const Events events;
  int launches = 8;
  while (run(launch, launches, events).device_ms * launches < kLeastMilliseconds && launches < 1 << 14) launches *= 2;
  std::vector<double> on_device, on_host;
  for (int k = 0; k < kRuns; ++k) {
    const Cost cost = run(launch, launches, events);
    on_device.push_back(cost.device_ms), on_host.push_back(cost.host_ms);
  }
  return {median(on_device), median(on_host), 0.0};
}

// Milliseconds of a launch within a graph of several, which leaves no gaps between them.
double replayed(const Launch& launch) {
  constexpr int kLaunches = 20;
  const auto stream = static_cast<cudaStream_t>(table.stream(device));
  cudaGraph_t graph;
  cudaGraphExec_t made;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  for (int k = 0; k < kLaunches; ++k) check(launch(), "launch");
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  check(cudaGraphInstantiate(&made, graph, 0), "cudaGraphInstantiate");
  const double ms = measure_launches([&] { return static_cast<int>(cudaGraphLaunch(made, stream)); }).device_ms / kLaunches;
  check(cudaGraphExecDestroy(made) != cudaSuccess || cudaGraphDestroy(graph) != cudaSuccess, "cudaGraphDestroy");
  return ms;
}

Cost measure(const Launch& launch) {
  Cost cost = measure_launches(launch);
  cost.replayed_ms = replayed(launch);
  return cost;
}

// Milliseconds of a copy that reads and writes `bytes` in all.
double copy_cost(int64_t bytes) {
  const int64_t half = std::max<int64_t>(bytes / 2, 4);
  const Memory from(half), to(half);
  return measure_launches([&] { return table.copy(device, to.data, from.data, half); }).device_ms;
}

bool as_json = false;
std::string wanted;  // how a kernel's name begins; empty: all

// `bytes`: what must be read and written at least; `touched`: in whole sectors, which is all that memory moves.
void report(const std::string& kernel, const std::string& size, int64_t bytes, int64_t touched, const Launch& launch) {
  if (kernel.compare(0, wanted.size(), wanted) != 0) return;
  const Cost cost = measure(launch);
  const double rate = bytes / cost.device_ms / 1e6, percent = 100.0 * copy_cost(bytes) / cost.device_ms;
  const double of_touched = touched == bytes ? percent : 100.0 * copy_cost(touched) / cost.device_ms;
  const char* format = as_json ? "{\"kernel\":\"%s\",\"size\":\"%s\",\"bytes\":%lld,\"ms\":%.6f,\"hostMs\":%.6f,\"replayedMs\":%.6f,"
                                 "\"gigabytesPerSecond\":%.2f,\"percentOfCopy\":%.2f,"
                                 "\"touchedBytes\":%lld,\"percentOfTouchedCopy\":%.2f}\n"
                               : "%-28s %-26s %12lld B %10.4f ms %10.4f ms host %10.4f ms replayed %9.1f GB/s %6.1f %% of a copy; %12lld B "
                                 "in whole sectors, %6.1f %%\n";
  std::printf(format, kernel.c_str(), size.c_str(), static_cast<long long>(bytes), cost.device_ms, cost.host_ms, cost.replayed_ms, rate,
              percent, static_cast<long long>(touched), of_touched);
}

__global__ void empty_kernel() {}

int launch_empty() {
  empty_kernel<<<1, 32, 0, static_cast<cudaStream_t>(table.stream(device))>>>();
  return static_cast<int>(cudaPeekAtLastError());
}

// Until the GPU's clocks are up and the driver has what it makes at first use: else the first row would pay for it.
void warm_up() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < until) measure_launches(launch_empty);
  replayed(launch_empty);
}

void report_empty() {
  const Cost cost = measure(launch_empty);
  const char* format = as_json ? "{\"kernel\":\"empty\",\"ms\":%.6f,\"hostMs\":%.6f,\"replayedMs\":%.6f}\n"
                               : "empty launch: %.4f ms, %.4f ms host, %.4f ms replayed\n";
  std::printf(format, cost.device_ms, cost.host_ms, cost.replayed_ms);
}

// What SADA's step is: guidance, x0, its extrapolation and the next sample out of six buffers, three stores, one product.
void bench_step(int64_t length, int members, Storage type, const sada::TokenLayout* layout) {
  constexpr int kInputs = 6, kRows = 4, kStores = 3;
  std::vector<std::unique_ptr<Memory>> owned;
  const auto buffer = [&] { return owned.emplace_back(std::make_unique<Memory>(length * sada::bytes_of(type)))->floats(); };
  std::vector<DeviceStep> steps(static_cast<size_t>(members));
  for (DeviceStep& step : steps) {
    sada::StepRequest& r = step.request;
    r.length = length, r.inputs = kInputs, r.rows = kRows, r.sums = 1, r.sum[0] = {2, 3, false};
    for (int k = 0; k < kInputs; ++k) r.input[k] = buffer(), step.input_type[k] = type;
    for (int row = 0; row < kRows; ++row) {
      for (int k = 0; k < 3; ++k) r.row[row].set((row + k) % kInputs, 0.5f + k);
      if (row < kStores) r.store[row] = buffer(), step.store_type[row] = type;
    }
    if (layout != nullptr)
      r.layout = *layout, r.token_sum = 0,
      r.token_means = owned.emplace_back(std::make_unique<Memory>(layout->grid_height * layout->grid_width * 4))->floats();
  }
  const Memory sums(members * 8);
  const int64_t bytes = members * length * (kInputs + kStores) * sada::bytes_of(type);
  const std::string name =
      std::string("step") + (type == Storage::kFloat16 ? ", float16" : "") + (layout != nullptr ? ", token means" : "");
  report(name, std::to_string(members) + " x " + std::to_string(length), bytes, bytes,
         [&] { return table.step(device, steps.data(), members, static_cast<double*>(sums.data)); });
}

// Sectors of 32 bytes that hold some of the named elements of `size` bytes, of a plane that begins with one.
int64_t sectors_of(const std::vector<int32_t>& named, int64_t size) {
  int64_t sectors = 0, last = -1;
  for (int32_t at : named) sectors += at * size / 32 != last, last = at * size / 32;
  return sectors;
}

void bench_move(bool gather, bool channels_first, Storage type, int64_t tokens, int64_t channels) {
  const int64_t kept = tokens / 2, size = sada::bytes_of(type);
  std::vector<int32_t> every_other(static_cast<size_t>(kept));
  for (int64_t k = 0; k < kept; ++k) every_other[static_cast<size_t>(k)] = static_cast<int32_t>(2 * k + (k % 3 == 0));
  const Memory whole(tokens * channels * size), part(kept * channels * size), indices(kept * 4);
  check(table.upload(device, indices.data, every_other.data(), kept * 4), "upload");
  DeviceMove move;
  move.from = gather ? whole.data : part.data, move.to = gather ? part.data : whole.data, move.from_type = move.to_type = type;
  move.channels_first = channels_first, move.rows = 1, move.tokens = tokens, move.channels = channels, move.kept = kept;
  move.indices = static_cast<const int32_t*>(indices.data);
  const std::string name = std::string(gather ? "gather" : "scatter") + (channels_first ? ", channels first" : "") +
                           (type == Storage::kFloat16 ? ", float16" : "");
  const int64_t bytes = 2 * kept * channels * size;
  // A sector that is written in part is read before, too.
  const int64_t touched = channels_first ? channels * (kept * size + (gather ? 1 : 2) * 32 * sectors_of(every_other, size)) : bytes;
  report(name, std::to_string(kept) + "/" + std::to_string(tokens) + " x " + std::to_string(channels), bytes, touched,
         [&] { return (gather ? table.gather : table.scatter)(device, &move); });
}

void bench_select(int32_t height, int32_t width) {
  const int64_t tokens = static_cast<int64_t>(height) * width;
  std::vector<float> values(static_cast<size_t>(tokens));
  for (size_t k = 0; k < values.size(); ++k) values[k] = static_cast<float>(k * 2654435761u % 10007) / 10007.0f;
  const Memory scores(tokens * 4), indices(tokens * 4), kept(4);
  check(table.upload(device, scores.data, values.data(), tokens * 4), "upload");
  DeviceSelection s;
  s.scores = scores.floats(), s.height = height, s.width = width, s.threshold = 0.4f, s.max_kept = static_cast<int32_t>(tokens / 2);
  s.window_height = s.window_width = 4, s.seed = 1, s.buckets = 1, s.bucket[0] = static_cast<int32_t>(tokens * 3 / 4);
  s.indices = static_cast<int32_t*>(indices.data), s.kept = static_cast<int32_t*>(kept.data);
  report("select", std::to_string(tokens) + " tokens", tokens * 8, tokens * 8, [&] { return table.select(device, &s, 1); });
}

void bench_convert(int64_t length) {
  const Memory from(length * 4), to(length * 2);
  report("convert to float16", std::to_string(length), length * 6, length * 6,
         [&] { return table.convert(device, to.data, Storage::kFloat16, from.data, Storage::kFloat32, length); });
}

void bench_all(int64_t free_bytes) {
  report_empty();
  const sada::TokenLayout sdxl = {true, 4, 64, 64, 2, 2}, flux = {true, 16, 64, 64, 2, 2};
  for (int64_t length : {16384, 65536, 262144, 1 << 20, 1 << 22, 1 << 24, 1 << 26}) {
    if (length * 9 * 4 > free_bytes / 2) break;  // nine buffers, and those of the copy
    for (Storage type : {Storage::kFloat32, Storage::kFloat16}) bench_step(length, 1, type, nullptr);
  }
  bench_step(65536, 4, Storage::kFloat32, nullptr);
  bench_step(65536, 1, Storage::kFloat32, &sdxl);
  bench_step(262144, 1, Storage::kFloat32, &flux);
  for (bool gather : {true, false}) {
    for (Storage type : {Storage::kFloat32, Storage::kFloat16}) {
      bench_move(gather, false, type, 4096, 1280), bench_move(gather, false, type, 4096, 3072),
          bench_move(gather, false, type, 16384, 3072);
      bench_move(gather, true, type, 16384, 320), bench_move(gather, true, type, 65536, 320);
    }
  }
  for (int32_t side : {32, 64, 128, 256}) bench_select(side, side);
  for (int64_t length : {65536, 1 << 22, 1 << 26}) bench_convert(length);
}

}  // namespace

int main(int argc, char** argv) {
  for (int k = 1; k < argc; ++k) std::strcmp(argv[k], "--json") == 0 ? void(as_json = true) : void(wanted = argv[k]);
  const int status = table.create(0, &device);
  if (status != 0) return std::printf("No GPU to measure on: %s\n", table.error_string(status)), 3;
  const sada::DeviceLimits limits = {1 << 26, 4, 1 << 18, 0};
  check(table.reserve(device, &limits), "reserve");
  sada::DeviceInfo info;
  check(table.describe(0, &info), "describe");
  std::printf(as_json ? "{\"device\":\"%s\",\"capability\":\"%d.%d\"}\n" : "%s, compute capability %d.%d\n", info.name,
              info.capability_major, info.capability_minor);
  warm_up();
  bench_all(info.free_bytes);
  check(table.destroy(device), "destroy");
}
