#include "engine.h"

#ifdef __linux__
#include <malloc.h>
#endif

#include "../engine/tensorrt.h"
#include "addon_data.h"
#include "commands.h"
#include "engine_thread.h"
#include "read.h"
#include "sada_run.h"
#include "workspace.h"

namespace sada::bind {

namespace {

Napi::Value describe(Napi::Env env, const std::vector<TensorInfo>& infos) {
  Napi::Array list = Napi::Array::New(env, infos.size());
  for (uint32_t k = 0; k < infos.size(); ++k) {
    const TensorInfo& info = infos[k];
    Napi::Object tensor = Napi::Object::New(env);
    Napi::Array dims = Napi::Array::New(env, info.dims.size()), symbols = Napi::Array::New(env, info.symbols.size());
    for (uint32_t d = 0; d < info.dims.size(); ++d) dims.Set(d, static_cast<double>(info.dims[d]));
    for (uint32_t d = 0; d < info.symbols.size(); ++d) symbols.Set(d, info.symbols[d]);
    tensor.Set("name", info.name);
    tensor.Set("type", info.type);
    tensor.Set("dims", dims);
    tensor.Set("symbols", symbols);
    list.Set(k, tensor);
  }
  return list;
}

// glibc keeps what was freed for the threads that allocated it: a third of what a session takes while it is made, and where those threads
// are gone with their sessions, hundreds of megabytes of models that come and go beside another one.
void return_freed_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

class LoadJob : public PromiseJob {
 public:
  LoadJob(EngineThread& thread, SessionOptions options)
      : PromiseJob(thread.worker.courier()), thread_(thread), options_(std::move(options)) {}
  void cancel() noexcept override { cancelled_ = true; }

 protected:
  void work() override {
    if (cancelled_) throw Error("ABORTED", "The engine is being disposed.");
    std::unique_ptr<Session> session = thread_.library->load(options_);
    options_.bytes = {};
    info_ = session->info();
    thread_.sessions.push_back(std::move(session));
    index_ = thread_.sessions.size() - 1;
    return_freed_memory();
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = Napi::Object::New(env);
    object.Set("session", static_cast<double>(index_));
    object.Set("inputs", describe(env, info_.inputs));
    object.Set("outputs", describe(env, info_.outputs));
    if (info_.activation_bytes >= 0) object.Set("activationBytes", static_cast<double>(info_.activation_bytes));
    return object;
  }

 private:
  EngineThread& thread_;
  SessionOptions options_;
  SessionInfo info_;
  size_t index_ = 0;
  std::atomic<bool> cancelled_{false};
};

class RuntimeCacheJob : public PromiseJob {
 public:
  RuntimeCacheJob(EngineThread& thread, size_t session) : PromiseJob(thread.worker.courier()), thread_(thread), session_(session) {}

 protected:
  void work() override {
    if (session_ >= thread_.sessions.size()) throw invalid("There is no session " + std::to_string(session_) + " in this engine.");
    bytes_ = thread_.sessions[session_]->take_runtime_cache();
  }
  Napi::Value result(Napi::Env env) override {
    if (bytes_.empty()) return env.Undefined();
    return Napi::Buffer<uint8_t>::Copy(env, bytes_.data(), bytes_.size());
  }

 private:
  EngineThread& thread_;
  const size_t session_;
  std::vector<uint8_t> bytes_;
};

class RunJob : public PromiseJob {
 public:
  RunJob(EngineThread& thread, std::shared_ptr<TensorSet> tensors, std::vector<Command> commands)
      : PromiseJob(thread.worker.courier()), thread_(thread), tensors_(std::move(tensors)), commands_(std::move(commands)),
        cancellation_(thread.library->make_cancellation()) {}
  void cancel() noexcept override { cancellation_->cancel(); }

 protected:
  void work() override {
    GpuStream* gpu = tensors_->gpu();
    try {
      ms_ = run_pass(commands_, thread_.sessions, *tensors_, *cancellation_);
    } catch (...) {
      // What was enqueued uses memory that the next run takes. Its failure explains this one.
      if (gpu != nullptr) gpu->synchronize();
      throw;
    }
    if (gpu != nullptr) gpu->synchronize();
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Float64Array array = Napi::Float64Array::New(env, ms_.size());
    for (size_t k = 0; k < ms_.size(); ++k) array[k] = ms_[k];
    return array;
  }

 private:
  EngineThread& thread_;
  std::shared_ptr<TensorSet> tensors_;
  std::vector<Command> commands_;
  std::unique_ptr<Cancellation> cancellation_;
  std::vector<double> ms_;
};

// Releases the sessions, and what their library holds of a GPU, on their own thread, then ends it: the garbage collector, which sees none
// of that memory, may never come for the engine.
class CloseJob : public PromiseJob {
 public:
  explicit CloseJob(EngineThread& thread) : PromiseJob(thread.worker.courier()), thread_(thread) {}

 protected:
  void work() override {
    thread_.sessions.clear();
    thread_.library.reset();
    return_freed_memory();
  }
  Napi::Value result(Napi::Env env) override {
    thread_.close();
    return env.Undefined();
  }

