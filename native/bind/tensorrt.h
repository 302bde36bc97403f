// `TensorRtBuilder`: TensorRT's builder on a thread of its own.
#pragma once

#include <napi.h>

#include <memory>

#include "../engine/tensorrt.h"
#include "promise.h"

namespace sada::bind {

class TensorRtBuilder : public Napi::ObjectWrap<TensorRtBuilder> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit TensorRtBuilder(const Napi::CallbackInfo& info);
  ~TensorRtBuilder() override;

 private:
  Napi::Value build(const Napi::CallbackInfo& info);
  Napi::Value serves(const Napi::CallbackInfo& info);

  std::shared_ptr<const TensorRt> library_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace sada::bind
