// ONNX Runtime's CUDA provider: sessions that compute on a stream of ours, between tensors where the workspace has them.
#include <algorithm>
#include <cstring>
#include <new>

#include "element_type.h"
#include "gpu_memory.h"
#include "kept_model.h"
#include "onnxruntime_library.h"

namespace sada {
namespace ort {
namespace {

// One engine of the JavaScript side: its stream, which all of its sessions compute on, and the GPU's memory as ONNX Runtime names it.
class CudaLibrary : public EngineLibrary, public std::enable_shared_from_this<CudaLibrary> {
 public:
  CudaLibrary(std::shared_ptr<Library> opened, const GpuLibrary& gpu_library, int32_t gpu_index)
      : library(std::move(opened)), gpu_index_(gpu_index), gpu_library_(gpu_library) {}
  ~CudaLibrary() override {
    if (memory_ != nullptr) library->api.call<void>(kReleaseMemoryInfo, memory_);
  }

  std::string version() const override { return library->version(); }
  std::unique_ptr<Session> load(const SessionOptions& options) override;
  std::unique_ptr<Cancellation> make_cancellation() override { return library->make_cancellation(); }

  SessionHandle* open(const SessionOptions& options) const {
    return library->open(options, [this](SessionSettings* settings) { add_provider(settings); });
  }

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

// The provider plans a convolution when it sees another size than the time before, for milliseconds each: a batch whose members skip steps
// by themselves would spend most of its time on that. So a network that convolves gets a session for each number of rows, of few: others
// are rounded up, the rows in excess repeat the first ones.
class Sizes {
 public:
  Sizes(const CudaLibrary& cuda, const SessionOptions& options) : cuda_(cuda), model_(options) {}

  // 1, 2, 3, 4, 6, 8, 12, …: at most half as many again.
  static int64_t round_up(int64_t rows) {
    int64_t size = 1;
    while (size < rows && !(size >= 2 && rows <= size / 2 * 3)) size *= 2;
    return rows <= size ? size : size / 2 * 3;
  }

  static bool is_round(int64_t rows) { return rows > 0 && round_up(rows) == rows; }

  // `first`, which was made with the model, serves the first number of rows that comes; and those for which there is no memory, or
  // whose weights' files have been written to since.
  SessionHandle* session_for(int64_t rows, SessionHandle* first) {
    if (first_rows_ == 0) first_rows_ = rows;
    if (rows == first_rows_) return first;
    const auto [at, is_new] = sessions_.try_emplace(rows, nullptr, [](SessionHandle*) {});
    if (is_new && model_.is_unchanged()) {
      try {
        at->second = cuda_.library->own(cuda_.open(model_.options()), kReleaseSession);
      } catch (const Error&) {
      } catch (const std::bad_alloc&) {}
    }
    return at->second != nullptr ? at->second.get() : first;
  }

 private:
  const CudaLibrary& cuda_;
  const KeptModel model_;
  int64_t first_rows_ = 0;
  std::map<int64_t, Owned<SessionHandle>> sessions_;
};

class CudaSession : public OrtSession {
 public:
  CudaSession(std::shared_ptr<CudaLibrary> cuda, SessionHandle* session, const SessionOptions& options)
      : OrtSession(cuda->library, session), cuda_(std::move(cuda)) {
    if (options.convolves) sizes_ = std::make_unique<Sizes>(*cuda_, options);
  }
  bool is_on_gpu() const override { return true; }

