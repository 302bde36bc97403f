// A compiled engine's contexts, activations in the arena that its runtime's sessions share, tensors where the workspace has them.
#if defined(SADA_TENSORRT)

#include <algorithm>
#include <map>

#include "../counters.h"
#include "element_type.h"
#include "tensorrt_contexts.h"
#include "tensorrt_runtime.h"
#include "tensorrt_tensors.h"

namespace sada {
namespace {

using namespace nvinfer1;

int element_type_of(DataType type) {
  switch (type) {
    case DataType::kFLOAT: return ort::kFloat;
    case DataType::kHALF: return ort::kFloat16;
    case DataType::kBF16: return ort::kBfloat16;
    case DataType::kINT64: return ort::kInt64;
    case DataType::kINT32: return ort::kInt32;
    case DataType::kINT8: return ort::kInt8;
    case DataType::kUINT8: return ort::kUint8;
    case DataType::kBOOL: return ort::kBool;
    default: return 0;
  }
}

std::vector<int64_t> to_sizes(const Dims& dims) { return std::vector<int64_t>(dims.d, dims.d + std::max(dims.nbDims, 0)); }

Dims to_dims(const std::vector<int64_t>& sizes) {
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(std::min<size_t>(sizes.size(), Dims::MAX_DIMS));
  std::copy_n(sizes.begin(), dims.nbDims, dims.d);
  return dims;
}

std::string show(const std::vector<int64_t>& sizes) {
  std::string text;
  for (int64_t n : sizes) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "[" + text + "]";
}

class EngineSession : public Session {
 public:
  EngineSession(std::shared_ptr<TensorRtRuntime> runtime, std::unique_ptr<ICudaEngine> engine, const std::vector<uint8_t>& runtime_cache)
      : runtime_(std::move(runtime)), engine_(std::move(engine)), tensors_(runtime_->gpu(), runtime_->moves()),
        contexts_(*engine_, runtime_->is_rtx(), runtime_cache) {
    describe();
    int64_t activations = 0;
    for (int32_t k = 0; k < engine_->getNbOptimizationProfiles(); ++k)
      activations = std::max(activations, engine_->getDeviceMemorySizeForProfileV2(k));
    runtime_->arena().reserve(activations);
    info_.activation_bytes = activations;
    for (int32_t k = 0; k < engine_->getNbOptimizationProfiles(); ++k) add_profile(k);
    runtime_->gpu().synchronize();
    counters().sessions += 1;
  }
  ~EngineSession() override { counters().sessions -= 1; }

  const SessionInfo& info() const override { return info_; }
  bool is_on_gpu() const override { return true; }
  bool is_recordable() const override { return tensors_.are_recordable(); }
  int64_t generation() const override { return runtime_->moves(); }

  std::vector<uint8_t> take_runtime_cache() override {
    if (!are_sizes_new_) return {};
    are_sizes_new_ = false;
    runtime_->listen();
    return contexts_.runtime_cache();
  }

  void run(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Cancellation&, GpuStream* gpu) override {
    if (gpu->index() != runtime_->gpu_index())
      throw invalid("Expected a workspace on GPU " + std::to_string(runtime_->gpu_index()) + ", where the engine is.");
    check_names(inputs, info_.inputs, "input");
    check_names(outputs, info_.outputs, "output");
    runtime_->listen();
    Context& chosen = context_of(choose(inputs), sizes_of(inputs), *gpu);
    IExecutionContext& context = *chosen.made;
    // The arena may have moved when another engine was loaded, or gone where there was no memory for that.
    runtime_->arena().reserve(info_.activation_bytes);
    if (chosen.arena != runtime_->arena().get()) attach(chosen);
    for (const Binding& input : inputs) {
      runtime_->check(context.setInputShape(input.name.c_str(), to_dims(input.dims)),
                      "refuses " + show(input.dims) + " for \"" + input.name + "\"");
      runtime_->check(context.setInputTensorAddress(input.name.c_str(), tensors_.fill(input, *gpu)),
                      "refuses the memory of \"" + input.name + "\"");
    }
    for (const TensorInfo& output : info_.outputs) place(context, output, find(outputs, output.name));
    runtime_->check(context.enqueueV3(static_cast<cudaStream_t>(gpu->stream())), "does not run the network");
    are_sizes_new_ = are_sizes_new_ || !chosen.has_run;
    chosen.has_run = true;
    for (const Binding& output : outputs) tensors_.read_back(output, *gpu);
  }

