// `Workspace`: the tensors of one run and the fused step over them.
#pragma once

#include <napi.h>

#include <memory>

#include "../tensors.h"

namespace sada::bind {

class Workspace : public Napi::ObjectWrap<Workspace> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Workspace(const Napi::CallbackInfo& info);
  ~Workspace() override;
  void Finalize(Napi::Env env) override;

  // Throws DISPOSED.
  std::shared_ptr<TensorSet> tensors() const;

 private:
  Napi::Value allocate(const Napi::CallbackInfo& info);
  void write(const Napi::CallbackInfo& info);
  void read(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);
  void release(Napi::Env env);

  std::shared_ptr<TensorSet> tensors_;
  int64_t bytes_ = 0;  // as reported to V8
};

}  // namespace sada::bind
