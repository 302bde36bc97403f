// ONNX Runtime through its C API. The library, its environment and its table live as long as the process: unloading them while
// another thread of the process (a worker's) may use them is what crashes other bindings.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>

#include "../counters.h"
#include "../error.h"
#include "../job_queue.h"
#include "dynamic_library.h"
#include "element_type.h"
#include "engine.h"
#include "external_bytes.h"
#include "onnxruntime_api.h"

namespace sada {
namespace {

using namespace ort;

// What ONNX Runtime writes to stderr: its errors are thrown, and need not be printed as well.
constexpr int kFatalOnly = 4;

// Owns an object of the C API.
template <typename T>
using Owned = std::unique_ptr<T, std::function<void(T*)>>;

class Library : public EngineLibrary, public std::enable_shared_from_this<Library> {
 public:
  Library(const void* const* table, std::string version) : api(table), version_(std::move(version)) {
    check(api.call(kCreateEnv, kFatalOnly, "sada", &env), "BACKEND_UNAVAILABLE", "ONNX Runtime did not start");
    check(api.call(kGetAllocatorWithDefaultOptions, &allocator), "BACKEND_UNAVAILABLE", "ONNX Runtime has no allocator");
    constexpr int kArena = 1, kDefault = 0;
    check(api.call(kCreateCpuMemoryInfo, kArena, kDefault, &cpu_memory), "BACKEND_UNAVAILABLE", "ONNX Runtime has no CPU memory");
  }

  std::string version() const override { return version_; }
  std::unique_ptr<Session> load(const SessionOptions& options) override;
  std::unique_ptr<Cancellation> make_cancellation() override;

  // Throws `code` with the library's own words where `status` is a failure.
  void check(Status* status, const char* code, const std::string& what) const {
    if (status == nullptr) return;
    const Owned<Status> owned = own(status, kReleaseStatus);
    throw Error(code, what + ": " + api.call<const char*>(kGetErrorMessage, static_cast<const Status*>(status)));
  }

  template <typename T>
  Owned<T> own(T* object, Slot release) const {
    return Owned<T>(object, [this, release](T* each) { if (each != nullptr) api.call<void>(release, each); });
  }

  const Api api;
  Env* env = nullptr;
  Allocator* allocator = nullptr;
  MemoryInfo* cpu_memory = nullptr;

 private:
  Owned<SessionSettings> settings_for(const SessionOptions& given) const;
  struct Weights {
    std::vector<std::unique_ptr<uint8_t[]>> bytes;
    std::vector<Owned<Value>> values;
  };
  Weights add_weights(SessionSettings* settings, const std::vector<ExternalTensor>& tensors) const;
  std::string version_;
};

class OrtCancellation : public Cancellation {
 public:
  explicit OrtCancellation(std::shared_ptr<Library> library) : library_(std::move(library)) {
    RunOptions* options = nullptr;
    library_->check(library_->api.call(kCreateRunOptions, &options), "INTERNAL", "CreateRunOptions");
    options_ = library_->own(options, kReleaseRunOptions);
  }
  void cancel() noexcept override {
    cancelled_ = true;
    Status* status = library_->api.call(kRunOptionsSetTerminate, options_.get());
    if (status != nullptr) library_->api.call<void>(kReleaseStatus, status);
  }
  bool cancelled() const noexcept override { return cancelled_; }
  const RunOptions* options() const { return options_.get(); }

 private:
  std::shared_ptr<Library> library_;
  Owned<RunOptions> options_;
  std::atomic<bool> cancelled_{false};
};

class OrtSession : public Session {
 public:
  OrtSession(std::shared_ptr<Library> library, SessionHandle* session) : library_(std::move(library)), session_(library_->own(session, kReleaseSession)) {
    counters().sessions += 1;
    describe(info_.inputs, input_types_, kSessionGetInputCount, kSessionGetInputName, kSessionGetInputTypeInfo);
    describe(info_.outputs, output_types_, kSessionGetOutputCount, kSessionGetOutputName, kSessionGetOutputTypeInfo);
  }
  ~OrtSession() override { counters().sessions -= 1; }

  const SessionInfo& info() const override { return info_; }

  void run(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Cancellation& cancellation, GpuStream*) override {
    for (const TensorInfo& info : info_.inputs) {
      const auto is_named = [&](const Binding& binding) { return binding.name == info.name; };
      if (std::none_of(inputs.begin(), inputs.end(), is_named)) throw Error("IO_MISMATCH", "The model's input \"" + info.name + "\" is not bound.");
    }
    std::vector<Bound> in = bind(inputs, input_types_, in_scratch_, true), out = bind(outputs, output_types_, out_scratch_, false);
    std::vector<const char*> in_names, out_names;
    std::vector<const Value*> in_values;
    std::vector<Value*> out_values;
    for (const Bound& b : in) in_names.push_back(b.binding->name.c_str()), in_values.push_back(b.value.get());
    for (const Bound& b : out) out_names.push_back(b.binding->name.c_str()), out_values.push_back(b.value.get());
    Status* status = library_->api.call(kRun, session_.get(), static_cast<OrtCancellation&>(cancellation).options(), in_names.data(), in_values.data(),
                                        in_values.size(), out_names.data(), out_names.size(), out_values.data());
    if (status != nullptr) fail(status, cancellation);
    for (const Bound& b : out) b.read_back();
  }