 private:
  struct Range {
    std::vector<int64_t> smallest, usual, largest;
  };
  // Runs one size of its inputs: a CUDA graph that was recorded goes on with what its context had then, which another size changes. ("Best
  // practice is to use one execution context per captured graph", Limitations of CUDA Graphs in TensorRT for RTX' documentation.)
  struct Context {
    std::unique_ptr<IExecutionContext> made;
    const void* arena = nullptr;
    bool has_run = false;
    int64_t used = 0;
  };
  struct Profile {
    int32_t index;
    std::map<std::string, Range> ranges;
    std::unique_ptr<IExecutionContext> unused;  // the first, made so that `load` says what it fails of
    std::map<std::vector<int64_t>, Context> contexts;  // by the sizes of all inputs one after another
  };
  // Of a profile, as many as a run keeps graphs; more, and the one that was unused for the longest time goes.
  static constexpr size_t kMostContexts = 32;

  void describe() {
    for (int32_t k = 0; k < engine_->getNbIOTensors(); ++k) {
      const char* name = engine_->getIOTensorName(k);
      const int type = element_type_of(engine_->getTensorDataType(name));
      const bool is_input = engine_->getTensorIOMode(name) == TensorIOMode::kINPUT;
      if (type == 0 || engine_->getTensorLocation(name) != TensorLocation::kDEVICE || engine_->isShapeInferenceIO(name)) {
        throw Error("IO_MISMATCH", std::string("The engine's \"") + name +
                                       "\" has a type or place that is not served: only tensors of numbers on the GPU are.");
      }
      TensorInfo info{name, element_type_name(type), to_sizes(engine_->getTensorShape(name)), {}};
      info.symbols.assign(info.dims.size(), "");
      tensors_.declare(name, type);
      (is_input ? info_.inputs : info_.outputs).push_back(std::move(info));
    }
  }

  void add_profile(int32_t k) {
    runtime_->listen();
    Profile profile{k, {}, make_context(k), {}};
    for (const TensorInfo& input : info_.inputs) {
      const auto sizes = [&](OptProfileSelector which) { return to_sizes(engine_->getProfileShape(input.name.c_str(), k, which)); };
      profile.ranges[input.name] = {sizes(OptProfileSelector::kMIN), sizes(OptProfileSelector::kOPT), sizes(OptProfileSelector::kMAX)};
    }
    profiles_.push_back(std::move(profile));
  }

  // Its profile is set once the runtime's stream gets there.
  std::unique_ptr<IExecutionContext> make_context(int32_t profile) {
    std::unique_ptr<IExecutionContext> context = contexts_.make();
    runtime_->check(context != nullptr, "made no context");
    runtime_->check(context->setOptimizationProfileAsync(profile, static_cast<cudaStream_t>(runtime_->gpu().stream())),
                    "does not take profile " + std::to_string(profile));
    return context;
  }

  Context& context_of(Profile& profile, const std::vector<int64_t>& sizes, GpuStream& gpu) {
    const auto known = profile.contexts.find(sizes);
    if (known == profile.contexts.end()) make_room(profile, gpu);
    Context& context = known == profile.contexts.end() ? profile.contexts[sizes] : known->second;
    context.used = ++runs_;
    if (context.made != nullptr) return context;
    context.made = profile.unused != nullptr ? std::move(profile.unused) : make_context(profile.index);
    runtime_->gpu().synchronize();  // it runs on other streams
    return context;
  }

