#include "tensorrt.h"

#include "../error.h"

#if !defined(SADA_TENSORRT)

namespace sada {

static const char* const kNotBuilt = "This addon was built without TensorRT's headers; set TENSORRT_ROOT and build it again.";

std::shared_ptr<const TensorRt> open_tensorrt(const std::string&, const std::string&) { throw Error("BACKEND_UNAVAILABLE", kNotBuilt); }

std::shared_ptr<EngineLibrary> open_tensorrt_engines(const std::string&, const std::string&, int32_t) {
  throw Error("BACKEND_UNAVAILABLE", kNotBuilt);
}

}  // namespace sada

#else

#include <NvInfer.h>
#include <NvOnnxParser.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "tensorrt_library.h"
#include "tensorrt_rtx.h"

namespace sada {
namespace {

using namespace nvinfer1;

class Monitor : public IProgressMonitor {
 public:
  explicit Monitor(const BuildMonitor& told) : told_(told) {}
  void phaseStart(const char* phase, const char* parent, int32_t steps) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    phases_[phase] = {parent == nullptr ? "" : parent, steps};
    tell(phase, 0);
  }
  bool stepComplete(const char* phase, int32_t step) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    tell(phase, step + 1);
    return !told_.is_cancelled();
  }
  void phaseFinish(const char* phase) noexcept override {
    const std::lock_guard<std::mutex> lock(mutex_);
    tell(phase, phases_[phase].steps);
  }

 private:
  struct Phase {
    std::string parent;
    int steps = 0;
  };
  void tell(const char* phase, int done) noexcept {
    const Phase& of = phases_[phase];
    told_.progress(phase, of.parent, std::min(done, of.steps), of.steps);
  }
  const BuildMonitor& told_;
  std::mutex mutex_;
  std::map<std::string, Phase> phases_;
};

Dims to_dims(const std::vector<int64_t>& sizes) {
  if (sizes.size() > Dims::MAX_DIMS) throw invalid("Expected a profile's sizes to have at most 8 dimensions.");
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), dims.d);
  return dims;
}

std::vector<uint8_t> to_bytes(const IHostMemory& memory) {
  const auto* data = static_cast<const uint8_t*>(memory.data());
  return std::vector<uint8_t>(data, data + memory.size());
}

class Library : public TensorRt {
 public:
  Library(const TensorRtLibrary& library, void* parser)
      : is_rtx_(library.is_rtx), version_(library.version),
        create_builder_(reinterpret_cast<void* (*)(void*, int32_t)>(find_symbol(library.handle, "createInferBuilder_INTERNAL"))),
        create_parser_(reinterpret_cast<void* (*)(void*, void*, int)>(find_symbol(parser, "createNvOnnxParser_INTERNAL"))) {
    const auto parser_version = reinterpret_cast<int (*)()>(find_symbol(parser, "getNvOnnxParserVersion"));
    if (create_builder_ == nullptr || create_parser_ == nullptr || parser_version == nullptr)
      throw Error("BACKEND_UNAVAILABLE", "TensorRT's library or parser lacks its entry points.");
    parser_version_ = parser_version();
  }

  bool is_rtx() const override { return is_rtx_; }
  std::string version() const override { return show_tensorrt_version(version_); }
  std::string parser_version() const override {
    return std::to_string(parser_version_ / 10000) + "." + std::to_string(parser_version_ / 100 % 100);
  }

  bool serves(int target) const override {
    if (!is_rtx_) return true;
    const TensorRtLog::Taken taken = TensorRtLog::take();
    TensorRtLog& log = *taken;
    const std::unique_ptr<IBuilder> builder = make_builder(log);
    const std::unique_ptr<IBuilderConfig> config(builder->createBuilderConfig());
    return config != nullptr && RtxTargets::set(*config, {target}) == 1;
  }

  BuiltEngine build(const EngineRequest& request, const BuildMonitor& told) const override {
    const TensorRtLog::Taken taken = TensorRtLog::take();
    TensorRtLog& log = *taken;
    const std::unique_ptr<IBuilder> builder = make_builder(log);
    // TensorRT 11 and TensorRT for RTX know strongly typed networks only; 10 has to be asked.
    const uint32_t flags = version_ >= 110000 || is_rtx_ ? 0u : 1u << 1;
    const std::unique_ptr<INetworkDefinition> network(builder->createNetworkV2(flags));
    const std::unique_ptr<IBuilderConfig> config(builder->createBuilderConfig());
    if (network == nullptr || config == nullptr) throw Error("NETWORK_FAILED", "TensorRT made no network: " + log.said() + ".");
    const std::unique_ptr<nvonnxparser::IParser> parser = parse(*network, request, log);
    add_profiles(*builder, *config, *network, request.profiles);
    set_targets(*config, request.targets, log);
    // TensorRT for RTX measures nothing: a cache has no effect on it, and makes it ask for the GPU.
    const std::unique_ptr<ITimingCache> cache = is_rtx_ ? nullptr : set_timing_cache(*config, request.timing_cache);
    Monitor monitor(told);
    config->setProgressMonitor(&monitor);
    const bool allocates_nothing = is_rtx_ && RtxAllocation::forbid(*config);
    std::unique_ptr<IHostMemory> engine(builder->buildSerializedNetwork(*network, *config));
    if (engine == nullptr && allocates_nothing && !told.is_cancelled()) {
      RtxAllocation::allow(*config);
      log.clear();
      engine.reset(builder->buildSerializedNetwork(*network, *config));
    }
    if (told.is_cancelled()) throw Error("ABORTED", "The build was aborted.");
    if (engine == nullptr) throw Error("NETWORK_FAILED", "TensorRT does not build the network: " + log.said() + ".");
    check_size(engine->size(), request.most_bytes);
    BuiltEngine built{to_bytes(*engine), {}};
    if (cache != nullptr) {
      const std::unique_ptr<IHostMemory> kept(cache->serialize());
      if (kept != nullptr) built.timing_cache = to_bytes(*kept);
    }
    return built;
  }

