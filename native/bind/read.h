// JavaScript values → requests: every length, offset and index checked, every error naming what was expected.
#pragma once

#include <napi.h>

#include <string>

#include "../backend.h"
#include "../engine/engine.h"
#include "../math/select.h"
#include "../tensors.h"

namespace sada::bind {

int64_t read_integer(const Napi::Value& value, const char* name, int64_t low, int64_t high);
int64_t read_integer(const Napi::Object& object, const char* name, int64_t low, int64_t high);
std::string read_string(const Napi::Object& object, const char* name);

// The floats of a Float32Array that is not detached.
struct Floats {
  float* data;
  int64_t length;
};
Floats read_floats(const Napi::Value& value, const char* name);

// A slice { tensor, offset } of `length` floats: of the workspace, or (with `callers`) of a Float32Array of the caller's.
float* read_slice(const Napi::Value& value, const TensorSet& tensors, int64_t length, const char* name, bool* callers = nullptr);

// One member of Workspace.step. Sets *callers where any of its memory is the caller's.
StepRequest read_member(const Napi::Value& value, const TensorSet& tensors, int64_t length, bool* callers);

std::vector<int> read_integers(const Napi::Value& value, const char* name, int64_t low, int64_t high);
std::vector<sada::Binding> read_bindings(const Napi::Value& value, const TensorSet& tensors, const char* name);
SessionOptions read_session_options(const Napi::Value& value);

}  // namespace sada::bind