  void make_room(Profile& profile, GpuStream& gpu) {
    if (profile.contexts.size() < kMostContexts) return;
    gpu.synchronize();  // what it runs there
    const auto oldest = std::min_element(profile.contexts.begin(), profile.contexts.end(),
                                         [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    runtime_->moves() += 1;  // graphs of it are not launched again
    profile.contexts.erase(oldest);
  }

  void attach(Context& context) {
    context.made->setDeviceMemoryV2(runtime_->arena().get(), runtime_->arena().bytes());
    context.arena = runtime_->arena().get();
  }

  static const Binding* find(const std::vector<Binding>& bindings, const std::string& name) {
    const auto at = std::find_if(bindings.begin(), bindings.end(), [&](const Binding& each) { return each.name == name; });
    return at == bindings.end() ? nullptr : &*at;
  }

  // Every input is bound, nothing is bound twice or unknown.
  static void check_names(const std::vector<Binding>& bindings, const std::vector<TensorInfo>& infos, const std::string& side) {
    for (const Binding& binding : bindings) {
      const bool is_known = std::any_of(infos.begin(), infos.end(), [&](const TensorInfo& info) { return info.name == binding.name; });
      if (!is_known) throw Error("IO_MISMATCH", "The model has no " + side + " named \"" + binding.name + "\".");
      if (find(bindings, binding.name) != &binding) throw Error("IO_MISMATCH", "\"" + binding.name + "\" is bound twice.");
    }
    if (side != "input") return;
    for (const TensorInfo& info : infos) {
      if (find(bindings, info.name) == nullptr) throw Error("IO_MISMATCH", "The model's input \"" + info.name + "\" is not bound.");
    }
  }

  // In the order of the engine's inputs, whatever that of the bindings is.
  std::vector<int64_t> sizes_of(const std::vector<Binding>& inputs) const {
    std::vector<int64_t> sizes;
    for (const TensorInfo& info : info_.inputs) {
      const std::vector<int64_t>& dims = find(inputs, info.name)->dims;
      sizes.insert(sizes.end(), dims.begin(), dims.end());
    }
    return sizes;
  }

  // How far the sizes lie from those a profile is fastest at; -1: it does not have them.
  static int64_t distance(const Profile& profile, const std::vector<Binding>& inputs) {
    int64_t sum = 0;
    for (const Binding& input : inputs) {
      const Range& range = profile.ranges.at(input.name);
      if (input.dims.size() != range.usual.size()) return -1;
      for (size_t d = 0; d < input.dims.size(); ++d) {
        if (input.dims[d] < range.smallest[d] || input.dims[d] > range.largest[d]) return -1;
        sum += std::abs(input.dims[d] - range.usual[d]);
      }
    }
    return sum;
  }

  Profile& choose(const std::vector<Binding>& inputs) {
    Profile* nearest = nullptr;
    int64_t least = 0;
    for (Profile& profile : profiles_) {
      const int64_t far = distance(profile, inputs);
      if (far < 0 || (nearest != nullptr && far >= least)) continue;
      nearest = &profile, least = far;
    }
    if (nearest != nullptr) return *nearest;
    std::string sizes;
    for (const Binding& input : inputs) sizes += (sizes.empty() ? "\"" : ", \"") + input.name + "\" " + show(input.dims);
    throw Error("IO_MISMATCH", "The engine was not built for the sizes " + sizes + ".");
  }

  // Every output has a place, wanted or not; a wanted one has the size that the network gives it.
  void place(IExecutionContext& context, const TensorInfo& output, const Binding* binding) {
    const std::vector<int64_t> sizes = to_sizes(context.getTensorShape(output.name.c_str()));
    const bool is_known = std::all_of(sizes.begin(), sizes.end(), [](int64_t n) { return n >= 0; });
    if (binding != nullptr && sizes != binding->dims) {
      throw Error("IO_MISMATCH",
                  "The network gives \"" + output.name + "\" the size " + show(sizes) + ", bound is " + show(binding->dims) + ".");
    }
    if (!is_known) throw Error("IO_MISMATCH", "The size of \"" + output.name + "\" is not known before the run: " + show(sizes) + ".");
    runtime_->check(context.setOutputTensorAddress(output.name.c_str(), tensors_.place(output.name, sizes, binding)),
                    "refuses the memory of \"" + output.name + "\"");
  }

  std::shared_ptr<TensorRtRuntime> runtime_;
  std::unique_ptr<ICudaEngine> engine_;
  EngineTensors tensors_;
  EngineContexts contexts_;
  std::vector<Profile> profiles_;  // go before their engine
  int64_t runs_ = 0;
  bool are_sizes_new_ = false;  // since `take_runtime_cache`
  SessionInfo info_;
};

}  // namespace

std::unique_ptr<Session> make_engine_session(std::shared_ptr<TensorRtRuntime> runtime, std::unique_ptr<ICudaEngine> engine,
                                             const std::vector<uint8_t>& runtime_cache) {
  return std::make_unique<EngineSession>(std::move(runtime), std::move(engine), runtime_cache);
}

}  // namespace sada

#endif
