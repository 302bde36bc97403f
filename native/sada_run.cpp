#include "sada_run.h"

#include <algorithm>

namespace sada {

SadaRun::SadaRun(TensorSet& tensors, SadaProgram program, const DeviceSada& places, std::vector<Command> pass)
    : tensors_(tensors), gpu_(*tensors.gpu()), program_(std::move(program)), request_(places), pass_(std::move(pass)) {
  request_.options = program_.options, request_.output = program_.output;
  request_.levels = program_.levels.data(), request_.steps = program_.steps();
}

SadaRun::~SadaRun() {
  gpu_.release(graph_);
  const auto release = [&](const DeviceTable& table, Device* device) {
    const DeviceStatus destroyed = table.sada_destroy(device, run_);
    for (void* pinned : {static_cast<void*>(report_), static_cast<void*>(cancelled_.load())}) {
      if (pinned != nullptr) table.release_host(device, pinned);
    }
    return destroyed;
  };
  try {
    gpu_.call("Releasing a run failed", release);
  } catch (const Error&) {  // of earlier work, and told there
  }
}

void SadaRun::cancel() noexcept {
  is_cancelled_ = true;
  if (int32_t* cancelled = cancelled_) *static_cast<volatile int32_t*>(cancelled) = 1;
}

void SadaRun::start() {
  // Each time: a step of another length may have grown it, or lost it in the attempt.
  gpu_.prepare({request_.length, 1, 0, 0});
  if (run_ != nullptr) return;
  const auto allocate = [&](int64_t bytes) {
    void* memory = nullptr;
    gpu_.call("No page-locked memory",
              [&](const DeviceTable& table, Device* device) { return table.allocate_host(device, bytes, &memory); });
    return memory;
  };
  // What there is already is of a start that failed.
  if (report_ == nullptr)
    report_ = static_cast<double*>(allocate((kSadaHeader + kSadaRecord * int64_t{request_.steps}) * int64_t{sizeof(double)}));
  if (request_.cancelled == nullptr) {
    auto* cancelled = static_cast<int32_t*>(allocate(sizeof(int32_t)));
    *cancelled = 0;
    request_.cancelled = cancelled_ = cancelled;
    if (is_cancelled_) *cancelled = 1;
  }
  gpu_.call("A run on the GPU did not start",
            [&](const DeviceTable& table, Device* device) { return table.sada_create(device, &request_, &run_); });
}

std::vector<double> SadaRun::advance(int step, const Sessions& sessions, Cancellation& cancellation) {
  start();
  const auto count_made = [this] { return static_cast<int>(report(kSadaHeader)[0]); };
  const int end = std::min(step, program_.steps());
  for (int made = count_made(); made < end && report_[2] == 0.0; made = count_made()) {
    if (cancellation.cancelled() || is_cancelled_) throw Error("ABORTED", "The run was aborted.");
    if (is_recorded(sessions)) {
      launch(end - made);
    } else if (attempt(sessions, cancellation) && made + 1 < program_.steps()) {
      // At once after a pass was enqueued: an engine may allocate in its first run after its sizes changed, and another run may change them
      // before this one's next step.
      record(sessions, cancellation);
    }
  }
  const double* all = report(kSadaHeader + kSadaRecord * int64_t{request_.steps});
  return std::vector<double>(all, all + kSadaHeader + kSadaRecord * request_.steps);
}

bool SadaRun::is_recorded(const Sessions& sessions) const {
  return graph_ != nullptr && !cannot_record_ && generation_of(pass_, sessions, tensors_) == generation_;
}

void SadaRun::launch(int attempts) {
  try {
    // A skip that is not taken costs an attempt; the next round makes up for it.
    for (int k = 0; k < attempts && gpu_.launch_of(gpu_generation_, graph_); ++k) {}
  } catch (const Error& error) {
    if (error.code() == std::string("DEVICE_LOST")) throw;
    cannot_record_ = true;  // the graph stays until the run goes: launches of it may be under way
    tensors_.graphs()->note(error.what());
  }
}

void SadaRun::record(const Sessions& sessions, Cancellation& cancellation) {
  if (cannot_record_ || !is_recordable(pass_, sessions)) return;
  gpu_.release(graph_);
  graph_ = nullptr, generation_ = generation_of(pass_, sessions, tensors_), gpu_generation_ = gpu_.generation();
  const auto end = [&](const DeviceTable& table, Device* device) { return table.sada_after(device, run_, &graph_); };
  const char* const what = "Recording a step as a CUDA graph failed";
  bool began = false;
  std::string failure;
  try {
    gpu_.call(what, [&](const DeviceTable& table, Device* device) { return table.sada_before(device, run_, true); });
    began = true;
    enqueue_pass(pass_, sessions, tensors_, cancellation);
  } catch (const std::exception& error) {  // whatever it is, the recording ends
    failure = error.what();
  }
  try {
    if (began) gpu_.call(what, end);
  } catch (const Error& error) {
    if (failure.empty()) failure = error.what();
  }
  cannot_record_ = !failure.empty();
  if (cannot_record_) gpu_.release(graph_), graph_ = nullptr;
  tensors_.graphs()->note(failure);
}

bool SadaRun::attempt(const Sessions& sessions, Cancellation& cancellation) {
  const char* const what = "A step on the GPU failed";
  gpu_.call(what, [&](const DeviceTable& table, Device* device) { return table.sada_before(device, run_, false); });
  const bool is_computed = report(kSadaHeader)[1] != 0.0;
  if (is_computed) run_pass(pass_, sessions, tensors_, cancellation);
  DeviceGraph* none = nullptr;
  gpu_.call(what, [&](const DeviceTable& table, Device* device) { return table.sada_after(device, run_, &none); });
  return is_computed;
}

const double* SadaRun::report(int64_t count) {
  gpu_.call("Reading a run's report failed",
            [&](const DeviceTable& table, Device* device) { return table.sada_report(device, run_, report_, count); });
  gpu_.synchronize();
  return report_;
}

}  // namespace sada