 private:
  // A value over the workspace's floats, or over scratch of the model's own type.
  struct Bound {
    const Binding* binding;
    int type;
    std::vector<uint8_t>* scratch;
    Owned<Value> value;
    int64_t count;
    void read_back() const {
      if (type != kFloat) elements_to_floats(type, scratch->data(), binding->data, count);
    }
  };
  using Types = std::map<std::string, int>;

  void describe(std::vector<TensorInfo>& infos, Types& types, Slot count_slot, Slot name_slot, Slot type_slot) {
    size_t count = 0;
    library_->check(library_->api.call(count_slot, static_cast<const SessionHandle*>(session_.get()), &count), "MODEL_CORRUPT", "no inputs or outputs");
    for (size_t k = 0; k < count; ++k) {
      TensorInfo info;
      char* name = nullptr;
      library_->check(library_->api.call(name_slot, static_cast<const SessionHandle*>(session_.get()), k, library_->allocator, &name), "MODEL_CORRUPT", "no name");
      info.name = name;
      Status* freed = library_->api.call(kAllocatorFree, library_->allocator, static_cast<void*>(name));
      if (freed != nullptr) library_->api.call<void>(kReleaseStatus, freed);
      types[info.name] = describe_type(info, k, type_slot);
      infos.push_back(std::move(info));
    }
  }

  int describe_type(TensorInfo& info, size_t k, Slot type_slot) {
    TypeInfo* type_info = nullptr;
    library_->check(library_->api.call(type_slot, static_cast<const SessionHandle*>(session_.get()), k, &type_info), "MODEL_CORRUPT", "no type");
    const Owned<TypeInfo> owned = library_->own(type_info, kReleaseTypeInfo);
    const TensorTypeInfo* tensor = nullptr;
    library_->check(library_->api.call(kCastTypeInfoToTensorInfo, static_cast<const TypeInfo*>(type_info), &tensor), "IO_MISMATCH", info.name);
    if (tensor == nullptr) return info.type = "other", 0;
    int type = 0;
    size_t rank = 0;
    library_->check(library_->api.call(kGetTensorElementType, tensor, &type), "MODEL_CORRUPT", info.name);
    library_->check(library_->api.call(kGetDimensionsCount, tensor, &rank), "MODEL_CORRUPT", info.name);
    info.type = element_type_name(type);
    info.dims.resize(rank);
    std::vector<const char*> symbols(rank, "");
    library_->check(library_->api.call(kGetDimensions, tensor, info.dims.data(), rank), "MODEL_CORRUPT", info.name);
    library_->check(library_->api.call(kGetSymbolicDimensions, tensor, symbols.data(), rank), "MODEL_CORRUPT", info.name);
    info.symbols.assign(symbols.begin(), symbols.end());
    return type;
  }

  std::vector<Bound> bind(const std::vector<Binding>& bindings, const Types& types, std::map<std::string, std::vector<uint8_t>>& scratch, bool fill) {
    std::vector<Bound> bound;
    for (const Binding& binding : bindings) {
      const auto type = types.find(binding.name);
      if (type == types.end()) throw Error("IO_MISMATCH", std::string("The model has no ") + (fill ? "input" : "output") + " named \"" + binding.name + "\".");
      const auto is_same = [&](const Bound& other) { return other.binding->name == binding.name; };
      if (std::any_of(bound.begin(), bound.end(), is_same)) throw Error("IO_MISMATCH", "\"" + binding.name + "\" is bound twice.");
      bound.push_back(bind_one(binding, type->second, scratch[binding.name], fill));
    }
    return bound;
  }

  Bound bind_one(const Binding& binding, int type, std::vector<uint8_t>& scratch, bool fill) {
    int64_t count = 1;
    for (int64_t n : binding.dims) count *= n;
    void* data = binding.data;
    size_t bytes = static_cast<size_t>(count) * sizeof(float);
    if (type != kFloat) {
      bytes = static_cast<size_t>(count) * element_size(type, binding.name);
      if (scratch.size() < bytes) scratch.resize(bytes);
      if (fill) floats_to_elements(type, binding.data, scratch.data(), count);
      data = scratch.data();
    }
    Value* value = nullptr;
    library_->check(library_->api.call(kCreateTensorWithDataAsOrtValue, static_cast<const MemoryInfo*>(library_->cpu_memory), data, bytes, binding.dims.data(),
                                       binding.dims.size(), type, &value),
                    "IO_MISMATCH", binding.name);
    return {&binding, type, &scratch, library_->own(value, kReleaseValue), count};
  }

