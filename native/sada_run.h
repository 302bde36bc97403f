// A member's run whose decisions the GPU makes (native/math/sada_policy.h): attempts at its steps, launched one after the other without
// waiting for what they decide, where the driver has conditional graphs and the engine can be recorded; else each is asked for its
// decision.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "pass.h"
#include "sada_program.h"

namespace sada {

// Lives with the workspace that its tensors are of, and is used on the engine's thread but for `cancel`.
class SadaRun {
 public:
  // `places`: the buffers and the network's tensors; the rest of it is filled in. `pass`: the network on the member, all of it.
  SadaRun(TensorSet& tensors, SadaProgram program, const DeviceSada& places, std::vector<Command> pass);
  ~SadaRun();
  SadaRun(const SadaRun&) = delete;
  SadaRun& operator=(const SadaRun&) = delete;

  // Makes the steps before `step`, and waits for them; returns the report of native/device.h. Throws Error: ABORTED and those of run_pass.
  std::vector<double> advance(int step, const Sessions& sessions, Cancellation& cancellation);
  // Ends `advance` soon, from any thread; the steps that have been launched are not made.
  void cancel() noexcept;

 private:
  void start();
  // Whether `graph_` is what one attempt is now.
  bool is_recorded(const Sessions& sessions) const;
  // Adds attempts as the graph; where that fails, the next ones are asked for their decisions.
  void launch(int attempts);
  // Makes it that, where it can be recorded.
  void record(const Sessions& sessions, Cancellation& cancellation);
  // Whether the network's pass was part of it.
  bool attempt(const Sessions& sessions, Cancellation& cancellation);
  const double* report(int64_t count);

  TensorSet& tensors_;
  GpuStream& gpu_;
  SadaProgram program_;
  DeviceSada request_;
  const std::vector<Command> pass_;
  DeviceSadaRun* run_ = nullptr;
  double* report_ = nullptr;  // pinned
  std::atomic<int32_t*> cancelled_{nullptr};  // pinned
  std::atomic<bool> is_cancelled_{false};
  DeviceGraph* graph_ = nullptr;
  int64_t generation_ = 0, gpu_generation_ = 0;  // that it was recorded in
  bool cannot_record_ = false;
};

}  // namespace sada
