// What ONNX Runtime's sessions on the CPU and on a GPU share: the opened library, and what a session says of itself.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>

#include "../error.h"
#include "engine.h"
#include "onnxruntime_api.h"

namespace sada::ort {

// Owns an object of the C API.
template <typename T>
using Owned = std::unique_ptr<T, std::function<void(T*)>>;

class Library : public EngineLibrary, public std::enable_shared_from_this<Library> {
 public:
  Library(const void* const* table, std::string version);

  std::string version() const override { return version_; }
  std::unique_ptr<Session> load(const SessionOptions& options) override;
  // `configure` adds to the settings before the session is made. Throws MODEL_NOT_FOUND, MODEL_CORRUPT, UNSUPPORTED, OUT_OF_MEMORY,
  // BACKEND_UNAVAILABLE and what it throws.
  SessionHandle* open(const SessionOptions& options, const std::function<void(SessionSettings*)>& configure) const;
  std::unique_ptr<Cancellation> make_cancellation() override;

  // Throws `code` with the library's own words where `status` is a failure; OUT_OF_MEMORY where the system has no more for it.
  void check(Status* status, const char* code, const std::string& what) const;

  template <typename T>
  Owned<T> own(T* object, Slot release) const {
    return Owned<T>(object, [this, release](T* each) {
      if (each != nullptr) api.call<void>(release, each);
    });
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

// A session and its inputs and outputs.
class OrtSession : public Session {
 public:
  OrtSession(std::shared_ptr<Library> library, SessionHandle* session);
  ~OrtSession() override;
  const SessionInfo& info() const override { return info_; }

 protected:
  using Types = std::map<std::string, int>;
  // The type of a tensor that is bound. Throws IO_MISMATCH where there is none of that name.
  static int type_of(const Types& types, const Binding& binding, const char* side);
  // Every input is bound, nothing is bound twice.
  void check_bound(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs) const;
  // A value over memory that is given. Throws IO_MISMATCH.
  Owned<Value> value_over(const Binding& binding, int type, void* data, const MemoryInfo* memory) const;
  // Throws what a run that failed with `status` is.
  void fail(Status* status, const Cancellation& cancellation) const;

  std::shared_ptr<Library> library_;
  Owned<SessionHandle> session_;
  SessionInfo info_;
  Types input_types_, output_types_;

 private:
  void describe(std::vector<TensorInfo>& infos, Types& types, Slot count_slot, Slot name_slot, Slot type_slot);
  int describe_type(TensorInfo& info, size_t k, Slot type_slot);
};

// Opened once per process and path, and never closed. Throws BACKEND_UNAVAILABLE.
std::shared_ptr<Library> open_library_at(const std::string& path);

}  // namespace sada::ort