  [[noreturn]] void fail(Status* status, const Cancellation& cancellation) const {
    if (cancellation.cancelled()) {
      library_->api.call<void>(kReleaseStatus, status);
      throw Error("ABORTED", "The run was aborted.");
    }
    const int code = library_->api.call<int>(kGetErrorCode, static_cast<const Status*>(status));
    const std::string message = library_->api.call<const char*>(kGetErrorMessage, static_cast<const Status*>(status));
    library_->api.call<void>(kReleaseStatus, status);
    const bool memory = message.find("Failed to allocate") != std::string::npos || message.find("bad_alloc") != std::string::npos;
    throw Error(memory ? "OUT_OF_MEMORY" : code == kInvalidArgument ? "IO_MISMATCH" : "NETWORK_FAILED", "ONNX Runtime: " + message);
  }

  std::shared_ptr<Library> library_;
  Owned<SessionHandle> session_;
  SessionInfo info_;
  Types input_types_, output_types_;
  std::map<std::string, std::vector<uint8_t>> in_scratch_, out_scratch_;
};

Owned<SessionSettings> Library::settings_for(const SessionOptions& given) const {
  SessionSettings* made = nullptr;
  check(api.call(kCreateSessionOptions, &made), "INTERNAL", "CreateSessionOptions");
  Owned<SessionSettings> options = own(made, kReleaseSessionOptions);
  constexpr int kAllOptimisations = 99;
  check(api.call(kSetSessionGraphOptimizationLevel, made, kAllOptimisations), "INTERNAL", "SetSessionGraphOptimizationLevel");
  check(api.call(kSetSessionLogSeverityLevel, made, kFatalOnly), "INTERNAL", "SetSessionLogSeverityLevel");
  check(api.call(kSetIntraOpNumThreads, made, given.threads), "INVALID_ARGUMENT", "threads");
  check(api.call(kSetInterOpNumThreads, made, 1), "INTERNAL", "SetInterOpNumThreads");
  const auto configure = [&](const char* key, const char* value) { check(api.call(kAddSessionConfigEntry, made, key, value), "INTERNAL", key); };
  // Threads that spin between operators take the processor from the rest of the application: with both cores of a machine busy an
  // evaluation of the bundled model took seven times as long with spinning as without.
  configure("session.intra_op.allow_spinning", "0");
  // Bytes that look like the library's own format as well would be read as that, past every check of ONNX files.
  configure("session.load_model_format", "ONNX");
  // What a node may make of constants while the model loads; versions before 1.27 know no such limit.
  configure("optimization.constant_folding_max_output_size_in_bytes", "1073741824");
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
    check(api.call(kCreateTensorWithDataAsOrtValue, static_cast<const MemoryInfo*>(cpu_memory), static_cast<void*>(weights.bytes.back().get()),
                   static_cast<size_t>(tensor.bytes), tensor.dims.data(), tensor.dims.size(), tensor.type, &value),
          "MODEL_CORRUPT", tensor.name);
    weights.values.push_back(own(value, kReleaseValue));
    names.push_back(tensor.name.c_str());
    values.push_back(value);
  }
  if (!names.empty()) check(api.call(kAddExternalInitializers, settings, names.data(), values.data(), names.size()), "MODEL_CORRUPT", "weights");
  return weights;
}

std::unique_ptr<Session> Library::load(const SessionOptions& given) {
  const Owned<SessionSettings> options = settings_for(given);
  const Weights weights = add_weights(options.get(), given.weights);
  SessionHandle* session = nullptr;
  const Env* environment = env;
  const SessionSettings* settings = options.get();
  Status* status = given.path.empty() ? api.call(kCreateSessionFromArray, environment, static_cast<const void*>(given.bytes.data()), given.bytes.size(), settings, &session)
                                      : api.call(kCreateSession, environment, library_path(given.path).c_str(), settings, &session);
  if (status != nullptr) {
    const int code = api.call<int>(kGetErrorCode, static_cast<const Status*>(status));
    check(status, code == kNoSuchFile ? "MODEL_NOT_FOUND" : "MODEL_CORRUPT", given.path.empty() ? "The model does not load" : given.path + " does not load");
  }
  return std::make_unique<OrtSession>(shared_from_this(), session);
}

std::unique_ptr<Cancellation> Library::make_cancellation() { return std::make_unique<OrtCancellation>(shared_from_this()); }

}  // namespace

std::shared_ptr<EngineLibrary> open_onnxruntime(const std::string& path) {
  static std::mutex mutex;
  // Leaked on purpose, see the top of this file.
  static auto* opened = new std::map<std::string, std::shared_ptr<Library>>;
  std::lock_guard<std::mutex> lock(mutex);
  const auto known = opened->find(path);
  if (known != opened->end()) return known->second;
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

}  // namespace sada