  void run(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Cancellation& cancellation, GpuStream* gpu) override {
    if (gpu->index() != cuda_->gpu_index())
      throw invalid("Expected a workspace on GPU " + std::to_string(cuda_->gpu_index()) + ", where the engine is.");
    check_bound(inputs, outputs);
    const Rows rows = rows_of(inputs, outputs);
    SessionHandle* session = Sizes::is_round(rows.made) ? sizes_->session_for(rows.made, session_.get()) : session_.get();
    IoBinding* made = nullptr;
    library_->check(library_->api.call(kCreateIoBinding, session, &made), "INTERNAL", "CreateIoBinding");
    const Owned<IoBinding> binding = library_->own(made, kReleaseIoBinding);
    std::vector<Bound> bound;
    for (const Binding& input : inputs) {
      bound.push_back(bind(input, type_of(input_types_, input, "input"), has_rows(info_.inputs, input) ? rows : Rows{}, *gpu, true));
      library_->check(library_->api.call(kBindInput, made, input.name.c_str(), static_cast<const Value*>(bound.back().value.get())),
                      "IO_MISMATCH", input.name);
    }
    const size_t first_output = bound.size();
    for (const Binding& output : outputs) {
      bound.push_back(bind(output, type_of(output_types_, output, "output"), has_rows(info_.outputs, output) ? rows : Rows{}, *gpu, false));
      library_->check(library_->api.call(kBindOutput, made, output.name.c_str(), static_cast<const Value*>(bound.back().value.get())),
                      "IO_MISMATCH", output.name);
    }
    // The sessions' stream is another than the workspace's: what is bound has to be there, and what is made to be done, when either goes
    // on. The provider waits for its stream at the end of a run.
    gpu->synchronize();
    Status* status = library_->api.call(kRunWithBinding, session, static_cast<OrtCancellation&>(cancellation).options(),
                                        static_cast<const IoBinding*>(made));
    Owned<Status> failed = library_->own(status, kReleaseStatus);
    // Also where the run was cut short: what it has enqueued by then uses memory that the workspace's next job takes.
    cuda_->gpu().synchronize();
    if (status != nullptr) fail(failed.release(), cancellation);
    for (size_t k = 0; k < outputs.size(); ++k) read_back(outputs[k], bound[first_output + k], *gpu);
  }

 private:
  // Rows of a call as they are given, and as the network is run with them.
  struct Rows {
    int64_t given = 0, made = 0;
  };

  // A value over the workspace's own memory, over a copy on the GPU (in the model's type, or with more rows), or (whole numbers: they are
  // few) on the host.
  struct Bound {
    int type;
    void* memory;
    std::vector<uint8_t> host;
    Owned<Value> value;
  };

  // By the name of its first dimension.
  const std::string& rows_symbol() const {
    static const std::string none;
    return info_.outputs.empty() || info_.outputs[0].symbols.empty() ? none : info_.outputs[0].symbols[0];
  }

  static const TensorInfo* find(const std::vector<TensorInfo>& infos, const Binding& binding) {
    const auto info = std::find_if(infos.begin(), infos.end(), [&](const TensorInfo& each) { return each.name == binding.name; });
    return info == infos.end() || info->dims.empty() ? nullptr : &*info;
  }

  bool has_rows(const std::vector<TensorInfo>& infos, const Binding& binding) const {
    const TensorInfo* info = find(infos, binding);
    return info != nullptr && !info->symbols[0].empty() && info->symbols[0] == rows_symbol();
  }

  // Whether it comes with as many rows as a tensor of rows, under another name or none.
  bool may_have_rows(const std::vector<TensorInfo>& infos, const Binding& binding, int64_t rows) const {
    const TensorInfo* info = find(infos, binding);
    return info != nullptr && info->dims[0] < 0 && !has_rows(infos, binding) && !binding.dims.empty() && binding.dims[0] == rows;
  }

  // Networks that do not name all of their rows alike are run as they are called.
  Rows rows_of(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs) const {
    if (sizes_ == nullptr) return {};
    const auto of = std::find_if(outputs.begin(), outputs.end(), [&](const Binding& output) {
      return has_rows(info_.outputs, output) && !output.dims.empty() && output.dims[0] > 0;
    });
    if (of == outputs.end()) return {};
    const int64_t rows = of->dims[0];
    const auto may = [&](const std::vector<TensorInfo>& infos) {
      return [&infos, rows, this](const Binding& binding) { return may_have_rows(infos, binding, rows); };
    };
    const bool is_doubtful =
        std::any_of(inputs.begin(), inputs.end(), may(info_.inputs)) || std::any_of(outputs.begin(), outputs.end(), may(info_.outputs));
    return {rows, is_doubtful ? rows : Sizes::round_up(rows)};
  }

