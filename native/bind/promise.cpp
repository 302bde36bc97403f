#include "promise.h"

#include <new>
#include <string>

#include "../error.h"

namespace sada::bind {

Napi::Error to_js(Napi::Env env, const std::exception_ptr& failure) {
  std::string code = "INTERNAL", message = "An unknown error was thrown.";
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) { code = error.code(), message = error.what(); } catch (const std::bad_alloc&) {
    code = "OUT_OF_MEMORY", message = "Out of memory.";
  } catch (const std::exception& error) { message = error.what(); } catch (...) {
  }
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

Courier::Courier(Napi::Env env, OnBusy on_busy) : env_(env), on_busy_(std::move(on_busy)) {
  const napi_value name = Napi::String::New(env, "sada");
  napi_threadsafe_function channel = nullptr;
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle, &channel);
  if (status != napi_ok) throw Error("INTERNAL", "No thread-safe function could be made.");
  napi_unref_threadsafe_function(env, channel);
  channel_ = channel;
}

void Courier::expect() {
  if (expected_++ != 0) return;
  if (channel_ != nullptr) napi_ref_threadsafe_function(env_, channel_);
  on_busy_(true);
}

void Courier::deliver(std::shared_ptr<PromiseJob> job) noexcept {
  const napi_threadsafe_function channel = channel_;
  if (channel == nullptr) return;
  auto* carried = new (std::nothrow) std::shared_ptr<PromiseJob>(std::move(job));
  if (carried == nullptr) return;
  const napi_status status = napi_call_threadsafe_function(channel, carried, napi_tsfn_nonblocking);
  if (status == napi_ok) return;
  delete carried;
  // The environment is closing: the function is gone after this answer and must not be touched again.
  if (status == napi_closing) channel_ = nullptr;
}

void Courier::close() noexcept {
  const napi_threadsafe_function channel = channel_.exchange(nullptr);
  if (channel != nullptr) napi_release_threadsafe_function(channel, napi_tsfn_abort);
}

void Courier::settle(napi_env env, napi_value, void* courier, void* carried) {
  const std::unique_ptr<std::shared_ptr<PromiseJob>> job(static_cast<std::shared_ptr<PromiseJob>*>(carried));
  if (env == nullptr) return;  // the environment has ended: nobody waits any more
  auto* self = static_cast<Courier*>(courier);
  (*job)->settle(env);
  if (--self->expected_ != 0) return;
  if (self->channel_ != nullptr) napi_unref_threadsafe_function(env, self->channel_);
  self->on_busy_(false);
}

void PromiseJob::settle(Napi::Env env) noexcept {
  try {
    const Napi::HandleScope scope(env);
    if (!deferred_) return;
    try {
      if (failure_ != nullptr) std::rethrow_exception(failure_);
      deferred_->Resolve(result(env));
    } catch (const Napi::Error& error) { deferred_->Reject(error.Value()); } catch (...) {
      deferred_->Reject(to_js(env, std::current_exception()).Value());
    }
  } catch (...) {
    // The environment is being terminated and takes no more values: nobody waits, and nothing may be thrown into Node.
  }
}

Worker::Worker(Napi::Env env, OnBusy on_busy) : env_(env), courier_(env, std::move(on_busy)) {
  // Registered after the courier's own hook, so it runs before it: the thread has ended when the courier goes.
  napi_add_env_cleanup_hook(env, at_environment_end, this);
}

Worker::~Worker() {
  if (hooked_) napi_remove_env_cleanup_hook(env_, at_environment_end, this);
  stop();
}

Napi::Promise Worker::submit(const std::shared_ptr<PromiseJob>& job, JobQueue::Limit limit) {
  queue_.submit(job, limit);
  courier_.expect();
  return job->open(env_);
}

void Worker::cancel(const std::shared_ptr<PromiseJob>& job) {
  job->cancel();
  if (!queue_.withdraw(job.get())) return;
  // What it would do is the queue's thread's alone.
  job->abandon();
  courier_.deliver(job);
}

void Worker::stop() {
  queue_.stop();
  courier_.close();
}

void Worker::at_environment_end(void* self) {
  static_cast<Worker*>(self)->hooked_ = false;
  static_cast<Worker*>(self)->stop();
}

}  // namespace sada::bind
