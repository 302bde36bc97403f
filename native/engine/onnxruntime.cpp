// ONNX Runtime through its C API. The library, its environment and its table live as long as the process: unloading them while
// another thread of the process (a worker's) may use them is what crashes other bindings.
#include <cstdlib>
#include <mutex>

#include "../job_queue.h"
#include "dynamic_library.h"
#include "external_bytes.h"
#include "onnxruntime_host_session.h"

namespace sada {
namespace ort {
namespace {

// What ONNX Runtime writes to stderr: its errors are thrown, and need not be printed as well.
constexpr int kFatalOnly = 4;

// Official builds report to their maker what they run and on what, on Linux and macOS since 1.29 with a lasting number of the user in files
// of their own. A library inside someone's application does not decide that: it is off, unless the application sets this to 0.
constexpr const char* kTelemetryVariable = "ORT_DISABLE_TELEMETRY";

bool telemetry_is_wanted() {
#if defined(_WIN32)
  // What JavaScript sets does not reach the C library's copy of the environment.
  char own[2] = {};
  return GetEnvironmentVariableA(kTelemetryVariable, own, sizeof(own)) == 1 && own[0] == '0';
#else
  const char* own = std::getenv(kTelemetryVariable);
  return own != nullptr && std::string(own) == "0";
#endif
}

// Only before the library opens does it keep the files and the sender from being made. It takes empty and most other values for a no.
void forbid_telemetry() {
#if !defined(_WIN32)
  if (!telemetry_is_wanted()) setenv(kTelemetryVariable, "1", /*overwrite=*/1);
#endif
}

}  // namespace

Library::Library(const void* const* table, std::string version) : api(table), version_(std::move(version)) {
  check(api.call(kCreateEnv, kFatalOnly, "sada", &env), "BACKEND_UNAVAILABLE", "ONNX Runtime did not start");
  // Windows has its own way of reporting, and another part of the process may have opened the library before.
  const Env* environment = env;
  if (!telemetry_is_wanted())
    check(api.call(kDisableTelemetryEvents, environment), "BACKEND_UNAVAILABLE", "ONNX Runtime's telemetry stays on");
  check(api.call(kGetAllocatorWithDefaultOptions, &allocator), "BACKEND_UNAVAILABLE", "ONNX Runtime has no allocator");
  constexpr int kArena = 1, kDefault = 0;
  check(api.call(kCreateCpuMemoryInfo, kArena, kDefault, &cpu_memory), "BACKEND_UNAVAILABLE", "ONNX Runtime has no CPU memory");
}

void Library::check(Status* status, const char* code, const std::string& what) const {
  if (status == nullptr) return;
  const Owned<Status> owned = own(status, kReleaseStatus);
  const std::string message = api.call<const char*>(kGetErrorMessage, static_cast<const Status*>(status));
  const auto says = [&](const char* words) { return message.find(words) != std::string::npos; };
  // The library has no code for these. Memory: of its arenas; std::bad_alloc under Linux, macOS and Windows; CUDA's, cuBLAS's and cuDNN's;
  // a buffer that WebGPU's device did not make, which is told in other words from the second time on.
  if (says("[Invalid Buffer") || says("exceeds the max buffer size") || says("Failed to allocate") || says("bad_alloc") ||
      says("bad allocation") || says("out of memory") || says("_STATUS_ALLOC_FAILED"))
    code = "OUT_OF_MEMORY";
  if (says("pthread_create failed") || says("_beginthreadex failed"))
    throw Error(
        "OUT_OF_MEMORY",
        what + ": the system starts no more threads for it, by a limit of the user or of the container; a smaller `threads` needs fewer. " +
            message);
  throw Error(code, what + ": " + message);
}

Owned<SessionSettings> Library::settings_for(const SessionOptions& given) const {
  SessionSettings* made = nullptr;
  check(api.call(kCreateSessionOptions, &made), "INTERNAL", "CreateSessionOptions");
  Owned<SessionSettings> options = own(made, kReleaseSessionOptions);
  constexpr int kAllOptimisations = 99;
  check(api.call(kSetSessionGraphOptimizationLevel, made, kAllOptimisations), "INTERNAL", "SetSessionGraphOptimizationLevel");
  check(api.call(kSetSessionLogSeverityLevel, made, kFatalOnly), "INTERNAL", "SetSessionLogSeverityLevel");
  check(api.call(kSetIntraOpNumThreads, made, given.threads), "INVALID_ARGUMENT", "threads");
  check(api.call(kSetInterOpNumThreads, made, 1), "INTERNAL", "SetInterOpNumThreads");
  const auto configure = [&](const char* key, const char* value) {
    check(api.call(kAddSessionConfigEntry, made, key, value), "INTERNAL", key);
  };
  // Threads that spin between operators take the processor from the rest of the application: with both cores of a machine busy an
  // evaluation of the bundled model took seven times as long with spinning as without.
  configure("session.intra_op.allow_spinning", "0");
  // Bytes that look like the library's own format as well would be read as that, past every check of ONNX files.
  configure("session.load_model_format", "ONNX");
  // Versions before 1.27 know no such limit.
  configure("optimization.constant_folding_max_output_size_in_bytes", std::to_string(given.most_folded).c_str());
  if (!given.memory_arena) check(api.call(kDisableCpuMemArena, made), "INTERNAL", "DisableCpuMemArena");
  return options;
}

// Gives the library the tensors that lie in other files. It copies what it keeps of them while it makes the session.
Library::Weights Library::add_weights(SessionSettings* settings, const std::vector<ExternalTensor>& tensors) const {
  Weights weights;
  std::vector<const char*> names;
  std::vector<const Value*> values;
  for (const ExternalTensor& tensor : tensors) {
    weights.bytes.emplace_back(new uint8_t[static_cast<size_t>(tensor.bytes)]);
    read_external(tensor, weights.bytes.back().get());
    Value* value = nullptr;
    check(api.call(kCreateTensorWithDataAsOrtValue, static_cast<const MemoryInfo*>(cpu_memory),
                   static_cast<void*>(weights.bytes.back().get()), static_cast<size_t>(tensor.bytes), tensor.dims.data(),
                   tensor.dims.size(), tensor.type, &value),
          "MODEL_CORRUPT", tensor.name);
    weights.values.push_back(own(value, kReleaseValue));
    names.push_back(tensor.name.c_str());
    values.push_back(value);
  }
  if (!names.empty())
    check(api.call(kAddExternalInitializers, settings, names.data(), values.data(), names.size()), "MODEL_CORRUPT", "weights");
  return weights;
}

SessionHandle* Library::open(const SessionOptions& given, const std::function<void(SessionSettings*)>& configure) const {
  const Owned<SessionSettings> options = settings_for(given);
  configure(options.get());
  const Weights weights = add_weights(options.get(), given.weights);
  SessionHandle* session = nullptr;
  const Env* environment = env;
  const SessionSettings* settings = options.get();
  Status* status = given.path.empty() ? api.call(kCreateSessionFromArray, environment, static_cast<const void*>(given.bytes.data()),
                                                 given.bytes.size(), settings, &session)
                                      : api.call(kCreateSession, environment, library_path(given.path).c_str(), settings, &session);
  if (status != nullptr) {
    const int code = api.call<int>(kGetErrorCode, static_cast<const Status*>(status));
    const std::string what = (given.path.empty() ? "The model" : given.path) + " does not load";
    const std::string message = api.call<const char*>(kGetErrorMessage, static_cast<const Status*>(status));
    // No damage: an operator, or a type of one, has no kernel here. That is bfloat16 on the CPU; some operators do not take it at all.
    if (code == kNotImplemented || message.find("tensor(bfloat16)") != std::string::npos)
      check(status, "UNSUPPORTED",
            what + ": export the model in fp32 or fp16; bfloat16 is for GPUs, and for networks without convolutions. ONNX Runtime says");
    // As CudaCall of the provider puts it: "CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED ; GPU=0 ; …".
    if (message.find(" ; GPU=") != std::string::npos) check(status, "BACKEND_UNAVAILABLE", what);
    check(status, code == kNoSuchFile ? "MODEL_NOT_FOUND" : "MODEL_CORRUPT", what);
  }
  return session;
}

std::unique_ptr<Session> Library::load(const SessionOptions& given) {
  return std::make_unique<HostSession>(shared_from_this(), open(given, [](SessionSettings*) {}));
}

std::unique_ptr<Cancellation> Library::make_cancellation() { return std::make_unique<OrtCancellation>(shared_from_this()); }

std::shared_ptr<Library> open_library_at(const std::string& path) {
  static std::mutex mutex;
  // Leaked on purpose, see the top of this file.
  static auto* opened = new std::map<std::string, std::shared_ptr<Library>>;
  std::lock_guard<std::mutex> lock(mutex);
  const auto known = opened->find(path);
  if (known != opened->end()) return known->second;
  forbid_telemetry();
  void* handle = open_library(path);
  const auto get_base = reinterpret_cast<const ApiBase* (*)()>(find_symbol(handle, "OrtGetApiBase"));
  if (get_base == nullptr) throw Error("BACKEND_UNAVAILABLE", path + " is not ONNX Runtime: it has no OrtGetApiBase.");
  const std::string version = get_base()->GetVersionString();
  const void* const* table = get_base()->GetApi(kApiVersion);
  if (table == nullptr) throw Error("BACKEND_UNAVAILABLE", path + " is ONNX Runtime " + version + "; 1.20 or later is needed.");
  // Registered after the library was opened, so it runs before the library's static destructors.
  static const bool registered = [] { return std::atexit(JobQueue::stop_all) == 0; }();
  (void)registered;
  return (*opened)[path] = std::make_shared<Library>(table, version);
}

}  // namespace ort

std::shared_ptr<EngineLibrary> open_onnxruntime(const std::string& path) { return ort::open_library_at(path); }

}  // namespace sada
