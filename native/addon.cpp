// What the addon exports: ts/native/types.ts is its typed mirror.
#include <napi.h>

#include "backend.h"
#include "bind/addon_data.h"
#include "bind/engine.h"
#include "bind/gpu.h"
#include "bind/read.h"
#include "bind/tensorrt.h"
#include "bind/workspace.h"
#include "counters.h"
#include "math/half.h"
#include "math/select.h"

namespace sada::bind {
namespace {

Napi::Value select(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) throw invalid("Expected the selection to be an object.");
    const Napi::Object object = info[0].As<Napi::Object>();
    constexpr int64_t most = 1 << 15;
    const std::vector<int> grid = read_integers(object.Get("grid"), "grid", 1, most),
                           window = read_integers(object.Get("window"), "window", 0, most);
    if (grid.size() != 2 || window.size() != 2) throw invalid("Expected \"grid\" and \"window\" to be pairs [height, width].");
    // A copy: what else is read may run code of the caller's, and shared memory may change under a sort.
    const Floats given = read_floats(object.Get("scores"), "scores");
    const std::vector<float> scores(given.data, given.data + given.length);
    if (given.length != static_cast<int64_t>(grid[0]) * grid[1])
      throw invalid("Expected \"scores\" to hold one float for each token of \"grid\".");
    const Napi::Value threshold = object.Get("threshold");
    if (!threshold.IsNumber()) throw invalid("Expected \"threshold\" to be a number.");
    Selection selection{scores.data(), grid[0], grid[1], threshold.As<Napi::Number>().FloatValue(), 0, window[0], window[1], 0, {}};
    selection.max_kept = static_cast<int>(read_integer(object, "maxKept", 0, (int64_t{1} << 31) - 1));
    selection.seed = static_cast<uint32_t>(read_integer(object, "seed", 0, (int64_t{1} << 32) - 1));
    selection.buckets = read_integers(object.Get("buckets"), "buckets", 0, (int64_t{1} << 31) - 1);
    for (size_t k = 1; k < selection.buckets.size(); ++k) {
      if (selection.buckets[k] <= selection.buckets[k - 1]) throw invalid("Expected \"buckets\" to ascend.");
    }
    const std::vector<int> kept = select_tokens(selection);
    Napi::Int32Array array = Napi::Int32Array::New(info.Env(), kept.size());
    for (size_t k = 0; k < kept.size(); ++k) array[k] = kept[k];
    return array;
  });
}

struct Halves {
  uint16_t* data;
  int64_t length;
};

Halves read_halves(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array) {
    throw invalid(std::string("Expected \"") + name + "\" to be a Uint16Array where the other is a Float32Array.");
  }
  Napi::Uint16Array array = value.As<Napi::Uint16Array>();
  return {array.ElementLength() == 0 ? nullptr : array.Data(), static_cast<int64_t>(array.ElementLength())};
}

bool is_float32(const Napi::Value& value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
}

void convert(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const std::string type = info[2].IsString() ? info[2].As<Napi::String>().Utf8Value() : "";
    if (type != "float16" && type != "bfloat16") throw invalid("Expected \"type\" to be \"float16\" or \"bfloat16\".");
    const bool brain = type == "bfloat16", narrowing = is_float32(info[0]);
    const Floats floats = read_floats(info[narrowing ? 0 : 1], narrowing ? "source" : "target");
    const Halves halves = read_halves(info[narrowing ? 1 : 0], narrowing ? "target" : "source");
    if (floats.length != halves.length) throw invalid("Expected \"source\" and \"target\" to have the same length.");
    if (overlap(floats.data, floats.length * 4, halves.data, halves.length * 2))
      throw invalid("Expected \"source\" and \"target\" not to overlap.");
    if (narrowing) narrow(floats.data, brain, floats.length, halves.data);
    else widen(halves.data, brain, floats.length, floats.data);
  });
}

void convolve(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const Floats values = read_floats(info[0], "values"), response = read_floats(info[1], "response");
    const int64_t stride = read_integer(info[2], "stride", 1, int64_t{1} << 40);
    if (response.length == 0 || values.length % response.length != 0 || values.length / response.length % stride != 0) {
      throw invalid("Expected \"values\" to be blocks of \"stride\" times as many floats as \"response\" holds.");
    }
    if (overlap(values.data, values.length * 4, response.data, response.length * 4))
      throw invalid("Expected \"values\" and \"response\" not to overlap.");
    if (values.length > 0) cpu().convolve({values.data, response.data, values.length / response.length / stride, response.length, stride});
  });
}

Napi::Value count(const Napi::CallbackInfo& info) {
  const Counters& all = counters();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("workspaces", static_cast<double>(all.workspaces));
  object.Set("tensors", static_cast<double>(all.tensors));
  object.Set("bytes", static_cast<double>(all.bytes));
  object.Set("scratchBytes", static_cast<double>(all.scratch_bytes));
  object.Set("pinnedBytes", static_cast<double>(all.pinned_bytes));
  object.Set("engines", static_cast<double>(all.engines));
  object.Set("sessions", static_cast<double>(all.sessions));
  object.Set("jobs", static_cast<double>(all.jobs));
  return object;
}

void stop(const Napi::CallbackInfo&) {
  JobQueue::stop_all();
  release_webgpu_sessions();
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData;
  env.SetInstanceData(data);
  const Napi::Function workspace = Workspace::define(env);
  data->workspace = Napi::Persistent(workspace);
  exports.Set("version", SADA_VERSION);
  exports.Set("instructionSet", cpu().instruction_set);
  exports.Set("inlineElements", static_cast<double>(kMostInline));
  exports.Set("Workspace", workspace);
  exports.Set("Engine", Engine::define(env));
  exports.Set("TensorRtBuilder", TensorRtBuilder::define(env));
  exports.Set("select", Napi::Function::New<select>(env, "select"));
  exports.Set("convert", Napi::Function::New<convert>(env, "convert"));
  exports.Set("convolve", Napi::Function::New<convolve>(env, "convolve"));
  exports.Set("gpuScratch", Napi::Function::New<measure_gpu_scratch>(env, "gpuScratch"));
  exports.Set("gpus", Napi::Function::New<find_gpus>(env, "gpus"));
  exports.Set("counters", Napi::Function::New<count>(env, "counters"));
  exports.Set("stop", Napi::Function::New<stop>(env, "stop"));
  return exports;
}

}  // namespace
}  // namespace sada::bind

static Napi::Object initialise_addon(Napi::Env env, Napi::Object exports) { return sada::bind::initialise(env, exports); }

NODE_API_MODULE(sada, initialise_addon)