 private:
  EngineThread& thread_;
};

// ONNX Runtime on the CPU, or with its WebGPU provider; where a GPU is named, TensorRT or ONNX Runtime's CUDA provider there.
std::shared_ptr<EngineLibrary> open_engines(const Napi::Object& options) {
  const std::string library = read_string(options, "library");
  if (options.Get("gpu").IsUndefined()) {
    const std::string kind = options.Get("kind").IsUndefined() ? "onnxruntime" : read_string(options, "kind");
    if (kind != "onnxruntime" && kind != "webgpu")
      throw invalid("Expected \"kind\" to be \"onnxruntime\" or \"webgpu\" without a \"gpu\", received \"" + kind + "\".");
    return kind == "webgpu" ? open_onnxruntime_webgpu(library) : open_onnxruntime(library);
  }
  if (!options.Get("gpu").IsObject()) throw invalid("Expected \"gpu\" to be an object.");
  const Napi::Object gpu = options.Get("gpu").As<Napi::Object>();
  const std::string kind = read_string(options, "kind");
  if (kind != "tensorrt" && kind != "onnxruntime")
    throw invalid("Expected \"kind\" to be \"tensorrt\" or \"onnxruntime\", received \"" + kind + "\".");
  const auto open_on_gpu = kind == "tensorrt" ? open_tensorrt_engines : open_onnxruntime_on_gpu;
  return open_on_gpu(library, read_string(gpu, "library"), static_cast<int32_t>(read_integer(gpu, "index", 0, 1 << 20)));
}

}  // namespace

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {InstanceMethod<&Engine::load>("load"), InstanceMethod<&Engine::run>("run"), InstanceMethod<&Engine::sample>("sample"),
                      InstanceMethod<&Engine::runtime_cache>("runtimeCache"), InstanceMethod<&Engine::dispose>("dispose")});
}

Engine::Engine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Engine>(info) {
  guarded(info.Env(), [&] {
    if (!info[0].IsObject()) throw invalid("Expected the engine's options to be an object.");
    std::shared_ptr<EngineLibrary> library = open_engines(info[0].As<Napi::Object>());
    // A value, not an accessor: Node checks the receiver of methods, but not of accessors.
    info.This().As<Napi::Object>().DefineProperty(
        Napi::PropertyDescriptor::Value("version", Napi::String::New(info.Env(), library->version()), napi_enumerable));
    thread_ = std::make_unique<EngineThread>(info.Env(), std::move(library), [this](bool busy) { busy ? Ref() : Unref(); });
  });
}

Engine::~Engine() = default;

EngineThread& Engine::open() const {
  if (!disposal_.IsEmpty()) throw Error("DISPOSED", "This engine has been disposed.");
  return *thread_;
}

Napi::Value Engine::load(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    open();
    SessionOptions options = read_session_options(info[0]);
    EngineThread& thread = open();  // what was read may have run code of the caller's
    return thread.worker.submit(std::make_shared<LoadJob>(thread, std::move(options)));
  });
}

Napi::Value Engine::runtime_cache(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const size_t session = static_cast<size_t>(read_integer(info[0], "session", 0, 1 << 30));
    EngineThread& thread = open();
    return thread.worker.submit(std::make_shared<RuntimeCacheJob>(thread, session));
  });
}

// The tensors of a workspace that a call is given.
std::shared_ptr<TensorSet> Engine::tensors_of(const Napi::Value& value) {
  // The tag too: what an object inherits from can be changed.
  const Napi::Function workspaces = addon_data(value.Env()).workspace.Value();
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(workspaces) || !value.As<Napi::Object>().CheckTypeTag(&Workspace::kTag)) {
    throw invalid("Expected the first argument to be a Workspace.");
  }
  return Workspace::Unwrap(value.As<Napi::Object>())->tensors();
}

Napi::Value Engine::run(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    open();
    std::shared_ptr<TensorSet> tensors = tensors_of(info[0]);
    std::vector<Command> commands = read_commands(info[1], *tensors);
    EngineThread& thread = open();  // as in `load`
    return handle_of(info.Env(), thread, std::make_shared<RunJob>(thread, std::move(tensors), std::move(commands)));
  });
}

Napi::Value Engine::sample(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    open();
    const std::shared_ptr<TensorSet> tensors = tensors_of(info[0]);
    const std::shared_ptr<SadaRun> run = read_sada_run(info[1], *tensors);
    tensors->keep(run);
    const std::weak_ptr<TensorSet> weak = tensors;
    // While this engine is open, so is its thread: a call after its end throws.
    const auto advance = [this, weak, run = run.get()](const Napi::CallbackInfo& call) -> Napi::Value {
      return guarded(call.Env(), [&]() -> Napi::Value {
        std::shared_ptr<TensorSet> held = weak.lock();
        if (held == nullptr) throw Error("DISPOSED", "The workspace of this run has been disposed.");
        const int step = static_cast<int>(read_integer(call[0], "step", 0, 1000));
        return handle_of(call.Env(), open(), make_sada_job(open(), std::move(held), *run, step));
      });
    };
    // The function keeps the engine, by a property that none can take away: it may outlive the object that it is handed over in.
    Napi::Function function = Napi::Function::New(info.Env(), advance);
    function.DefineProperty(Napi::PropertyDescriptor::Value("engine", Value(), napi_default));
    Napi::Object handle = Napi::Object::New(info.Env());
    handle.Set("advance", function);
    return handle;
  });
}

Napi::Promise Engine::close() { return thread_->worker.submit(std::make_shared<CloseJob>(*thread_), JobQueue::Limit::kUnbounded); }

// Nothing was ever loaded: no thread is started, which the system could refuse, to say so.
Napi::Promise Engine::close_unused(Napi::Env env) {
  thread_->close();
  const auto done = Napi::Promise::Deferred::New(env);
  done.Resolve(env.Undefined());
  return done.Promise();
}

Napi::Value Engine::dispose(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (disposal_.IsEmpty()) {
      thread_->worker.cancel_all();
      disposal_ = Napi::Reference<Napi::Promise>::New(thread_->worker.started() ? close() : close_unused(info.Env()), 1);
    }
    return disposal_.Value();
  });
}

}  // namespace sada::bind
