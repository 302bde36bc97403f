// A double of a GPU build of ONNX Runtime, for tests without a GPU: the real library's own table, with the functions of the CUDA provider
// replaced by ones that take notes, and the GPU's memory by the processor's, as the emulated GPU has it. The environment:
//   SADA_ORT_DOUBLE_REAL=path      of the real library
//   SADA_ORT_DOUBLE_NOTES=path     of the file that calls are noted in, one a line
//   SADA_ORT_DOUBLE_FAIL=name[:n]  the n-th (1) call of that function from here on fails; a run does so with work left on its stream;
//   "memory": a
//                                  session finds none for copies of weights
//   SADA_ORT_DOUBLE_GPU=path       of the emulated GPU, for that work; it notes "late work"
#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>

#include "../../../native/engine/onnxruntime_api.h"

namespace {

using namespace sada::ort;

constexpr size_t kSlots = 280;  // of every version from 1.20 on
std::array<const void*, kSlots> table;
const void* const* real = nullptr;
MemoryInfo* cuda_memory = nullptr;

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void note(const std::string& line) {
  const std::string path = setting("SADA_ORT_DOUBLE_NOTES");
  if (path.empty()) return;
  if (std::FILE* file = std::fopen(path.c_str(), "a")) {
    std::fprintf(file, "%s\n", line.c_str());
    std::fclose(file);
  }
}

template <typename Result, typename... Arguments>
Result call_real(Slot slot, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(const_cast<void*>(real[slot]))(arguments...);
}

// A failure where the environment asks for one of this function.
Status* failure(const char* name) {
  static std::map<std::string, int> calls;
  const std::string wanted = setting("SADA_ORT_DOUBLE_FAIL");
  const size_t colon = wanted.find(':');
  if (wanted.substr(0, colon) != name) return nullptr;
  const int n = colon == std::string::npos ? 1 : std::atoi(wanted.c_str() + colon + 1);
  if (++calls[wanted] != n) return nullptr;
  calls.erase(wanted);
  constexpr Slot kCreateStatus = static_cast<Slot>(0);
  const std::string says = setting("SADA_ORT_DOUBLE_SAYS");
  return call_real<Status*>(kCreateStatus, static_cast<int>(kFail),
                            says.empty() ? (std::string("the double was asked to fail ") + name).c_str() : says.c_str());
}

int options_alive = 0;
void* compute_stream = nullptr;

// As the provider leaves it where a run is cut short: nobody has waited for what was enqueued.
void leave_work() {
  void* gpu = dlopen(setting("SADA_ORT_DOUBLE_GPU").c_str(), RTLD_NOW | RTLD_NOLOAD);
  using Enqueue = int (*)(void*, int (*)(void*), void*, void (*)(void*));
  const auto enqueue = gpu == nullptr ? nullptr : reinterpret_cast<Enqueue>(dlsym(gpu, "sada_emulated_enqueue"));
  if (enqueue == nullptr) return;
  enqueue(
      compute_stream, [](void*) { return note("late work"), 0; }, nullptr, [](void*) {});
}

Status* create_memory_info(const char* name, int allocator, int id, int kind, MemoryInfo** out) {
  if (Status* status = failure("CreateMemoryInfo")) return status;
  note(std::string("CreateMemoryInfo ") + name + " " + std::to_string(id));
  Status* status = call_real<Status*>(kCreateMemoryInfo, "Cpu", allocator, 0, kind, out);
  cuda_memory = *out;
  return status;
}
Status* create_options(CudaOptions** out) {
  if (Status* status = failure("CreateCUDAProviderOptions")) return status;
  *out = reinterpret_cast<CudaOptions*>(&options_alive);
  options_alive += 1;
  return nullptr;
}
Status* update_options(CudaOptions*, const char* const* keys, const char* const* values, size_t count) {
  if (Status* status = failure("UpdateCUDAProviderOptions")) return status;
  for (size_t k = 0; k < count; ++k) note(std::string("option ") + keys[k] + "=" + values[k]);
  return nullptr;
}
Status* update_with_value(CudaOptions*, const char* key, void* value) {
  if (Status* status = failure("UpdateCUDAProviderOptionsWithValue")) return status;
  note(std::string("option ") + key + (value == nullptr ? "=null" : "=pointer"));
  compute_stream = value;
  return nullptr;
}
void release_options(CudaOptions*) {
  options_alive -= 1;
  note("options alive " + std::to_string(options_alive));
}
Status* append_provider(SessionSettings*, const CudaOptions*) {
  if (Status* status = failure("SessionOptionsAppendExecutionProvider_CUDA_V2")) return status;
  note("provider");
  return nullptr;
}
Status* create_binding(SessionHandle* session, IoBinding** out) {
  Status* status = failure("CreateIoBinding");
  return status != nullptr ? status : call_real<Status*>(kCreateIoBinding, session, out);
}
Status* create_value(const MemoryInfo* memory, void* data, size_t bytes, const int64_t* dims, size_t rank, int type, Value** out) {
  if (Status* status = failure("CreateTensorWithDataAsOrtValue")) return status;
  if (cuda_memory != nullptr) note("value type " + std::to_string(type) + (memory == cuda_memory ? " on Cuda" : " on Cpu"));
  return call_real<Status*>(kCreateTensorWithDataAsOrtValue, memory, data, bytes, dims, rank, type, out);
}
Status* bind_input(IoBinding* binding, const char* name, const Value* value) {
  if (Status* status = failure("BindInput")) return status;
  note(std::string("input ") + name);
  return call_real<Status*>(kBindInput, binding, name, value);
}
Status* bind_output(IoBinding* binding, const char* name, const Value* value) {
  if (Status* status = failure("BindOutput")) return status;
  note(std::string("output ") + name);
  return call_real<Status*>(kBindOutput, binding, name, value);
}
Status* run_with_binding(SessionHandle* session, const RunOptions* options, const IoBinding* binding) {
  if (Status* status = failure("RunWithBinding")) return leave_work(), status;
  note("run");
  return call_real<Status*>(kRunWithBinding, session, options, binding);
}

Status* create_session(const Env* env, const void* bytes, size_t length, const SessionSettings* settings, SessionHandle** out) {
  if (Status* status = failure("CreateSessionFromArray")) return status;
  if (Status* status = failure("memory")) {
    call_real<void>(kReleaseStatus, status);
    throw std::bad_alloc();
  }
  return call_real<Status*>(kCreateSessionFromArray, env, bytes, length, settings, out);
}

const void* const* get_api(uint32_t version) {
  void* handle = dlopen(setting("SADA_ORT_DOUBLE_REAL").c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto get_base = handle == nullptr ? nullptr : reinterpret_cast<const ApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  real = get_base == nullptr ? nullptr : get_base()->GetApi(version);
  if (real == nullptr) return nullptr;
  std::memcpy(table.data(), real, sizeof(table));
  const auto replace = [](Slot slot, auto* function) { table[slot] = reinterpret_cast<const void*>(function); };
  replace(kCreateMemoryInfo, create_memory_info);
  replace(kCreateCUDAProviderOptions, create_options);
  replace(kUpdateCUDAProviderOptions, update_options);
  replace(kUpdateCUDAProviderOptionsWithValue, update_with_value);
  replace(kReleaseCUDAProviderOptions, release_options);
  replace(kSessionOptionsAppendExecutionProvider_CUDA_V2, append_provider);
  replace(kCreateSessionFromArray, create_session);
  replace(kCreateIoBinding, create_binding);
  replace(kCreateTensorWithDataAsOrtValue, create_value);
  replace(kBindInput, bind_input);
  replace(kBindOutput, bind_output);
  replace(kRunWithBinding, run_with_binding);
  return table.data();
}

const char* get_version() { return "double"; }
const ApiBase base{get_api, get_version};

}  // namespace

extern "C" __attribute__((visibility("default"))) const ApiBase* OrtGetApiBase() { return &base; }
