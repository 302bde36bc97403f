// The queue of jobs: order, bound, cancelling, and every way to stop it.
#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "../../native/job_queue.h"
#include "cases.h"

namespace cases {
namespace {

using sada::Job;
using sada::JobQueue;

// What became of a job, shared with the test that waits for it.
struct Log {
  std::mutex mutex;
  std::vector<int> ran, finished;
  std::atomic<int> cancelled{0};
  int count_finished() {
    const std::lock_guard<std::mutex> lock(mutex);
    return static_cast<int>(finished.size());
  }
  void wait_for(int count) {
    while (count_finished() < count) std::this_thread::yield();
  }
};

class LoggedJob : public Job {
 public:
  LoggedJob(Log& log, int id) : log_(log), id_(id) {}
  void run() noexcept override {
    const std::lock_guard<std::mutex> lock(log_.mutex);
    log_.ran.push_back(id_);
  }
  void cancel() noexcept override { log_.cancelled += 1; }
  void finished(std::shared_ptr<Job>) noexcept override {
    const std::lock_guard<std::mutex> lock(log_.mutex);
    log_.finished.push_back(id_);
  }

 private:
  Log& log_;
  int id_;
};

// Runs until it is cancelled.
class EndlessJob : public LoggedJob {
 public:
  using LoggedJob::LoggedJob;
  void run() noexcept override {
    started.set_value();
    while (!ended_) std::this_thread::yield();
  }
  void cancel() noexcept override {
    LoggedJob::cancel();
    ended_ = true;
  }
  std::promise<void> started;

 private:
  std::atomic<bool> ended_{false};
};

std::shared_ptr<EndlessJob> occupy(JobQueue& queue, Log& log) {
  auto job = std::make_shared<EndlessJob>(log, -1);
  queue.submit(job);
  job->started.get_future().wait();
  return job;
}

void check_order() {
  Log log;
  JobQueue queue;
  std::vector<int> wanted;
  for (int id = 0; id < 500; ++id) queue.submit(std::make_shared<LoggedJob>(log, id)), wanted.push_back(id);
  log.wait_for(500);
  queue.stop();
  expect(log.ran == wanted && log.finished == wanted, "out of order");
}

void check_bound() {
  Log log;
  JobQueue queue;
  occupy(queue, log);
  for (int id = 0; id < 1024; ++id) queue.submit(std::make_shared<LoggedJob>(log, id));
  expect(code_of([&] { queue.submit(std::make_shared<LoggedJob>(log, 1024)); }) == "QUEUE_FULL", "no bound");
  queue.submit(std::make_shared<LoggedJob>(log, 1024), JobQueue::Limit::kUnbounded);
  queue.cancel_all();
  log.wait_for(1026);
  expect(log.cancelled == 1026, "not all were cancelled");
}

void check_withdrawal() {
  Log log;
  JobQueue queue;
  const auto running = occupy(queue, log);
  const auto waiting = std::make_shared<LoggedJob>(log, 1);
  queue.submit(waiting);
  expect(!queue.withdraw(running.get()), "a running job was withdrawn");
  expect(queue.withdraw(waiting.get()) && !queue.withdraw(waiting.get()), "a waiting job was not withdrawn once");
  running->cancel();
  log.wait_for(1);
  queue.stop();
  expect(log.ran.empty(), "a withdrawn job ran");
}

void check_stop() {
  const int64_t before = sada::counters().jobs;
  Log log;
  JobQueue queue;
  occupy(queue, log);
  for (int id = 0; id < 10; ++id) queue.submit(std::make_shared<LoggedJob>(log, id));
  std::vector<std::thread> stoppers;
  for (int k = 0; k < 4; ++k) stoppers.emplace_back([&] { queue.stop(); });
  for (std::thread& stopper : stoppers) stopper.join();
  expect(log.finished.empty() && log.ran.empty(), "a dropped job was handed over");
  expect(code_of([&] { queue.submit(std::make_shared<LoggedJob>(log, 11)); }) == "DISPOSED", "a stopped queue took a job");
  expect(sada::counters().jobs == before, "jobs are left");
}

// Queues made, used and dropped on several threads while another stops all there are: what happens at exit in mid-run.
void check_stop_all() {
  std::vector<std::thread> threads;
  std::atomic<bool> over{false};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        Log log;
        JobQueue queue;
        for (int id = 0; id < 20; ++id) code_of([&] { queue.submit(std::make_shared<LoggedJob>(log, id)); });
        queue.cancel_all();
      }
      over = true;
    });
  }
  while (!over) JobQueue::stop_all(), std::this_thread::yield();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

void queue_cases() {
  test("jobs run and finish in order", check_order);
  test("at most 1024 jobs wait", check_bound);
  test("only waiting jobs are withdrawn", check_withdrawal);
  test("a stopped queue drops what waits, from four threads at once", check_stop);
  test("queues stopped from outside while they are used and dropped", check_stop_all);
  test("a queue that was never used stops", [] { JobQueue().stop(); });
}

}  // namespace cases