  Bound bind(const Binding& given, int type, Rows rows, GpuStream& gpu, bool fill) {
    Binding binding = given;
    const bool is_padded = rows.made > rows.given && !binding.dims.empty() && binding.dims[0] == rows.given;
    if (is_padded) binding.dims[0] = rows.made;
    Bound bound{type, binding.data, {}, {nullptr, [](Value*) {}}};
    const int64_t count = count_of(given.dims), size = static_cast<int64_t>(element_size(type, binding.name));
    const int64_t bytes = count * size, bytes_made = count_of(binding.dims) * size;
    const bool is_on_host = type != kFloat && !is_half(type);
    if (is_on_host) {
      bound.host.resize(static_cast<size_t>(bytes_made));
      bound.memory = bound.host.data();
      if (fill) {
        std::vector<float> floats(static_cast<size_t>(count));
        gpu.download(floats.data(), binding.data, count * 4);
        floats_to_elements(type, floats.data(), bound.host.data(), count);
        std::memmove(bound.host.data() + bytes, bound.host.data(), static_cast<size_t>(bytes_made - bytes));
      }
    } else if (type != kFloat || is_padded) {
      auto& memory = scratch_[binding.name];
      if (memory == nullptr) memory = std::make_unique<GpuMemory>(cuda_->gpu());
      bound.memory = memory->reserve(bytes_made);
      if (fill) {
        gpu.convert(bound.memory, storage_of(type), binding.data, Storage::kFloat32, count);
        gpu.copy(static_cast<uint8_t*>(bound.memory) + bytes, bound.memory, bytes_made - bytes);
      }
    }
    bound.value = value_over(binding, type, bound.memory, is_on_host ? library_->cpu_memory : cuda_->memory());
    return bound;
  }

  static void read_back(const Binding& output, const Bound& bound, GpuStream& gpu) {
    const int64_t count = count_of(output.dims);
    if (bound.memory == output.data) return;
    if (bound.host.empty()) return gpu.convert(output.data, Storage::kFloat32, bound.memory, storage_of(bound.type), count);
    std::vector<float> floats(static_cast<size_t>(count));
    elements_to_floats(bound.type, bound.memory, floats.data(), count);
    gpu.upload(output.data, floats.data(), count * 4);
  }

  std::shared_ptr<CudaLibrary> cuda_;
  std::unique_ptr<Sizes> sizes_;  // of networks that convolve
  std::map<std::string, std::unique_ptr<GpuMemory>> scratch_;
};

void CudaLibrary::start() {
  if (gpu_ == nullptr) gpu_ = std::make_unique<GpuStream>(gpu_library_, gpu_index_);
  gpu_->synchronize();  // a GPU that was lost says so here; the provider would be one that does not start
  constexpr int kArena = 1, kDefault = 0;
  if (memory_ == nullptr)
    library->check(library->api.call(kCreateMemoryInfo, "Cuda", kArena, gpu_index_, kDefault, &memory_), "BACKEND_UNAVAILABLE",
                   "ONNX Runtime does not know the GPU's memory");
}

void CudaLibrary::add_provider(SessionSettings* settings) const {
  CudaOptions* made = nullptr;
  library->check(library->api.call(kCreateCUDAProviderOptions, &made), "BACKEND_UNAVAILABLE", "ONNX Runtime has no CUDA provider");
  const Owned<CudaOptions> options = library->own(made, kReleaseCUDAProviderOptions);
  const std::string index = std::to_string(gpu_index_);
  // Memory in the sizes that are asked for, not in powers of two: sessions of large networks share a GPU with the workspaces.
  const char* keys[] = {"device_id", "arena_extend_strategy"};
  const char* values[] = {index.c_str(), "kSameAsRequested"};
  library->check(library->api.call(kUpdateCUDAProviderOptions, made, static_cast<const char* const*>(keys),
                                   static_cast<const char* const*>(values), size_t{2}),
                 "BACKEND_UNAVAILABLE", "ONNX Runtime's CUDA provider refuses its options");
  library->check(library->api.call(kUpdateCUDAProviderOptionsWithValue, made, "user_compute_stream", gpu_->stream()), "BACKEND_UNAVAILABLE",
                 "ONNX Runtime's CUDA provider takes no stream");
  library->check(library->api.call(kSessionOptionsAppendExecutionProvider_CUDA_V2, settings, static_cast<const CudaOptions*>(made)),
                 "BACKEND_UNAVAILABLE", "ONNX Runtime " + version() + " has no CUDA provider that works here");
}

std::unique_ptr<Session> CudaLibrary::load(const SessionOptions& options) {
  start();
  return std::make_unique<CudaSession>(shared_from_this(), open(options), options);
}

}  // namespace
}  // namespace ort

std::shared_ptr<EngineLibrary> open_onnxruntime_on_gpu(const std::string& path, const std::string& gpu_library, int32_t gpu_index) {
  return std::make_shared<ort::CudaLibrary>(ort::open_library_at(path), GpuLibrary::open(gpu_library), gpu_index);
}

}  // namespace sada
