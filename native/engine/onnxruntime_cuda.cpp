// ONNX Runtime's CUDA provider: sessions that compute on a stream of ours, between tensors where the workspace has them.
#include "element_type.h"
#include "gpu_memory.h"
#include "onnxruntime_library.h"

namespace sada {
namespace ort {
namespace {

// One engine of the JavaScript side: its stream, which all of its sessions compute on, and the GPU's memory as ONNX Runtime names it.
class CudaLibrary : public EngineLibrary, public std::enable_shared_from_this<CudaLibrary> {
 public:
  CudaLibrary(std::shared_ptr<Library> opened, const GpuLibrary& gpu_library, int32_t gpu_index) : library(std::move(opened)), gpu_index_(gpu_index), gpu_library_(gpu_library) {}
  ~CudaLibrary() override {
    if (memory_ != nullptr) library->api.call<void>(kReleaseMemoryInfo, memory_);
  }

  std::string version() const override { return library->version(); }
  std::unique_ptr<Session> load(const SessionOptions& options) override;
  std::unique_ptr<Cancellation> make_cancellation() override { return library->make_cancellation(); }

  GpuStream& gpu() { return *gpu_; }
  int32_t gpu_index() const { return gpu_index_; }
  const MemoryInfo* memory() const { return memory_; }

  const std::shared_ptr<Library> library;

 private:
  void start();
  void add_provider(SessionSettings* settings) const;

  const int32_t gpu_index_;
  const GpuLibrary& gpu_library_;
  std::unique_ptr<GpuStream> gpu_;  // of the sessions, and of scratch memory
  MemoryInfo* memory_ = nullptr;
};

class CudaSession : public OrtSession {
 public:
  CudaSession(std::shared_ptr<CudaLibrary> cuda, SessionHandle* session) : OrtSession(cuda->library, session), cuda_(std::move(cuda)) {}
  bool is_on_gpu() const override { return true; }

  void run(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Cancellation& cancellation, GpuStream* gpu) override {
    if (gpu->index() != cuda_->gpu_index()) throw invalid("Expected a workspace on GPU " + std::to_string(cuda_->gpu_index()) + ", where the engine is.");
    check_bound(inputs, outputs);
    IoBinding* made = nullptr;
    library_->check(library_->api.call(kCreateIoBinding, session_.get(), &made), "INTERNAL", "CreateIoBinding");
    const Owned<IoBinding> binding = library_->own(made, kReleaseIoBinding);
    std::vector<Bound> bound;
    for (const Binding& input : inputs) {
      bound.push_back(bind(input, type_of(input_types_, input, "input"), *gpu, true));
      library_->check(library_->api.call(kBindInput, made, input.name.c_str(), static_cast<const Value*>(bound.back().value.get())), "IO_MISMATCH", input.name);
    }
    const size_t first_output = bound.size();
    for (const Binding& output : outputs) {
      bound.push_back(bind(output, type_of(output_types_, output, "output"), *gpu, false));
      library_->check(library_->api.call(kBindOutput, made, output.name.c_str(), static_cast<const Value*>(bound.back().value.get())), "IO_MISMATCH", output.name);
    }
    // The sessions' stream is another than the workspace's: what is bound has to be there, and what is made to be done, when either goes
    // on. The provider waits for its stream at the end of a run.
    gpu->synchronize();
    Status* status = library_->api.call(kRunWithBinding, session_.get(), static_cast<OrtCancellation&>(cancellation).options(), static_cast<const IoBinding*>(made));
    if (status != nullptr) fail(status, cancellation);
    cuda_->gpu().synchronize();
    for (size_t k = 0; k < outputs.size(); ++k) read_back(outputs[k], bound[first_output + k], *gpu);
  }

 private:
  // A value over the workspace's own memory, over a copy in the model's type on the GPU, or (whole numbers: they are few) on the host.
  struct Bound {
    int type;
    void* memory;
    std::vector<uint8_t> host;
    Owned<Value> value;
  };

  static bool is_half(int type) { return type == kFloat16 || type == kBfloat16; }
  static Storage storage_of(int type) { return type == kFloat16 ? Storage::kFloat16 : Storage::kBfloat16; }

