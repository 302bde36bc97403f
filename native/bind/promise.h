// The one hand-over from a queue's thread to JavaScript: a job settles its promise on the environment's own thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>

#include "../error.h"
#include "../job_queue.h"

namespace sada::bind {

// A JavaScript error with a `code`, for whatever C++ threw.
Napi::Error to_js(Napi::Env env, const std::exception_ptr& failure);

// Runs the body of a function called from JavaScript: nothing but a Napi::Error leaves it.
template <typename Body>
auto guarded(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) { throw; } catch (...) {
    throw to_js(env, std::current_exception());
  }
}

class PromiseJob;

// Told, on the environment's thread, when the first job of a thread goes out and when the last has come back.
using OnBusy = std::function<void(bool busy)>;

// Carries the finished jobs of one thread to the environment. Keeps the process alive only while jobs are out.
class Courier {
 public:
  Courier(Napi::Env env, OnBusy on_busy);
  ~Courier() { close(); }
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  void expect();  // on the environment's thread, for each job submitted
  void deliver(std::shared_ptr<PromiseJob> job) noexcept;  // on any thread
  void close() noexcept;  // when that thread has ended

 private:
  static void settle(napi_env env, napi_value function, void* courier, void* job);
  napi_env env_;
  OnBusy on_busy_;
  std::atomic<napi_threadsafe_function> channel_{nullptr};
  int expected_ = 0;
};

// A job with a promise: `work` on the queue's thread, `result` back in JavaScript.
class PromiseJob : public Job {
 public:
  explicit PromiseJob(Courier& courier) : courier_(courier) {}

  Napi::Promise open(Napi::Env env) { return deferred_.emplace(env).Promise(); }  // once it has been taken
  void run() noexcept final {
    try {
      work();
    } catch (...) { failure_ = std::current_exception(); }
  }
  // Instead of `run`, which then never happens.
  void abandon() noexcept {
    try {
      throw Error("ABORTED", "The run was aborted.");
    } catch (...) { failure_ = std::current_exception(); }
  }
  void cancel() noexcept override {}
  void finished(std::shared_ptr<Job> self) noexcept final {
    std::shared_ptr<PromiseJob> job = std::static_pointer_cast<PromiseJob>(self);
    self.reset();  // C++17's cast copies: once delivered, this thread must hold nothing of it
    courier_.deliver(std::move(job));
  }
  void settle(Napi::Env env) noexcept;

 protected:
  virtual void work() = 0;
  virtual Napi::Value result(Napi::Env env) = 0;

 private:
  std::optional<Napi::Promise::Deferred> deferred_;
  Courier& courier_;
  std::exception_ptr failure_;
};

// A queue with its courier, stopped in time when the environment ends.
class Worker {
 public:
  explicit Worker(
      Napi::Env env, OnBusy on_busy = [](bool) {});
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Courier& courier() { return courier_; }
  Napi::Promise submit(const std::shared_ptr<PromiseJob>& job, JobQueue::Limit limit = JobQueue::Limit::kBounded);
  // Cancels a job. One that still waits is settled at once, whatever runs before it.
  void cancel(const std::shared_ptr<PromiseJob>& job);
  void cancel_all() { queue_.cancel_all(); }
  bool started() { return queue_.started(); }
  void stop();

 private:
  static void at_environment_end(void* self);
  napi_env env_;
  Courier courier_;
  JobQueue queue_;
  bool hooked_ = true;
};

}  // namespace sada::bind
