// The library's entry points, its runtime and its engines.
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <cstring>
#include <mutex>
#include <sstream>
#include <stdexcept>

#include "double.h"
#include "rtx.h"

namespace tensorrt_double {
namespace {

const char* setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<int64_t> read_sizes(const std::string& text) {
  std::vector<int64_t> sizes;
  std::istringstream stream(text);
  for (std::string each; std::getline(stream, each, ',');) sizes.push_back(std::stoll(each));
  return sizes;
}

Tensor read_tensor(std::istringstream& line, bool is_input) {
  Tensor tensor;
  tensor.is_input = is_input;
  line >> tensor.name >> tensor.type;
  for (std::string each; line >> each;) {
    const size_t dot = each.find('.');
    if (dot == std::string::npos) tensor.sizes.push_back({std::stoll(each), "", 0});
    else tensor.sizes.push_back({-1, each.substr(0, dot), std::stoi(each.substr(dot + 1))});
  }
  return tensor;
}

Dims to_dims(const std::vector<int64_t>& sizes) {
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(sizes.size());
  std::memcpy(dims.d, sizes.data(), sizes.size() * sizeof(int64_t));
  return dims;
}

DataType type_of(const std::string& name) {
  static const std::map<std::string, DataType> types = {
      {"float32", DataType::kFLOAT}, {"float16", DataType::kHALF}, {"bfloat16", DataType::kBF16}, {"int64", DataType::kINT64},
      {"int32", DataType::kINT32},   {"bool", DataType::kBOOL},    {"float8", DataType::kFP8}};
  return types.at(name);
}

class CudaEngineImpl : public UnusedCudaEngine {
 public:
  CudaEngineImpl(std::shared_ptr<const Engine> engine, ILogger& log) : engine_(std::move(engine)), log_(log) {}
  IExecutionContext* createExecutionContext(ExecutionContextAllocationStrategy strategy) noexcept override {
    if (strategy != ExecutionContextAllocationStrategy::kUSER_MANAGED) unused("contexts with memory of their own");
    return is_to_fail("createContext", log_) ? nullptr : make_context(engine_, log_, !is_rtx());
  }
  IRuntimeConfig* createRuntimeConfig() noexcept override {
    if (!is_rtx()) unused("createRuntimeConfig");
    return is_to_fail("createRuntimeConfig", log_) ? nullptr : new RuntimeConfig(log_);
  }
  IExecutionContext* createExecutionContextWithRuntimeConfig(IRuntimeConfig* config) noexcept override {
    const RuntimeConfigImpl& given = static_cast<RuntimeConfig*>(config)->impl();
    if (given.getExecutionContextAllocationStrategy() != ExecutionContextAllocationStrategy::kUSER_MANAGED)
      unused("contexts with memory of their own");
    RuntimeCache* cache = given.getRuntimeCache();
    const bool is_compiled_first = given.getDynamicShapesKernelSpecializationStrategy() == 1;
    return is_to_fail("createContext", log_)
               ? nullptr
               : make_context(engine_, log_, is_compiled_first, cache == nullptr ? nullptr : &cache->kernels());
  }
  int32_t getNbOptimizationProfiles() const noexcept override { return static_cast<int32_t>(engine_->profiles.size()); }
  int32_t getNbIOTensors() const noexcept override { return static_cast<int32_t>(engine_->tensors.size()); }
  const char* getIOTensorName(int32_t k) const noexcept override { return engine_->tensors[static_cast<size_t>(k)].name.c_str(); }
  Dims getTensorShape(const char* name) const noexcept override {
    std::vector<int64_t> sizes;
    for (const Size& size : engine_->find(name).sizes) sizes.push_back(size.value);
    return to_dims(sizes);
  }
  DataType getTensorDataType(const char* name) const noexcept override { return type_of(engine_->find(name).type); }
  TensorLocation getTensorLocation(const char*) const noexcept override { return TensorLocation::kDEVICE; }
  bool isShapeInferenceIO(const char*) const noexcept override { return false; }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return engine_->find(name).is_input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  Dims getProfileShape(const char* name, int32_t k, OptProfileSelector which) const noexcept override {
    const Range& range = engine_->profiles[static_cast<size_t>(k)].at(name);
    return to_dims(which == OptProfileSelector::kMIN ? range.smallest : which == OptProfileSelector::kOPT ? range.usual : range.largest);
  }
  // A later profile takes less, as a smaller number of tokens does.
  int64_t getDeviceMemorySizeForProfileV2(int32_t k) const noexcept override { return engine_->memory / (k + 1); }

 private:
  std::shared_ptr<const Engine> engine_;
  ILogger& log_;
};

class CudaEngine : public ICudaEngine {
 public:
  CudaEngine(std::shared_ptr<const Engine> engine, ILogger& log) : impl_(std::move(engine), log) { mImpl = &impl_; }

 private:
  CudaEngineImpl impl_;
};

class RuntimeImpl : public UnusedRuntime {
 public:
  explicit RuntimeImpl(ILogger& log) : log_(log) {}
  ICudaEngine* deserializeCudaEngine(const void* bytes, std::size_t size) noexcept override {
    if (is_to_fail("deserialize", log_)) return nullptr;
    try {
      auto engine = std::make_shared<Engine>(read_engine(bytes, size));
      sada::SessionOptions options;
      options.bytes = std::move(engine->onnx), options.path = engine->path;
      engine->network = sada::open_onnxruntime(setting("SADA_DOUBLE_ONNXRUNTIME"))->load(options);
      return new CudaEngine(std::move(engine), log_);
    } catch (const std::exception& error) {
      log_.log(ILogger::Severity::kERROR, error.what());
      return nullptr;
    }
  }