  Bound bind(const Binding& binding, int type, GpuStream& gpu, bool fill) {
    Bound bound{type, binding.data, {}, {nullptr, [](Value*) {}}};
    const int64_t count = count_of(binding), bytes = count * static_cast<int64_t>(element_size(type, binding.name));
    const bool is_on_host = type != kFloat && !is_half(type);
    if (is_on_host) {
      bound.host.resize(static_cast<size_t>(bytes));
      bound.memory = bound.host.data();
      if (fill) {
        std::vector<float> floats(static_cast<size_t>(count));
        gpu.download(floats.data(), binding.data, count * 4);
        floats_to_elements(type, floats.data(), bound.host.data(), count);
      }
    } else if (type != kFloat) {
      auto& memory = scratch_[binding.name];
      if (memory == nullptr) memory = std::make_unique<GpuMemory>(cuda_->gpu());
      bound.memory = memory->reserve(bytes);
      if (fill) gpu.convert(bound.memory, storage_of(type), binding.data, Storage::kFloat32, count);
    }
    bound.value = value_over(binding, type, bound.memory, is_on_host ? library_->cpu_memory : cuda_->memory());
    return bound;
  }

  static void read_back(const Binding& output, const Bound& bound, GpuStream& gpu) {
    const int64_t count = count_of(output);
    if (bound.type == kFloat) return;
    if (is_half(bound.type)) return gpu.convert(output.data, Storage::kFloat32, bound.memory, storage_of(bound.type), count);
    std::vector<float> floats(static_cast<size_t>(count));
    elements_to_floats(bound.type, bound.memory, floats.data(), count);
    gpu.upload(output.data, floats.data(), count * 4);
  }

  std::shared_ptr<CudaLibrary> cuda_;
  std::map<std::string, std::unique_ptr<GpuMemory>> scratch_;
};

void CudaLibrary::start() {
  if (gpu_ == nullptr) gpu_ = std::make_unique<GpuStream>(gpu_library_, gpu_index_);
  constexpr int kArena = 1, kDefault = 0;
  if (memory_ == nullptr) library->check(library->api.call(kCreateMemoryInfo, "Cuda", kArena, gpu_index_, kDefault, &memory_), "BACKEND_UNAVAILABLE", "ONNX Runtime does not know the GPU's memory");
}

void CudaLibrary::add_provider(SessionSettings* settings) const {
  CudaOptions* made = nullptr;
  library->check(library->api.call(kCreateCUDAProviderOptions, &made), "BACKEND_UNAVAILABLE", "ONNX Runtime has no CUDA provider");
  const Owned<CudaOptions> options = library->own(made, kReleaseCUDAProviderOptions);
  const std::string index = std::to_string(gpu_index_);
  // Memory in the sizes that are asked for, not in powers of two: sessions of large networks share a GPU with the workspaces.
  const char* keys[] = {"device_id", "arena_extend_strategy"};
  const char* values[] = {index.c_str(), "kSameAsRequested"};
  library->check(library->api.call(kUpdateCUDAProviderOptions, made, static_cast<const char* const*>(keys), static_cast<const char* const*>(values), size_t{2}), "BACKEND_UNAVAILABLE",
                 "ONNX Runtime's CUDA provider refuses its options");
  library->check(library->api.call(kUpdateCUDAProviderOptionsWithValue, made, "user_compute_stream", gpu_->stream()), "BACKEND_UNAVAILABLE", "ONNX Runtime's CUDA provider takes no stream");
  library->check(library->api.call(kSessionOptionsAppendExecutionProvider_CUDA_V2, settings, static_cast<const CudaOptions*>(made)), "BACKEND_UNAVAILABLE",
                 "ONNX Runtime " + version() + " has no CUDA provider that works here");
}

std::unique_ptr<Session> CudaLibrary::load(const SessionOptions& options) {
  start();
  return std::make_unique<CudaSession>(shared_from_this(), library->open(options, [this](SessionSettings* settings) { add_provider(settings); }));
}

}  // namespace
}  // namespace ort

std::shared_ptr<EngineLibrary> open_onnxruntime_on_gpu(const std::string& path, const std::string& gpu_library, int32_t gpu_index) {
  return std::make_shared<ort::CudaLibrary>(ort::open_library_at(path), GpuLibrary::open(gpu_library), gpu_index);
}

}  // namespace sada
