// JavaScript values → requests: every length, offset and index checked, every error naming what was expected.
#pragma once

#include <napi.h>

#include <string>

#include "../backend.h"
#include "../engine/engine.h"
#include "../math/select.h"
#include "../tensors.h"

namespace sada::bind {

Napi::Object read_object(const Napi::Value& value, const char* name);
// With `low` to `high` entries.
Napi::Array read_array(const Napi::Value& value, const char* name, uint32_t low, uint32_t high);
int64_t read_integer(const Napi::Value& value, const char* name, int64_t low, int64_t high);
int64_t read_integer(const Napi::Object& object, const char* name, int64_t low, int64_t high);
std::string read_string(const Napi::Value& value, const char* name);
std::string read_string(const Napi::Object& object, const char* name);
// A copy of a Uint8Array; empty where there is none.
std::vector<uint8_t> read_bytes(const Napi::Object& object, const char* name);

// The floats of a Float32Array that is not detached.
struct Floats {
  float* data;
  int64_t length;
};
Floats read_floats(const Napi::Value& value, const char* name);

// How a tensor is stored: "float32", "float16" or "bfloat16"; undefined is float32.
Storage read_storage(const Napi::Value& value);
// Tensors [{ length, storage }] that are made together.
std::vector<TensorShape> read_shapes(const Napi::Value& value);
// The calls that a run makes at most: { length, members, tokenLength, indices }.
DeviceLimits read_limits(const Napi::Value& value);

// A slice { tensor, offset } of `length` floats of the workspace.
float* read_slice(const Napi::Value& value, const TensorSet& tensors, int64_t length, const char* name);

// The members of Workspace.step, as ts/native/step-program.ts writes them: a length, the numbers, how many, and the caller's arrays.
struct StepProgram {
  int64_t length = 0;
  std::vector<StoredStep> members;
  bool uses_callers = false;  // whether any memory is the caller's
};
StepProgram read_step(const Napi::CallbackInfo& info, const TensorSet& tensors);

std::vector<int> read_integers(const Napi::Value& value, const char* name, int64_t low, int64_t high);
std::vector<sada::Binding> read_bindings(const Napi::Value& value, const TensorSet& tensors, const char* name);
SessionOptions read_session_options(const Napi::Value& value);

}  // namespace sada::bind
