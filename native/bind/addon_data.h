// What one environment (the main thread or a worker) owns of the addon. Nothing of it is shared with another.
#pragma once

#include <napi.h>

#include <memory>

#include "promise.h"

namespace sada::bind {

struct AddonData {
  Napi::FunctionReference workspace;

  // The thread of large steps, and of the GPUs that are looked for; started at the first of them.
  Worker& step_worker(Napi::Env env) {
    if (step_worker_ == nullptr) step_worker_ = std::make_unique<Worker>(env);
    return *step_worker_;
  }

 private:
  std::unique_ptr<Worker> step_worker_;
};

inline AddonData& addon_data(Napi::Env env) { return *env.GetInstanceData<AddonData>(); }

}  // namespace sada::bind
