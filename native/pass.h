// A call of the network: stages, and what moves between them, in the tensors of one workspace. On a GPU it becomes a CUDA graph.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "cpu/tokens.h"
#include "engine/engine.h"
#include "tensors.h"

namespace sada {

struct StageCommand {
  size_t session = 0;
  std::vector<Binding> inputs, outputs;
};

struct MoveCommand {
  TokenMove move;
  bool is_gather = false;
};

struct CopyCommand {
  const float* from = nullptr;
  float* to = nullptr;
  int64_t length = 0;
};

using Command = std::variant<StageCommand, MoveCommand, CopyCommand>;
using Sessions = std::vector<std::unique_ptr<Session>>;

// Makes the commands in order and returns the milliseconds each of them took; on a GPU until it was enqueued, where a graph was launched
// all in the first. Between commands a cancelled run ends. Throws Error: INVALID_ARGUMENT, ABORTED, and those of Session::run.
std::vector<double> run_pass(const std::vector<Command>& commands, const Sessions& sessions, TensorSet& tensors,
                             Cancellation& cancellation);

// The parts of that: whether a CUDA graph can record the commands, a number that changes when what was recorded must not be launched any
// more, and the commands on the stream, without a graph of their own.
bool is_recordable(const std::vector<Command>& commands, const Sessions& sessions);
int64_t generation_of(const std::vector<Command>& commands, const Sessions& sessions, const TensorSet& tensors);
void enqueue_pass(const std::vector<Command>& commands, const Sessions& sessions, TensorSet& tensors, Cancellation& cancellation);

}  // namespace sada
