// Runs whose decisions the GPU makes: what JavaScript says of them, and their jobs.
#pragma once

#include <napi.h>

#include <memory>

#include "../sada_run.h"
#include "engine_thread.h"

namespace sada::bind {

std::shared_ptr<SadaRun> read_sada_run(const Napi::Value& value, TensorSet& tensors);
std::shared_ptr<PromiseJob> make_sada_job(EngineThread& thread, std::shared_ptr<TensorSet> tensors, SadaRun& run, int step);

// { done, abort } of a job that is handed to the engine's thread.
Napi::Object handle_of(Napi::Env env, EngineThread& thread, const std::shared_ptr<PromiseJob>& job);

}  // namespace sada::bind
