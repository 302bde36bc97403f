#include "commands.h"

#include "read.h"

namespace sada::bind {
namespace {

Command read_stage(const Napi::Object& op, const TensorSet& tensors) {
  StageCommand stage;
  stage.session = static_cast<size_t>(read_integer(op, "session", 0, 1 << 20));
  stage.inputs = read_bindings(op, tensors, "inputs");
  stage.outputs = read_bindings(op, tensors, "outputs");
  return stage;
}

Command read_move(const Napi::Object& op, const TensorSet& tensors, bool is_gather) {
  constexpr int64_t most = int64_t{1} << 30;
  MoveCommand command;
  command.is_gather = is_gather;
  TokenMove& move = command.move;
  move.rows = read_integer(op, "rows", 1, most);
  move.tokens = read_integer(op, "tokens", 1, most);
  move.channels = read_integer(op, "channels", 1, most);
  const std::string order = read_string(op, "order");
  if (order != "channels-first" && order != "tokens")
    throw invalid("Expected \"order\" to be \"channels-first\" or \"tokens\", received \"" + order + "\".");
  move.channels_first = order == "channels-first";
  move.indices = read_integers(op.Get("indices"), "indices", 0, move.tokens - 1);
  const int64_t kept = static_cast<int64_t>(move.indices.size());
  if (kept > move.tokens)
    throw invalid("Expected \"indices\" to name each token once, received " + std::to_string(kept) + " of " + std::to_string(move.tokens) +
                  " tokens.");
  if (move.tokens > kMostFloats / move.channels / move.rows) throw invalid("Expected rows x tokens x channels to be at most 2^40.");
  const int64_t whole = move.rows * move.tokens * move.channels, part = move.rows * kept * move.channels;
  move.from = read_slice(op.Get("from"), tensors, is_gather ? whole : part, "from");
  move.to = read_slice(op.Get("to"), tensors, is_gather ? part : whole, "to");
  if (overlap(move.from, 4 * (is_gather ? whole : part), move.to, 4 * (is_gather ? part : whole)))
    throw invalid("Expected \"from\" and \"to\" not to overlap.");
  std::vector<char> seen(static_cast<size_t>(move.tokens), 0);
  for (int index : move.indices) {
    if (seen[static_cast<size_t>(index)]++ != 0)
      throw invalid("Expected \"indices\" to name each token once, received " + std::to_string(index) + " twice.");
  }
  return command;
}

Command read_copy(const Napi::Object& op, const TensorSet& tensors) {
  CopyCommand copy;
  copy.length = read_integer(op, "length", 0, kMostFloats);
  copy.from = read_slice(op.Get("from"), tensors, copy.length, "from");
  copy.to = read_slice(op.Get("to"), tensors, copy.length, "to");
  if (tensors.gpu() != nullptr && copy.from != copy.to && overlap(copy.from, 4 * copy.length, copy.to, 4 * copy.length)) {
    throw invalid("Expected \"from\" and \"to\" of a copy on a GPU not to overlap.");
  }
  return copy;
}

Command read_command(const Napi::Value& value, const TensorSet& tensors) {
  if (!value.IsObject()) throw invalid("Expected \"ops\" to hold objects.");
  const Napi::Object op = value.As<Napi::Object>();
  const std::string kind = read_string(op, "kind");
  if (kind == "stage") return read_stage(op, tensors);
  if (kind == "gather" || kind == "scatter") return read_move(op, tensors, kind == "gather");
  if (kind == "copy") return read_copy(op, tensors);
  throw invalid("Expected \"kind\" to be \"stage\", \"gather\", \"scatter\" or \"copy\", received \"" + kind + "\".");
}

}  // namespace

std::vector<Command> read_commands(const Napi::Value& value, const TensorSet& tensors) {
  if (!value.IsArray()) throw invalid("Expected \"ops\" to be an array.");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<Command> commands;
  for (uint32_t k = 0; k < array.Length(); ++k) commands.push_back(read_command(array.Get(k), tensors));
  return commands;
}

}  // namespace sada::bind
