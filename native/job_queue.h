// A thread that does jobs in order. It knows nothing of JavaScript: `bind/promise.h` carries results there.
//
// Every queue of the process is known to a registry, so that a process that exits in mid-run can stop them all before static
// destructors (ONNX Runtime's among them) pull the ground from under a running thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
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
  // On the queue's thread, after `run`, unless the queue is being stopped: hand the result over.
  virtual void finished(std::shared_ptr<Job> self) noexcept = 0;
};

class JobQueue {
 public:
  JobQueue() {
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

  void submit(std::shared_ptr<Job> job) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) throw Error("DISPOSED", "The engine has been disposed.");
    if (waiting_.size() >= kMostWaiting) throw Error("QUEUE_FULL", "1024 jobs are waiting for this engine; wait for some to end.");
    waiting_.push_back(std::move(job));
    if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
    wake_.notify_one();
  }

  // Asks what waits and runs to end; each job still finishes, in order.
  void cancel_all() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (running_) running_->cancel();
    for (const auto& job : waiting_) job->cancel();
  }

  // Cancels what runs, drops what waits, and joins the thread. Idempotent; not from the queue's own thread.
  void stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      if (running_) running_->cancel();
      wake_.notify_one();
    }
    std::lock_guard<std::mutex> joining(join_mutex_);
    if (thread_.joinable()) thread_.join();
    std::deque<std::shared_ptr<Job>> dropped;
    std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(waiting_);
  }

  // Stops every queue of the process: for process exit.
  static void stop_all() {
    std::lock_guard<std::mutex> lock(registry().mutex);
    for (JobQueue* queue : registry().queues) queue->stop();
  }

 private:
  static constexpr size_t kMostWaiting = 1024;
  struct Registry {
    std::mutex mutex;
    std::set<JobQueue*> queues;
  };
  // Leaked: it must outlive every static destructor.
  static Registry& registry() {
    static Registry* all = new Registry;
    return *all;
  }

  void loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      running_ = std::move(waiting_.front());
      waiting_.pop_front();
      std::shared_ptr<Job> job = running_;
      lock.unlock();
      job->run();
      lock.lock();
      running_.reset();
      const bool deliver = !stopping_;
      lock.unlock();
      if (deliver) job->finished(job);
      job.reset();
      lock.lock();
    }
  }

  std::mutex mutex_, join_mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::shared_ptr<Job> running_;
  std::thread thread_;
  bool stopping_ = false;
};

}  // namespace sada
