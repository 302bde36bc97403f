// An execution context: remembers what it is given, and adds the network to the stream.
#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>

#include "../../../native/engine/element_type.h"
#include "rtx.h"

namespace tensorrt_double {
namespace {

constexpr int kIllegalAddress = 700;

int element_type(const std::string& name) {
  for (int type = 1; type <= 16; ++type) {
    if (name == sada::element_type_name(type)) return type;
  }
  return 0;
}

int64_t count_of(const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  for (int64_t n : sizes) count *= n;
  return count;
}

// One run, as it was asked for; computed when the stream gets there.
struct Run {
  struct Bound {
    const Tensor* tensor;
    void* memory;
    std::vector<int64_t> sizes;
  };
  std::shared_ptr<const Engine> engine;
  std::vector<Bound> inputs, outputs;
  void* arena = nullptr;
  int64_t arena_bytes = 0;
  bool fails = false, is_fallback = false;
  // Of its context: how often sizes have changed, and where a graph recorded this, how often they had by then.
  std::shared_ptr<const std::atomic<int>> changes;
  int recorded_at = -1;

  int compute() {
    if (fails) return kIllegalAddress;
    if (recorded_at >= 0 && recorded_at != *changes) {
      std::fprintf(stderr, "a graph was launched whose context has another size by now, or is gone\n");
      return kIllegalAddress;
    }
    std::memset(arena, 0xa5, static_cast<size_t>(arena_bytes));  // so that it is seen to be there, and kept for nothing
    std::vector<std::vector<float>> floats;
    std::vector<sada::Binding> in, out;
    for (const Bound& each : inputs) {
      floats.emplace_back(static_cast<size_t>(count_of(each.sizes)));
      sada::elements_to_floats(element_type(each.tensor->type), each.memory, floats.back().data(), count_of(each.sizes));
      in.push_back({each.tensor->name, floats.back().data(), each.sizes});
    }
    for (const Bound& each : outputs) {
      floats.emplace_back(static_cast<size_t>(count_of(each.sizes)));
      out.push_back({each.tensor->name, floats.back().data(), each.sizes});
    }
    try {
      const auto cancellation = sada::open_onnxruntime(std::getenv("SADA_DOUBLE_ONNXRUNTIME"))->make_cancellation();
      engine->network->run(in, out, *cancellation, nullptr);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the double's network failed: %s\n", error.what());
      return kIllegalAddress;
    }
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (is_fallback)
        for (float& value : floats[inputs.size() + k]) value = std::nextafter(value, INFINITY);
      sada::floats_to_elements(element_type(outputs[k].tensor->type), out[k].data, outputs[k].memory, count_of(outputs[k].sizes));
    }
    return 0;
  }
};

class ContextImpl : public UnusedExecutionContext {
 public:
  ContextImpl(std::shared_ptr<const Engine> engine, ILogger& log, bool is_compiled_first, Kernels* kernels)
      : engine_(std::move(engine)), log_(log), is_compiled_first_(is_compiled_first), kernels_(kernels) {
    if (kernels_ != nullptr) ++kernels_->contexts;
  }
  ~ContextImpl() override {
    ++*changes_;
    if (kernels_ != nullptr) --kernels_->contexts;
  }

  bool setOptimizationProfileAsync(int32_t k, cudaStream_t) noexcept override {
    if (is_to_fail("setProfile", log_) || k < 0 || k >= static_cast<int32_t>(engine_->profiles.size())) return false;
    profile_ = k;
    return true;
  }
  void setDeviceMemoryV2(void* memory, int64_t size) noexcept override { arena_ = memory, arena_bytes_ = size; }

  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    if (is_to_fail("setInputShape", log_)) return false;
    const Range& range = engine_->profiles[static_cast<size_t>(profile_)].at(name);
    const std::vector<int64_t> sizes(dims.d, dims.d + dims.nbDims);
    bool fits = sizes.size() == range.usual.size();
    for (size_t k = 0; fits && k < sizes.size(); ++k) fits = range.smallest[k] <= sizes[k] && sizes[k] <= range.largest[k];
    if (!fits) return refuse(std::string("the profile does not have the size of ") + name);
    std::vector<int64_t>& known = sizes_[name];
    if (known != sizes) have_sizes_changed_ = true, ++*changes_;
    known = sizes;
    return true;
  }

  Dims getTensorShape(const char* name) const noexcept override {
    Dims dims{};
    for (int64_t n : sizes_of(engine_->find(name))) dims.d[dims.nbDims++] = n;
    return dims;
  }

