#include "sada_run.h"

#include <algorithm>

#include "commands.h"
#include "read.h"

namespace sada::bind {
namespace {

class SadaJob : public PromiseJob {
 public:
  SadaJob(EngineThread& thread, std::shared_ptr<TensorSet> tensors, SadaRun& run, int step)
      : PromiseJob(thread.worker.courier()), thread_(thread), tensors_(std::move(tensors)), run_(run), step_(step),
        cancellation_(thread.library->make_cancellation()) {}
  void cancel() noexcept override {
    cancellation_->cancel();
    run_.cancel();
  }

 protected:
  void work() override {
    try {
      report_ = run_.advance(step_, thread_.sessions, *cancellation_);
    } catch (...) {
      // As after a pass: what was enqueued uses memory that the next run takes, and its failure explains this one.
      tensors_->gpu()->synchronize();
      throw;
    }
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Float64Array array = Napi::Float64Array::New(env, report_.size());
    std::copy(report_.begin(), report_.end(), array.Data());
    return array;
  }

 private:
  EngineThread& thread_;
  std::shared_ptr<TensorSet> tensors_;  // and with them the run
  SadaRun& run_;
  int step_;
  std::unique_ptr<Cancellation> cancellation_;
  std::vector<double> report_;
};

SadaProgram read_program(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array)
    throw invalid("Expected \"program\" to be a Float64Array.");
  const Napi::Float64Array numbers = value.As<Napi::Float64Array>();
  const int64_t count = static_cast<int64_t>(numbers.ElementLength());
  return SadaProgramReader(count == 0 ? nullptr : numbers.Data(), count).read();
}

}  // namespace

std::shared_ptr<SadaRun> read_sada_run(const Napi::Value& value, TensorSet& tensors) {
  if (tensors.gpu() == nullptr) throw invalid("Expected a workspace on a GPU for decisions that are made there.");
  if (!value.IsObject()) throw invalid("Expected the run to be an object.");
  const Napi::Object object = value.As<Napi::Object>();
  DeviceSada places;
  places.length = read_integer(object, "length", 1, int64_t{1} << 31);
  const Napi::Array buffers = read_array(object.Get("buffers"), "buffers", kSadaBuffers, kSadaBuffers),
                    samples = read_array(object.Get("samples"), "samples", 1, 2);
  // Now: reading an array may run code of the caller's, which may make it longer.
  const uint32_t rows = samples.Length();
  for (uint32_t k = 0; k < kSadaBuffers; ++k) places.buffer[k] = read_slice(buffers.Get(k), tensors, places.length, "buffers");
  for (uint32_t k = 0; k < rows; ++k) places.sample[k] = read_slice(samples.Get(k), tensors, places.length, "samples");
  places.rows = static_cast<int32_t>(rows);
  places.level = read_slice(object.Get("level"), tensors, places.rows, "level");
  places.cond = read_slice(object.Get("cond"), tensors, places.length, "cond");
  if (!object.Get("uncond").IsUndefined()) places.uncond = read_slice(object.Get("uncond"), tensors, places.length, "uncond");
  SadaProgram program = read_program(object.Get("program"));
  for (int k = 0; k < program.output.terms; ++k) {
    const Name name = program.output.name[k];
    if (name != Name::kCond && !(name == Name::kUncond && places.uncond != nullptr))
      throw invalid("Expected the output to be over \"cond\" and, where it is given, \"uncond\".");
  }
  std::vector<Command> pass = read_commands(object.Get("pass"), tensors);
  // A recorded move reads pinned indices anew, which any other pass of the workspace may have replaced.
  const auto is_move = [](const Command& command) { return std::holds_alternative<MoveCommand>(command); };
  if (std::any_of(pass.begin(), pass.end(), is_move)) throw invalid("Expected the \"pass\" of a run on the GPU to move no tokens.");
  return std::make_shared<SadaRun>(tensors, std::move(program), places, std::move(pass));
}

std::shared_ptr<PromiseJob> make_sada_job(EngineThread& thread, std::shared_ptr<TensorSet> tensors, SadaRun& run, int step) {
  return std::make_shared<SadaJob>(thread, std::move(tensors), run, step);
}

Napi::Object handle_of(Napi::Env env, EngineThread& thread, const std::shared_ptr<PromiseJob>& job) {
  Napi::Object handle = Napi::Object::New(env);
  handle.Set("done", thread.worker.submit(job));
  const std::weak_ptr<PromiseJob> weak = job;
  handle.Set("abort", Napi::Function::New(env, [weak, &thread](const Napi::CallbackInfo&) {
               if (const auto running = weak.lock()) thread.worker.cancel(running);  // while the job lives, so does its engine
             }));
  return handle;
}

}  // namespace sada::bind