 private:
  std::unique_ptr<IBuilder> make_builder(TensorRtLog& log) const {
    std::unique_ptr<IBuilder> builder(static_cast<IBuilder*>(create_builder_(&log, version_)));
    if (builder == nullptr) throw Error("BACKEND_UNAVAILABLE", "TensorRT made no builder: " + log.said() + ".");
    return builder;
  }

  std::unique_ptr<nvonnxparser::IParser> parse(INetworkDefinition& network, const EngineRequest& request, TensorRtLog& log) const {
    std::unique_ptr<nvonnxparser::IParser> parser(static_cast<nvonnxparser::IParser*>(create_parser_(&network, &log, parser_version_)));
    if (parser == nullptr) throw Error("BACKEND_UNAVAILABLE", "TensorRT's parser did not start: " + log.said() + ".");
    const char* path = request.model_path.empty() ? nullptr : request.model_path.c_str();
    if (parser->parse(request.onnx.data(), request.onnx.size(), path) && network.getNbOutputs() > 0) return parser;
    std::string words;
    for (int k = 0; k < parser->getNbErrors() && k < 4; ++k) {
      const nvonnxparser::IParserError& error = *parser->getError(k);
      words += (words.empty() ? "" : "; ") + std::string(error.desc());
      if (error.node() >= 0) words += " (node " + std::to_string(error.node()) + ")";
    }
    throw Error("MODEL_CORRUPT", "TensorRT does not read the model: " + (words.empty() ? log.said() : words) + ".");
  }

  static void add_profiles(IBuilder& builder, IBuilderConfig& config, const INetworkDefinition& network,
                           const std::vector<Profile>& profiles) {
    for (const Profile& each : profiles) {
      IOptimizationProfile& profile = *builder.createOptimizationProfile();  // the builder's own
      for (const InputRange& range : each) {
        check_input(network, range);
        const char* input = range.input.c_str();
        const bool fits = profile.setDimensions(input, OptProfileSelector::kMIN, to_dims(range.smallest)) &&
                          profile.setDimensions(input, OptProfileSelector::kOPT, to_dims(range.usual)) &&
                          profile.setDimensions(input, OptProfileSelector::kMAX, to_dims(range.largest));
        if (!fits) throw invalid("Expected the sizes of \"" + range.input + "\" to ascend from smallest over usual to largest.");
      }
      if (!profile.isValid() || config.addOptimizationProfile(&profile) < 0)
        throw invalid("Expected a profile to have every input with sizes that change.");
    }
  }

  static void check_input(const INetworkDefinition& network, const InputRange& range) {
    for (int k = 0; k < network.getNbInputs(); ++k) {
      const ITensor& input = *network.getInput(k);
      if (range.input != input.getName()) continue;
      const size_t rank = static_cast<size_t>(input.getDimensions().nbDims);
      if (range.smallest.size() == rank && range.usual.size() == rank && range.largest.size() == rank) return;
      throw invalid("Expected " + std::to_string(rank) + " sizes for \"" + range.input + "\".");
    }
    throw Error("IO_MISMATCH", "The model has no input named \"" + range.input + "\".");
  }

  void set_targets(IBuilderConfig& config, const std::vector<int>& targets, const TensorRtLog& log) const {
    if (targets.empty()) return;
    if (!is_rtx_) throw invalid("Expected no targets: TensorRT builds for the GPU of this machine; TensorRT for RTX builds for others.");
    const size_t taken = static_cast<size_t>(RtxTargets::set(config, targets));
    if (taken == targets.size()) return;
    const std::string refused = "compute capability " + std::to_string(targets[taken] / 10) + "." + std::to_string(targets[taken] % 10);
    throw Error("UNSUPPORTED",
                "TensorRT for RTX " + version() + " does not build for " + refused + ": " + log.said() +
                    ". On such a GPU run the networks with TensorRT itself (libnvinfer), or with the engine \"onnxruntime\".");
  }

  static void check_size(uint64_t bytes, uint64_t most) {
    if (bytes > most)
      throw Error("MODEL_TOO_LARGE", "The engine has " + std::to_string(bytes) + " bytes; at most " + std::to_string(most) + " are taken.");
  }

  // One that does not fit this library is left out.
  static std::unique_ptr<ITimingCache> set_timing_cache(IBuilderConfig& config, const std::vector<uint8_t>& bytes) {
    std::unique_ptr<ITimingCache> cache(config.createTimingCache(bytes.empty() ? nullptr : bytes.data(), bytes.size()));
    if (cache == nullptr) cache.reset(config.createTimingCache(nullptr, 0));
    if (cache != nullptr && !config.setTimingCache(*cache, false)) cache.reset();
    return cache;
  }

  bool is_rtx_;
  int version_;
  int parser_version_ = 0;
  void* (*create_builder_)(void*, int32_t);
  void* (*create_parser_)(void*, void*, int);
};

}  // namespace

std::shared_ptr<const TensorRt> open_tensorrt(const std::string& library, const std::string& parser) {
  static std::mutex mutex;
  static auto* opened = new std::map<std::string, std::shared_ptr<const TensorRt> >;  // leaked on purpose
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = opened->find(library + '\n' + parser);
  if (known != opened->end()) return known->second;
  const TensorRtLibrary handle = open_tensorrt_library(library);
  open_builder_resources(library);
  return (*opened)[library + '\n' + parser] = std::make_shared<Library>(handle, open_library(parser));
}

}  // namespace sada

#endif
