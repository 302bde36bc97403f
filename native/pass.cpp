#include "pass.h"

#include <chrono>
#include <cstring>
#include <map>

#include "engine/beside_gpu.h"

namespace sada {
namespace {

template <typename T>
void append(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

Session& session_of(const StageCommand& stage, const Sessions& sessions) {
  if (stage.session >= sessions.size()) throw invalid("There is no session " + std::to_string(stage.session) + " in this engine.");
  return *sessions[stage.session];
}

// One pass, wherever its tensors are.
class Pass {
 public:
  Pass(const std::vector<Command>& commands, const Sessions& sessions, TensorSet& tensors, Cancellation& cancellation)
      : commands_(commands), sessions_(sessions), gpu_(tensors.gpu()), cancellation_(cancellation) {
    if (gpu_ != nullptr) place_indices();
  }

  void run() {
    std::vector<double> ms;
    next_move_ = 0;
    stop_where_cancelled();
    for (const Command& command : commands_) {
      const auto from = Clock::now();
      std::visit([this](const auto& each) { make(each); }, command);
      ms.push_back(milliseconds_since(from));
      stop_where_cancelled();
    }
    ms_ = std::move(ms);  // a recording that fails on its way leaves those of the pass that was made
  }

  void run(PassGraphs& graphs) {
    stop_where_cancelled();
    const auto from = Clock::now();
    if (!graphs.run([this] { return key(); }, [this] { run(); })) return;
    ms_.assign(commands_.size(), 0.0);
    if (!ms_.empty()) ms_[0] = milliseconds_since(from);
  }

  const std::vector<double>& ms() const { return ms_; }

 private:
  using Clock = std::chrono::steady_clock;

  static double milliseconds_since(Clock::time_point from) {
    return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
  }
  void stop_where_cancelled() const {
    if (cancellation_.cancelled()) throw Error("ABORTED", "The run was aborted.");
  }

  Session& session(const StageCommand& stage) const { return session_of(stage, sessions_); }

  // Each set of indices once: the moves of a member's pass have the same.
  void place_indices() {
    std::vector<int32_t> all;
    std::map<std::vector<int>, size_t> known;
    for (const Command& command : commands_) {
      const auto* each = std::get_if<MoveCommand>(&command);
      if (each == nullptr) continue;
      const std::vector<int>& indices = each->move.indices;
      const auto [at, is_new] = known.emplace(indices, all.size());
      if (is_new) all.insert(all.end(), indices.begin(), indices.end());
      places_.push_back(at->second);
    }
    if (!all.empty()) indices_ = gpu_->pin(all);
  }

  void make(const StageCommand& stage) { run_session(session(stage), gpu_, stage.inputs, stage.outputs, cancellation_); }

  void make(const MoveCommand& command) {
    if (gpu_ == nullptr) return command.is_gather ? gather(command.move) : scatter(command.move);
    const TokenMove& move = command.move;
    DeviceMove moved;
    moved.from = move.from, moved.to = move.to;
    moved.channels_first = move.channels_first, moved.indices_on_host = true;
    moved.rows = move.rows, moved.tokens = move.tokens, moved.channels = move.channels;
    moved.kept = static_cast<int64_t>(move.indices.size());
    moved.indices = indices_ + places_[next_move_++];
    command.is_gather ? gpu_->gather(moved) : gpu_->scatter(moved);
  }

  void make(const CopyCommand& copy) {
    if (gpu_ != nullptr) gpu_->copy(copy.to, copy.from, copy.length * 4);
    else std::memmove(copy.to, copy.from, static_cast<size_t>(copy.length) * sizeof(float));
  }

  // Everything that a recording of these commands depends on: stages, members and token counts by their sizes, and every address.
  std::string key() const {
    std::string key;
    append(key, gpu_->generation());
    append(key, indices_);
    for (size_t place : places_) append(key, place);
    for (const Command& command : commands_) {
      append(key, command.index());
      std::visit([&](const auto& each) { describe(key, each); }, command);
    }
    return key;
  }

  void describe(std::string& key, const StageCommand& stage) const {
    // Not by its place: an engine may lie where one that is gone lay.
    append(key, session(stage).number());
    append(key, session(stage).generation());
    for (const std::vector<Binding>* side : {&stage.inputs, &stage.outputs}) {
      append(key, side->size());
      for (const Binding& binding : *side) {
        key.append(binding.name).push_back('\0');
        append(key, binding.data);
        append(key, binding.dims.size());
        for (int64_t n : binding.dims) append(key, n);
      }
    }
  }

  void describe(std::string& key, const MoveCommand& command) const {
    const TokenMove& move = command.move;
    append(key, command.is_gather);
    append(key, move.from), append(key, move.to);
    append(key, move.channels_first);
    for (int64_t n : {move.rows, move.tokens, move.channels, static_cast<int64_t>(move.indices.size())}) append(key, n);
  }

  void describe(std::string& key, const CopyCommand& copy) const { append(key, copy.from), append(key, copy.to), append(key, copy.length); }

  const std::vector<Command>& commands_;
  const Sessions& sessions_;
  GpuStream* gpu_;
  Cancellation& cancellation_;
  const int32_t* indices_ = nullptr;
  std::vector<size_t> places_;  // of each move's indices
  size_t next_move_ = 0;
  std::vector<double> ms_;
};

}  // namespace

bool is_recordable(const std::vector<Command>& commands, const Sessions& sessions) {
  for (const Command& command : commands) {
    const auto* stage = std::get_if<StageCommand>(&command);
    if (stage == nullptr) continue;
    const Session& session = session_of(*stage, sessions);
    if (!session.is_on_gpu() || !session.is_recordable()) return false;
  }
  return !commands.empty();
}

int64_t generation_of(const std::vector<Command>& commands, const Sessions& sessions, const TensorSet& tensors) {
  int64_t sum = tensors.gpu()->generation();
  for (const Command& command : commands) {
    if (const auto* stage = std::get_if<StageCommand>(&command)) sum += session_of(*stage, sessions).generation();
  }
  return sum;
}

void enqueue_pass(const std::vector<Command>& commands, const Sessions& sessions, TensorSet& tensors, Cancellation& cancellation) {
  Pass(commands, sessions, tensors, cancellation).run();
}

std::vector<double> run_pass(const std::vector<Command>& commands, const Sessions& sessions, TensorSet& tensors,
                             Cancellation& cancellation) {
  Pass pass(commands, sessions, tensors, cancellation);
  if (tensors.graphs() != nullptr && is_recordable(commands, sessions)) pass.run(*tensors.graphs());
  else pass.run();
  return pass.ms();
}

}  // namespace sada
