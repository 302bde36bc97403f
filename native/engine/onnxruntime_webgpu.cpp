// ONNX Runtime's WebGPU provider, which is part of its builds for Linux x64, Windows and macOS: networks on whatever GPU Vulkan, Direct3D
// 12 or Metal drive, between tensors in host memory.
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <set>

#include "../job_queue.h"
#include "onnxruntime_host_session.h"

namespace sada {
namespace ort {
namespace {

// A mutex that is had in the order in which it is asked for: a std::mutex may go to who has just let it go, again and again.
class Turn {
 public:
  void lock() {
    std::unique_lock<std::mutex> lock(mutex_);
    const uint64_t mine = next_++;
    changed_.wait(lock, [&] { return mine == now_; });
  }
  void unlock() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++now_;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0, now_ = 0;
};

// All sessions of a process share one device of the provider, which does not expect two threads at it: two runs at once end the process
// (https://github.com/microsoft/onnxruntime/issues/32561). Engines have threads of their own, so they take turns here.
Turn& turn() {
  static auto* shared = new Turn;
  return *shared;
}

class WebGpuSession;

// Those that are there, guarded by `turn`.
std::set<WebGpuSession*>& sessions() {
  static auto* all = new std::set<WebGpuSession*>;
  return *all;
}

class WebGpuSession : public HostSession {
 public:
  WebGpuSession(std::shared_ptr<Library> library, SessionHandle* session) : HostSession(std::move(library), session) {
    sessions().insert(this);
  }
  ~WebGpuSession() override {
    const std::lock_guard<Turn> lock(turn());
    sessions().erase(this);
    release();
  }
  void release() { session_.reset(); }
  void run(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Cancellation& cancellation, GpuStream* gpu) override {
    const std::lock_guard<Turn> lock(turn());
    HostSession::run(inputs, outputs, cancellation, gpu);
  }
};

// For ends that JavaScript does not see.
[[maybe_unused]] void stop_webgpu() {
  JobQueue::stop_all();
  release_webgpu_sessions();
}

class WebGpuLibrary : public EngineLibrary {
 public:
  explicit WebGpuLibrary(std::shared_ptr<Library> library) : library_(std::move(library)) {}

  std::string version() const override { return library_->version(); }
  std::unique_ptr<Cancellation> make_cancellation() override { return library_->make_cancellation(); }
  // Sessions are made in turn, too.
  std::unique_ptr<Session> load(const SessionOptions& options) override {
    const std::lock_guard<Turn> lock(turn());
    SessionHandle* session = library_->open(options, [this](SessionSettings* settings) { add_provider(settings); });
#ifndef _WIN32  // Where other threads have ended by then, maybe with the turn.
    // Registered once the provider has opened the driver, so it runs before the static destructors of both.
    static const bool registered = std::atexit(stop_webgpu) == 0;
    (void)registered;
#endif
    return std::make_unique<WebGpuSession>(library_, session);
  }

 private:
  void add_provider(SessionSettings* settings) const {
    // Where a machine has two GPUs, not the one that saves power.
    const char* const keys[] = {"powerPreference"};
    const char* const values[] = {"high-performance"};
    Status* status = library_->api.call(kSessionOptionsAppendExecutionProvider, settings, "WebGPU", static_cast<const char* const*>(keys),
                                        static_cast<const char* const*>(values), size_t{1});
    if (status == nullptr) return;
    const Owned<Status> owned = library_->own(status, kReleaseStatus);
    const std::string message = library_->api.call<const char*>(kGetErrorMessage, static_cast<const Status*>(status));
    // What comes before says where in its sources the library was.
    const size_t at = message.find("Failed to get a WebGPU"), from = at == std::string::npos ? 0 : at;
    throw Error("BACKEND_UNAVAILABLE", "ONNX Runtime " + version() +
                                           " has no GPU for WebGPU, which takes a driver for Vulkan, Direct3D 12 or Metal: " +
                                           message.substr(from, message.find_last_not_of("\n ") + 1 - from) + ".");
  }

  const std::shared_ptr<Library> library_;
};

}  // namespace
}  // namespace ort

void release_webgpu_sessions() {
  const std::lock_guard<ort::Turn> lock(ort::turn());
  for (ort::WebGpuSession* session : ort::sessions()) session->release();
}

std::shared_ptr<EngineLibrary> open_onnxruntime_webgpu(const std::string& path) {
  return std::make_shared<ort::WebGpuLibrary>(ort::open_library_at(path));
}

}  // namespace sada
