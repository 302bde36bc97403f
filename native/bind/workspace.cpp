#include "workspace.h"

#include <cstring>

#include "addon_data.h"
#include "read.h"

namespace sada::bind {
namespace {

constexpr int64_t kMostFloats = int64_t{1} << 40;

Napi::Float64Array to_array(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(double));
  return array;
}

std::vector<double> make_steps(const TensorSet& tensors, const std::vector<StepRequest>& members) {
  if (tensors.gpu() != nullptr) return tensors.gpu()->step(members);
  size_t count = 0;
  for (const StepRequest& member : members) count += static_cast<size_t>(member.sums);
  std::vector<double> sums(count);
  double* at = sums.data();
  for (const StepRequest& member : members) {
    cpu().step(member, at);
    at += member.sums;
  }
  return sums;
}

std::shared_ptr<GpuStream> open_stream(const Napi::Value& gpu) {
  if (!gpu.IsObject()) throw invalid("Expected \"gpu\" to be an object.");
  const Napi::Object object = gpu.As<Napi::Object>();
  const std::string library = read_string(object, "library");
  return std::make_shared<GpuStream>(GpuLibrary::open(library), static_cast<int32_t>(read_integer(object, "index", 0, 1 << 20)));
}

class StepJob : public PromiseJob {
 public:
  StepJob(Courier& courier, std::shared_ptr<TensorSet> tensors, std::vector<StepRequest> members)
      : PromiseJob(courier), tensors_(std::move(tensors)), members_(std::move(members)) {}

 protected:
  void work() override { sums_ = make_steps(*tensors_, members_); }
  Napi::Value result(Napi::Env env) override { return to_array(env, sums_); }

 private:
  std::shared_ptr<TensorSet> tensors_;  // keeps the memory of a workspace disposed meanwhile
  std::vector<StepRequest> members_;
  std::vector<double> sums_;
};

}  // namespace

Napi::Function Workspace::define(Napi::Env env) {
  return DefineClass(env, "Workspace",
                     {InstanceMethod<&Workspace::allocate>("allocate"), InstanceMethod<&Workspace::write>("write"), InstanceMethod<&Workspace::read>("read"),
                      InstanceMethod<&Workspace::step>("stepEncoded"), InstanceMethod<&Workspace::dispose>("dispose")});
}

Workspace::Workspace(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Workspace>(info) {
  guarded(info.Env(), [&] {
    tensors_ = std::make_shared<TensorSet>(info[0].IsUndefined() ? nullptr : open_stream(info[0]));
    info.This().As<Napi::Object>().TypeTag(&kTag);
  });
}

Workspace::~Workspace() = default;

void Workspace::Finalize(Napi::Env env) { release(env); }

std::shared_ptr<TensorSet> Workspace::tensors() const {
  if (tensors_ == nullptr) throw Error("DISPOSED", "This workspace has been disposed.");
  return tensors_;
}

Napi::Value Workspace::allocate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int64_t length = read_integer(info[0], "length", 0, kMostFloats);
    const int64_t id = tensors()->allocate(length);
    bytes_ += length * 4;
    Napi::MemoryManagement::AdjustExternalMemory(info.Env(), length * 4);
    return Napi::Number::New(info.Env(), static_cast<double>(id));
  });
}

void Workspace::write(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Floats source = read_floats(info[2], "source");
    float* target = tensors()->slice(read_integer(info[0], "tensor", 0, kMostFloats), read_integer(info[1], "offset", 0, kMostFloats), source.length);
    if (tensors()->gpu() != nullptr) tensors()->gpu()->upload(target, source.data, source.length * 4);
    else if (source.length > 0) std::memcpy(target, source.data, static_cast<size_t>(source.length) * sizeof(float));
  });
}

void Workspace::read(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Floats target = read_floats(info[2], "target");
    const float* source = tensors()->slice(read_integer(info[0], "tensor", 0, kMostFloats), read_integer(info[1], "offset", 0, kMostFloats), target.length);
    if (tensors()->gpu() != nullptr) tensors()->gpu()->download(target.data, source, target.length * 4);
    else if (target.length > 0) std::memcpy(target.data, source, static_cast<size_t>(target.length) * sizeof(float));
  });
}

Napi::Value Workspace::step(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<TensorSet> held = tensors();
    StepProgram step = read_step(info, *held);
    const bool is_inline = held->gpu() == nullptr && step.length * static_cast<int64_t>(step.members.size()) <= kMostInline;
    if (is_inline) return to_array(info.Env(), make_steps(*held, step.members));
    if (step.uses_callers) throw invalid("Expected the inputs and stores of a step of more than 2^19 elements, or on a GPU, to be tensors of the workspace.");
    Worker& worker = addon_data(info.Env()).step_worker(info.Env());
    return worker.submit(std::make_shared<StepJob>(worker.courier(), held, std::move(step.members)));
  });
}

void Workspace::dispose(const Napi::CallbackInfo& info) { release(info.Env()); }

void Workspace::release(Napi::Env env) {
  tensors_.reset();
  if (bytes_ != 0) Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
  bytes_ = 0;
}

}  // namespace sada::bind
