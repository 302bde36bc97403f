// `Workspace`: the tensors of one run and the fused step over them.
#pragma once

#include <napi.h>

#include <memory>

#include "../tensors.h"

namespace sada::bind {

// Elements up to which a step is made where it is called: below, a thread hop costs more than the arithmetic.
constexpr int64_t kMostInline = int64_t{1} << 19;

class Workspace : public Napi::ObjectWrap<Workspace> {
 public:
  static constexpr napi_type_tag kTag = {0x8e0f5f5c1d8a4d2b, 0xa94c36de0b7f6611};
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
  Napi::Value graphs(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);
  void make_planned(Napi::Env env, const Napi::Value& plan);
  void report(Napi::Env env, int64_t bytes);
  void release(Napi::Env env);

  std::shared_ptr<TensorSet> tensors_;
  int64_t bytes_ = 0;  // as reported to V8
};

}  // namespace sada::bind
