// `Engine`: a library that runs networks, on a thread of its own.
#pragma once

#include <napi.h>

#include <memory>

#include "../tensors.h"

namespace sada::bind {

class EngineThread;

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override;

 private:
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value sample(const Napi::CallbackInfo& info);
  Napi::Value runtime_cache(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  Napi::Promise close();
  Napi::Promise close_unused(Napi::Env env);
  EngineThread& open() const;
  static std::shared_ptr<TensorSet> tensors_of(const Napi::Value& value);

  std::unique_ptr<EngineThread> thread_;
  Napi::Reference<Napi::Promise> disposal_;
};

}  // namespace sada::bind
