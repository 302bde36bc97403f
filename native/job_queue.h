// A thread that does jobs in order. It knows nothing of JavaScript: `bind/promise.h` carries results there.
//
// Every queue of the process is known to a registry, so that a process that exits in mid-run can stop them all before static
// destructors (ONNX Runtime's among them) pull the ground from under a running thread. JavaScript does so in time (ts/native/load.ts);
// the handler here is for ends that JavaScript does not see, and too late for statics that were made after it was registered.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <thread>

#include "counters.h"
#include "error.h"

namespace sada {

class Job {
 public:
  Job() { counters().jobs += 1; }
  virtual ~Job() { counters().jobs -= 1; }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  // On the queue's thread; throws nothing.
  virtual void run() noexcept = 0;
  // From any thread, while the job waits or runs: end at the next opportunity.
  virtual void cancel() noexcept = 0;
  // On the queue's thread, after `run`, unless the queue is being stopped: hand the result over. The queue keeps nothing of the job.
  virtual void finished(std::shared_ptr<Job> self) noexcept = 0;
};

class JobQueue {
 public:
  JobQueue() {
    stop_all_at_exit();
    std::lock_guard<std::mutex> lock(registry().mutex);
    registry().queues.insert(this);
  }
  ~JobQueue() {
    stop();
    std::lock_guard<std::mutex> lock(registry().mutex);
    registry().queues.erase(this);
  }
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  enum class Limit { kBounded, kUnbounded };

  // Throws DISPOSED, QUEUE_FULL where bounded, or OUT_OF_MEMORY where the system starts no thread. Where it throws, the job was not taken.
  void submit(std::shared_ptr<Job> job, Limit limit = Limit::kBounded) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) throw Error("DISPOSED", "The engine has been disposed.");
    if (limit == Limit::kBounded && waiting_.size() >= kMostWaiting)
      throw Error("QUEUE_FULL", "1024 jobs are waiting already; wait for some to end.");
    if (!started_) start();
    waiting_.push_back(std::move(job));
    wake_.notify_one();
  }

  // Whether a job was ever taken.
  bool started() {
    std::lock_guard<std::mutex> lock(mutex_);
    return started_;
  }

  // Takes a job back that waits; false where it does not (any more).
  bool withdraw(const Job* job) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto at = std::find_if(waiting_.begin(), waiting_.end(), [job](const auto& each) { return each.get() == job; });
    if (at == waiting_.end()) return false;
    waiting_.erase(at);
    return true;
  }

  // Asks what waits and runs to end; each job still finishes, in order.
  void cancel_all() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (running_) running_->cancel();
    for (const auto& job : waiting_) job->cancel();
  }

  // Cancels what runs, drops what waits, and joins the thread. Idempotent; not from the queue's own thread.
  void stop() {
    ask_to_stop();
    std::lock_guard<std::mutex> joining(join_mutex_);
    if (thread_.joinable()) thread_.join();
    std::deque<std::shared_ptr<Job>> dropped;
    std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(waiting_);
  }

  // Stops every queue of the process. All are asked before one is waited for, which may itself wait for what another runs.
  static void stop_all() {
    std::lock_guard<std::mutex> lock(registry().mutex);
    for (JobQueue* queue : registry().queues) queue->ask_to_stop();
    for (JobQueue* queue : registry().queues) queue->stop();
  }

 private:
  static constexpr size_t kMostWaiting = 1024;
  struct Registry {
    std::mutex mutex;
    std::set<JobQueue*> queues;
  };
  static void stop_all_at_exit() {
    static const bool registered = std::atexit(stop_all) == 0;
    (void)registered;
  }
  // Leaked: it must outlive every static destructor.
  static Registry& registry() {
    static Registry* all = new Registry;
    return *all;
  }

  void ask_to_stop() {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    if (running_) running_->cancel();
    wake_.notify_one();
  }

  void start() {
    try {
      thread_ = std::thread([this] { loop(); });
      started_ = true;
    } catch (const std::system_error& error) {
      throw Error("OUT_OF_MEMORY",
                  std::string("The system starts no more threads, by a limit of the user or of the container: ") + error.what() + ".");
    }
  }

  void loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      running_ = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      running_->run();
      lock.lock();
      std::shared_ptr<Job> job = std::move(running_);
      const bool deliver = !stopping_;
      lock.unlock();
      Job& done = *job;
      if (deliver) done.finished(std::move(job));
      job.reset();
      lock.lock();
    }
  }

  std::mutex mutex_, join_mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::shared_ptr<Job> running_;
  std::thread thread_;
  bool started_ = false, stopping_ = false;
};

}  // namespace sada
