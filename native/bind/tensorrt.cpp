#include "tensorrt.h"

#include <atomic>
#include <cstring>
#include <mutex>

#include "read.h"

namespace sada::bind {
namespace {

// The phases of a build that are going on, outermost first.
struct Progress {
  struct Phase {
    std::string name;
    int done, of;
  };
  std::mutex mutex;
  std::vector<Phase> phases;

  void tell(const std::string& name, const std::string& parent, int done, int of) {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto find = [&](const std::string& wanted) {
      size_t k = 0;
      while (k < phases.size() && phases[k].name != wanted) ++k;
      return k;
    };
    const size_t at = find(name);
    if (at < phases.size()) phases[at].done = done;
    else {
      // A new phase ends those that its parent had.
      const size_t above = parent.empty() ? 0 : std::min(find(parent) + 1, phases.size());
      phases.resize(above);
      phases.push_back({name, done, of});
    }
  }
};

std::vector<int64_t> read_sizes(const Napi::Object& object, const char* name) {
  const std::vector<int> sizes = read_integers(object.Get(name), name, 0, (int64_t{1} << 31) - 1);
  return std::vector<int64_t>(sizes.begin(), sizes.end());
}

EngineRequest read_request(const Napi::Value& value) {
  if (!value.IsObject()) throw invalid("Expected the request to be an object.");
  const Napi::Object object = value.As<Napi::Object>();
  EngineRequest request;
  request.onnx = read_bytes(object, "onnx");
  if (request.onnx.empty()) throw Error("MODEL_CORRUPT", "The model is empty: 0 bytes.");
  if (!object.Get("modelPath").IsUndefined()) request.model_path = read_string(object, "modelPath");
  request.targets = read_integers(object.Get("targets"), "targets", 10, 999);
  request.timing_cache = read_bytes(object, "timingCache");
  // Of an array longer than V8 takes Node-API makes no error, but the end of the process; how long that is, JavaScript knows.
  request.most_bytes = static_cast<uint64_t>(read_integer(object, "mostBytes", 0, (int64_t{1} << 53) - 1));
  const Napi::Array profiles = read_array(object.Get("profiles"), "profiles", 0, 1024);
  for (uint32_t k = 0; k < profiles.Length(); ++k) {
    const Napi::Array ranges = read_array(profiles.Get(k), "profiles", 0, 1024);
    Profile profile;
    for (uint32_t r = 0; r < ranges.Length(); ++r) {
      if (!ranges.Get(r).IsObject()) throw invalid("Expected \"profiles\" to hold lists of objects.");
      const Napi::Object range = ranges.Get(r).As<Napi::Object>();
      profile.push_back(
          {read_string(range, "input"), read_sizes(range, "smallest"), read_sizes(range, "usual"), read_sizes(range, "largest")});
    }
    request.profiles.push_back(std::move(profile));
  }
  return request;
}

class BuildJob : public PromiseJob {
 public:
  BuildJob(Courier& courier, std::shared_ptr<const TensorRt> library, EngineRequest request)
      : PromiseJob(courier), library_(std::move(library)), request_(std::move(request)) {}
  void cancel() noexcept override { cancelled_ = true; }
  Progress& progress() { return progress_; }

 protected:
  void work() override {
    if (cancelled_) throw Error("ABORTED", "The build was aborted.");
    BuildMonitor monitor;
    monitor.progress = [this](const std::string& phase, const std::string& parent, int done, int of) {
      progress_.tell(phase, parent, done, of);
    };
    monitor.is_cancelled = [this] { return cancelled_.load(); };
    built_ = library_->build(request_, monitor);
    request_ = {};
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object object = Napi::Object::New(env);
    object.Set("engine", to_array(env, built_.engine));
    object.Set("timingCache", to_array(env, built_.timing_cache));
    return object;
  }

 private:
  static Napi::Value to_array(Napi::Env env, const std::vector<uint8_t>& bytes) {
    Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
    if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
    return array;
  }
  std::shared_ptr<const TensorRt> library_;
  EngineRequest request_;
  BuiltEngine built_;
  Progress progress_;
  std::atomic<bool> cancelled_{false};
};

Napi::Value show(Napi::Env env, Progress& progress) {
  const std::lock_guard<std::mutex> lock(progress.mutex);
  Napi::Array phases = Napi::Array::New(env, progress.phases.size());
  for (uint32_t k = 0; k < progress.phases.size(); ++k) {
    Napi::Object phase = Napi::Object::New(env);
    phase.Set("phase", progress.phases[k].name);
    phase.Set("done", static_cast<double>(progress.phases[k].done));
    phase.Set("of", static_cast<double>(progress.phases[k].of));
    phases.Set(k, phase);
  }
  return phases;
}

}  // namespace

Napi::Function TensorRtBuilder::define(Napi::Env env) {
  return DefineClass(env, "TensorRtBuilder",
                     {InstanceMethod<&TensorRtBuilder::build>("build"), InstanceMethod<&TensorRtBuilder::serves>("serves")});
}

TensorRtBuilder::TensorRtBuilder(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TensorRtBuilder>(info) {
  guarded(info.Env(), [&] {
    if (!info[0].IsObject()) throw invalid("Expected the builder's options to be an object.");
    const Napi::Object options = info[0].As<Napi::Object>();
    const std::string path = read_string(options, "library");
    library_ = open_tensorrt(path, read_string(options, "parser"));
    worker_ = std::make_unique<Worker>(info.Env(), [this](bool busy) { busy ? Ref() : Unref(); });
    const auto value = [&](const char* name, const std::string& text) {
      info.This().As<Napi::Object>().DefineProperty(
          Napi::PropertyDescriptor::Value(name, Napi::String::New(info.Env(), text), napi_enumerable));
    };
    value("library", path);
    value("flavour", library_->is_rtx() ? "tensorrt-rtx" : "tensorrt");
    value("version", library_->version());
    value("parserVersion", library_->parser_version());
  });
}

TensorRtBuilder::~TensorRtBuilder() = default;

Napi::Value TensorRtBuilder::serves(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsNumber()) throw invalid("Expected a compute capability to be a number.");
    return Napi::Boolean::New(info.Env(), library_->serves(info[0].As<Napi::Number>().Int32Value()));
  });
}

Napi::Value TensorRtBuilder::build(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto job = std::make_shared<BuildJob>(worker_->courier(), library_, read_request(info[0]));
    Napi::Object handle = Napi::Object::New(info.Env());
    handle.Set("done", worker_->submit(job));
    const std::weak_ptr<BuildJob> weak = job;
    handle.Set("abort", Napi::Function::New(info.Env(), [weak, this](const Napi::CallbackInfo&) {
                 if (const auto running = weak.lock()) worker_->cancel(running);  // while the job lives, so does its builder
               }));
    handle.Set("progress", Napi::Function::New(info.Env(), [weak](const Napi::CallbackInfo& call) -> Napi::Value {
                 const auto running = weak.lock();
                 return running ? show(call.Env(), running->progress()) : Napi::Array::New(call.Env());
               }));
    return handle;
  });
}

}  // namespace sada::bind
