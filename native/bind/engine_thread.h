#pragma once

#include <memory>

#include "../counters.h"
#include "../pass.h"
#include "promise.h"

namespace sada::bind {

// The engine's thread and what lives on it: sessions are made, run and released there. Its `Engine` owns it alone, and is kept from
// the garbage collector while jobs are out; so jobs may refer to it.
class EngineThread {
 public:
  EngineThread(Napi::Env env, std::shared_ptr<EngineLibrary> opened, OnBusy on_busy)
      : library(std::move(opened)), worker(env, std::move(on_busy)) {
    counters().engines += 1;
  }
  ~EngineThread() { close(); }
  // On the environment's thread.
  void close() {
    worker.stop();
    if (open_) counters().engines -= 1;
    open_ = false;
  }

  std::shared_ptr<EngineLibrary> library;  // null once the engine has been disposed of
  Sessions sessions;  // the thread's own
  Worker worker;  // last: its thread ends before the sessions go

 private:
  bool open_ = true;
};

}  // namespace sada::bind