 private:
  ILogger& log_;
};

class Runtime : public IRuntime {
 public:
  explicit Runtime(ILogger& log) : impl_(log) { mImpl = &impl_; }

 private:
  RuntimeImpl impl_;
};

}  // namespace

const Tensor& Engine::find(const std::string& name) const {
  for (const Tensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  unused(("the tensor " + name).c_str());
}

Engine read_engine(const void* bytes, size_t size) {
  const std::string all(static_cast<const char*>(bytes), size);
  std::istringstream text(all);
  std::string line, word;
  std::getline(text, line);
  if (line != "sada-double 1") throw std::runtime_error("the plan file is of another version");
  Engine engine;
  while (std::getline(text, line)) {
    std::istringstream words(line);
    words >> word;
    if (word == "memory") words >> engine.memory;
    else if (word == "input" || word == "output") engine.tensors.push_back(read_tensor(words, word == "input"));
    else if (word == "profile") engine.profiles.emplace_back();
    else if (word == "range") {
      std::string name, smallest, usual, largest;
      words >> name >> smallest >> usual >> largest;
      engine.profiles.at(engine.profiles.size() - 1)[name] = {read_sizes(smallest), read_sizes(usual), read_sizes(largest)};
    } else if (word == "onnx") {
      const size_t from = static_cast<size_t>(text.tellg());
      engine.onnx.assign(all.begin() + static_cast<std::ptrdiff_t>(from), all.end());
      return engine;
    } else if (word == "path") {
      words >> engine.path;
      return engine;
    }
  }
  throw std::runtime_error("the plan file is cut");
}

bool is_to_fail(const char* call, ILogger& log) {
  static std::mutex mutex;
  static std::string known;
  static int64_t calls = 0;
  const std::lock_guard<std::mutex> lock(mutex);
  const std::string wanted = setting("SADA_DOUBLE_FAIL");
  const std::string says = setting("SADA_DOUBLE_SAYS");
  if (wanted + says != known) known = wanted + says, calls = 0;
  const size_t colon = wanted.find(':');
  if (wanted.substr(0, colon) != call || ++calls != (colon == std::string::npos ? 1 : std::stoll(wanted.substr(colon + 1)))) return false;
  log.log(ILogger::Severity::kERROR, (says.empty() ? std::string("the double was asked to fail ") + call : says).c_str());
  return true;
}

bool is_rtx() { return getInferLibVersion() < 20000; }

std::string RuntimeCacheImpl::header() { return "sada-kernels " + std::to_string(getInferLibVersion()) + "\n"; }

// A function of the emulated GPU that this process has opened; null where there is none.
template <typename F>
F find_emulated(const char* name) {
  void* gpu = dlopen(setting("SADA_DOUBLE_GPU"), RTLD_NOW | RTLD_NOLOAD);
  return gpu == nullptr ? nullptr : reinterpret_cast<F>(dlsym(gpu, name));
}

bool enqueue(void* stream, int (*work)(void*), void* data, void (*release)(void*)) {
  const auto add = find_emulated<int (*)(void*, int (*)(void*), void*, void (*)(void*))>("sada_emulated_enqueue");
  if (add == nullptr) return release(data), false;
  return add(stream, work, data, release) == 0;
}

bool is_capturing(void* stream) {
  const auto asked = find_emulated<int (*)(void*)>("sada_emulated_is_capturing");
  return asked != nullptr && asked(stream) != 0;
}

}  // namespace tensorrt_double

extern "C" {

__attribute__((visibility("default"))) int32_t getInferLibVersion() noexcept {
  const char* version = std::getenv("SADA_DOUBLE_VERSION");
  return version == nullptr ? 110100 : std::atoi(version);
}

__attribute__((visibility("default"))) void* createInferRuntime_INTERNAL(void* logger, int32_t version) noexcept {
  nvinfer1::ILogger& log = *static_cast<nvinfer1::ILogger*>(logger);
  if (version != getInferLibVersion()) return log.log(nvinfer1::ILogger::Severity::kERROR, "the version is another"), nullptr;
  if (tensorrt_double::is_to_fail("createInferRuntime", log)) return nullptr;
  return static_cast<nvinfer1::IRuntime*>(new tensorrt_double::Runtime(log));
}

// Its engines are written by the tests (test/support/tensorrt-double.ts): it builds none, and says so.
__attribute__((visibility("default"))) void* createInferBuilder_INTERNAL(void* logger, int32_t) noexcept {
  static_cast<nvinfer1::ILogger*>(logger)->log(nvinfer1::ILogger::Severity::kERROR, "the double builds nothing");
  return nullptr;
}
__attribute__((visibility("default"))) void* createNvOnnxParser_INTERNAL(void*, void*, int) noexcept { return nullptr; }
__attribute__((visibility("default"))) int getNvOnnxParserVersion() noexcept { return 110100; }
}
