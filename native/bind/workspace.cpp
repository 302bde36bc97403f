#include "workspace.h"

#include <cstring>

#include "../math/half.h"
#include "addon_data.h"
#include "read.h"

namespace sada::bind {
namespace {

Napi::Float64Array to_array(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(double));
  return array;
}

std::vector<double> make_steps(const TensorSet& tensors, const std::vector<StoredStep>& members) {
  if (tensors.gpu() != nullptr) return tensors.gpu()->step(members);
  size_t count = 0;
  for (const StoredStep& member : members) count += static_cast<size_t>(member.request.sums);
  std::vector<double> sums(count);
  double* at = sums.data();
  for (const StoredStep& member : members) {
    cpu().step(member, at);
    at += member.request.sums;
  }
  return sums;
}

std::shared_ptr<GpuStream> open_stream(const Napi::Value& gpu) {
  if (!gpu.IsObject()) throw invalid("Expected \"gpu\" to be an object.");
  const Napi::Object object = gpu.As<Napi::Object>();
  const std::string library = read_string(object, "library");
  return std::make_shared<GpuStream>(GpuLibrary::open(library), static_cast<int32_t>(read_integer(object, "index", 0, 1 << 20)));
}

// Floats into `count` elements of a tensor, wherever it lies and however it is stored; and back.
void write_floats(const TensorSet& tensors, const StoredSlice& target, const float* floats, int64_t count) {
  if (count == 0) return;
  const int64_t bytes = count * bytes_of(target.storage);
  std::vector<uint16_t> halves;
  const void* from = floats;
  if (target.storage != Storage::kFloat32) {
    halves.resize(static_cast<size_t>(count));
    narrow(floats, target.storage == Storage::kBfloat16, count, halves.data());
    from = halves.data();
  }
  if (tensors.gpu() != nullptr) tensors.gpu()->upload(target.data, from, bytes);
  else std::memcpy(target.data, from, static_cast<size_t>(bytes));
}

void read_into(const TensorSet& tensors, const StoredSlice& source, float* floats, int64_t count) {
  if (count == 0) return;
  const int64_t bytes = count * bytes_of(source.storage);
  const bool is_half = source.storage != Storage::kFloat32;
  std::vector<uint16_t> halves(is_half ? static_cast<size_t>(count) : 0);
  void* to = is_half ? static_cast<void*>(halves.data()) : floats;
  if (tensors.gpu() != nullptr) tensors.gpu()->download(to, source.data, bytes);
  else std::memcpy(to, source.data, static_cast<size_t>(bytes));
  if (is_half) widen(halves.data(), source.storage == Storage::kBfloat16, count, floats);
}

class StepJob : public PromiseJob {
 public:
  StepJob(Courier& courier, std::shared_ptr<TensorSet> tensors, std::vector<StoredStep> members)
      : PromiseJob(courier), tensors_(std::move(tensors)), members_(std::move(members)) {}

 protected:
  void work() override { sums_ = make_steps(*tensors_, members_); }
  Napi::Value result(Napi::Env env) override { return to_array(env, sums_); }

 private:
  std::shared_ptr<TensorSet> tensors_;  // keeps the memory of a workspace disposed meanwhile
  std::vector<StoredStep> members_;
  std::vector<double> sums_;
};

}  // namespace

Napi::Function Workspace::define(Napi::Env env) {
  return DefineClass(env, "Workspace",
                     {InstanceMethod<&Workspace::allocate>("allocate"), InstanceMethod<&Workspace::write>("write"),
                      InstanceMethod<&Workspace::read>("read"), InstanceMethod<&Workspace::step>("stepEncoded"),
                      InstanceMethod<&Workspace::graphs>("graphs"), InstanceMethod<&Workspace::dispose>("dispose")});
}

Workspace::Workspace(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Workspace>(info) {
  guarded(info.Env(), [&] {
    tensors_ = std::make_shared<TensorSet>(info[0].IsUndefined() ? nullptr : open_stream(info[0]));
    if (!info[1].IsUndefined()) make_planned(info.Env(), info[1]);
    info.This().As<Napi::Object>().TypeTag(&kTag);
  });
}

Workspace::~Workspace() = default;

void Workspace::make_planned(Napi::Env env, const Napi::Value& plan) {
  const std::vector<TensorShape> shapes = read_shapes(plan);
  const DeviceLimits limits = read_limits(plan.As<Napi::Object>().Get("calls"));
  tensors_->allocate_all(shapes);
  if (tensors_->gpu() != nullptr) tensors_->gpu()->prepare(limits);
  int64_t bytes = 0;
  for (const TensorShape& shape : shapes) bytes += shape.length * bytes_of(shape.storage);
  report(env, bytes);
}

void Workspace::report(Napi::Env env, int64_t bytes) {
  bytes_ += bytes;
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
}

void Workspace::Finalize(Napi::Env env) { release(env); }

std::shared_ptr<TensorSet> Workspace::tensors() const {
  if (tensors_ == nullptr) throw Error("DISPOSED", "This workspace has been disposed.");
  return tensors_;
}

Napi::Value Workspace::allocate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const int64_t length = read_integer(info[0], "length", 0, kMostFloats);
    const Storage storage = read_storage(info[1]);
    const int64_t id = tensors()->allocate(length, storage);
    report(info.Env(), length * bytes_of(storage));
    return Napi::Number::New(info.Env(), static_cast<double>(id));
  });
}

void Workspace::write(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Floats source = read_floats(info[2], "source");
    const StoredSlice target = tensors()->stored_slice(read_integer(info[0], "tensor", 0, kMostFloats),
                                                       read_integer(info[1], "offset", 0, kMostFloats), source.length);
    write_floats(*tensors(), target, source.data, source.length);
  });
}

void Workspace::read(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Floats target = read_floats(info[2], "target");
    const StoredSlice source = tensors()->stored_slice(read_integer(info[0], "tensor", 0, kMostFloats),
                                                       read_integer(info[1], "offset", 0, kMostFloats), target.length);
    read_into(*tensors(), source, target.data, target.length);
  });
}

Napi::Value Workspace::step(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<TensorSet> held = tensors();
    StepProgram step = read_step(info, *held);
    const bool is_inline = held->gpu() == nullptr && step.length * static_cast<int64_t>(step.members.size()) <= kMostInline;
    if (is_inline) return to_array(info.Env(), make_steps(*held, step.members));
    if (step.uses_callers)
      throw invalid("Expected the inputs and stores of a step of more than 2^19 elements, or on a GPU, to be tensors of the workspace.");
    Worker& worker = addon_data(info.Env()).step_worker(info.Env());
    return worker.submit(std::make_shared<StepJob>(worker.courier(), held, std::move(step.members)));
  });
}

Napi::Value Workspace::graphs(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<TensorSet> held = tensors();
    const GraphReport report = held->graphs() == nullptr ? GraphReport{} : held->graphs()->report();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("captured", static_cast<double>(report.captured));
    object.Set("launched", static_cast<double>(report.launched));
    if (!report.failure.empty()) object.Set("failure", report.failure);
    return object;
  });
}

void Workspace::dispose(const Napi::CallbackInfo& info) { release(info.Env()); }

void Workspace::release(Napi::Env env) {
  tensors_.reset();
  if (bytes_ != 0) Napi::MemoryManagement::AdjustExternalMemory(env, -bytes_);
  bytes_ = 0;
}

}  // namespace sada::bind