  bool setInputTensorAddress(const char* name, const void* data) noexcept override {
    return !is_to_fail("setInputAddress", log_) && set_address(name, const_cast<void*>(data));
  }
  bool setOutputTensorAddress(const char* name, void* data) noexcept override {
    return !is_to_fail("setOutputAddress", log_) && set_address(name, data);
  }

  bool enqueueV3(cudaStream_t stream) noexcept override {
    if (is_to_fail("enqueue", log_)) return false;
    if (profile_ < 0) return refuse("no profile is set");
    if (have_sizes_changed_ && is_capturing(stream))
      return refuse("the first run after sizes changed allocates: operation not permitted when stream is capturing");
    have_sizes_changed_ = false;
    if (arena_bytes_ < engine_->memory / (profile_ + 1)) return refuse("the device memory is too small");
    auto run = std::make_unique<Run>();
    run->engine = engine_, run->arena = arena_, run->arena_bytes = engine_->memory / (profile_ + 1);
    run->fails = is_to_fail("execute", log_);
    run->changes = changes_;
    if (is_capturing(stream)) run->recorded_at = *changes_;
    if (is_rtx() && ++runs_[sizes_] == 1) compile();
    run->is_fallback = !is_compiled_first_ && runs_[sizes_] <= 3;
    for (const Tensor& tensor : engine_->tensors) {
      if (tensor.is_input && sizes_.count(tensor.name) == 0) return refuse("no size is set for " + tensor.name);
      if (addresses_[tensor.name] == nullptr) return refuse("no address is set for " + tensor.name);
      (tensor.is_input ? run->inputs : run->outputs).push_back({&tensor, addresses_[tensor.name], sizes_of(tensor)});
    }
    const auto compute = [](void* data) { return static_cast<Run*>(data)->compute(); };
    const auto release = [](void* data) { delete static_cast<Run*>(data); };
    return enqueue(stream, compute, run.release(), release) || refuse("the stream takes no work");
  }

 private:
  void compile() {
    std::string name;
    for (const auto& [input, sizes] : sizes_) {
      name += input;
      for (int64_t n : sizes) name += " " + std::to_string(n);
      name += ";";
    }
    if (kernels_ != nullptr && !kernels_->names.insert(name).second) return;
    const char* path = std::getenv("SADA_DOUBLE_COMPILED");
    if (path != nullptr) std::ofstream(path, std::ios::app) << name << "\n";
  }
  bool refuse(const std::string& why) {
    log_.log(ILogger::Severity::kERROR, why.c_str());
    return false;
  }
  bool set_address(const char* name, void* data) {
    if (reinterpret_cast<uintptr_t>(data) % 256 != 0) return refuse(std::string("the address of ") + name + " is no multiple of 256");
    addresses_[name] = data;
    return true;
  }
  std::vector<int64_t> sizes_of(const Tensor& tensor) const {
    std::vector<int64_t> sizes;
    const auto known = sizes_.find(tensor.name);
    if (known != sizes_.end()) return known->second;
    for (const Size& size : tensor.sizes) {
      const auto input = sizes_.find(size.input);
      sizes.push_back(size.input.empty() || input == sizes_.end() ? size.value : input->second[static_cast<size_t>(size.axis)]);
    }
    return sizes;
  }

  std::shared_ptr<const Engine> engine_;
  ILogger& log_;
  const bool is_compiled_first_;
  Kernels* const kernels_;
  int32_t profile_ = -1;
  void* arena_ = nullptr;
  int64_t arena_bytes_ = 0;
  std::map<std::string, std::vector<int64_t>> sizes_;
  bool have_sizes_changed_ = false;  // since the last run
  const std::shared_ptr<std::atomic<int>> changes_ = std::make_shared<std::atomic<int>>(0);  // of sizes
  std::map<std::map<std::string, std::vector<int64_t>>, int> runs_;  // of each of the sizes
  std::map<std::string, void*> addresses_;
};

class Context : public IExecutionContext {
 public:
  Context(std::shared_ptr<const Engine> engine, ILogger& log, bool is_compiled_first, Kernels* kernels)
      : impl_(std::move(engine), log, is_compiled_first, kernels) {
    mImpl = &impl_;
  }

 private:
  ContextImpl impl_;
};

}  // namespace

IExecutionContext* make_context(std::shared_ptr<const Engine> engine, ILogger& log, bool is_compiled_first, Kernels* kernels) {
  return new Context(std::move(engine), log, is_compiled_first, kernels);
}

}  // namespace tensorrt_double
