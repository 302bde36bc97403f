// The list of commands that JavaScript gives an engine's thread.
#pragma once

#include <napi.h>

#include <vector>

#include "../pass.h"

namespace sada::bind {

std::vector<Command> read_commands(const Napi::Value& value, const TensorSet& tensors);

}  // namespace sada::bind
