// The numbers of ts/native/step-program.ts → the members of a step.
#include <cmath>

#include "read.h"

namespace sada::bind {
namespace {

constexpr int64_t kMostStepped = int64_t{1} << 31;  // about a second's work: what cannot be cancelled must end soon

// Reads a step's numbers one after the other; never past their end.
class ProgramReader {
 public:
  ProgramReader(const double* numbers, int64_t count, const TensorSet& tensors, const std::vector<Floats>& callers, int64_t length)
      : numbers_(numbers), count_(count), tensors_(tensors), callers_(callers), length_(length) {}

  bool at_end() const { return at_ == count_; }
  bool uses_callers() const { return uses_callers_; }

  StoredStep member() {
    StoredStep stored;
    StepRequest& request = stored.request;
    request.length = length_;
    request.inputs = integer("inputs.length", 0, kMaxInputs);
    for (int k = 0; k < request.inputs; ++k) {
      const StoredSlice input = slice("inputs", length_);
      request.input[k] = static_cast<const float*>(input.data), stored.input_type[k] = input.storage;
    }
    request.rows = integer("rows.length", 0, kMaxRows);
    int stores = 0;
    for (int r = 0; r < request.rows; ++r) {
      row(request.row[r], request.inputs);
      if (integer("store", 0, 1) == 0) continue;
      if (++stores > kMaxStores) throw invalid("Expected at most 6 rows with a \"store\", received more.");
      const StoredSlice store = slice("store", length_);
      request.store[r] = static_cast<float*>(store.data), stored.store_type[r] = store.storage;
    }
    request.sums = integer("sums.length", 0, kMaxSums);
    for (int s = 0; s < request.sums; ++s) {
      request.sum[s].a = integer("sums.a", 0, request.rows - 1);
      request.sum[s].b = integer("sums.b", -1, request.rows - 1);
      request.sum[s].is_signed = integer("sums.signed", 0, 1) == 1;
    }
    if (integer("tokens", 0, 1) == 1) tokens(request);
    check_stores(stored);
    return stored;
  }

 private:
  double number(const char* name) {
    if (at_ >= count_) throw invalid(std::string("Expected \"") + name + "\" in the step, but its numbers end.");
    return numbers_[at_++];
  }

  int64_t wide(const char* name, int64_t low, int64_t high) {
    const double value = number(name);
    if (value >= static_cast<double>(low) && value <= static_cast<double>(high) && std::floor(value) == value)
      return static_cast<int64_t>(value);
    throw invalid(std::string("Expected \"") + name + "\" to be an integer from " + std::to_string(low) + " to " + std::to_string(high) +
                  ", received " + std::to_string(value) + ".");
  }
  int integer(const char* name, int low, int high) { return static_cast<int>(wide(name, low, high)); }

  StoredSlice slice(const char* name, int64_t length) {
    const int64_t tensor = wide(name, -static_cast<int64_t>(callers_.size()), kMostFloats), offset = wide("offset", 0, kMostFloats);
    if (tensor >= 0) return tensors_.stored_slice(tensor, offset, length);
    const Floats& floats = callers_[static_cast<size_t>(-1 - tensor)];
    if (offset > floats.length || length > floats.length - offset) {
      throw invalid(std::string("Expected \"") + name + "\" to hold " + std::to_string(length) + " floats from " + std::to_string(offset) +
                    ", received a Float32Array of length " + std::to_string(floats.length) + ".");
    }
    uses_callers_ = true;
    return {floats.data + offset, Storage::kFloat32};
  }

  // A store is an input's own slice, or apart from all inputs; and apart from the other stores. Else results would depend on the order
  // in which elements are formed.
  void check_stores(const StoredStep& stored) const {
    const StepRequest& request = stored.request;
    const auto bytes = [&](Storage type) { return length_ * bytes_of(type); };
    for (int r = 0; r < request.rows; ++r) {
      const float* store = request.store[r];
      if (store == nullptr) continue;
      const int64_t own = bytes(stored.store_type[r]);
      for (int k = 0; k < request.inputs; ++k) {
        if (store != request.input[k] && overlap(store, own, request.input[k], bytes(stored.input_type[k])))
          throw invalid("Expected a \"store\" not to overlap an input in part.");
      }
      for (int other = 0; other < r; ++other) {
        if (request.store[other] != nullptr && overlap(store, own, request.store[other], bytes(stored.store_type[other])))
          throw invalid("Expected the stores of a member not to overlap.");
      }
    }
  }

  void row(Row& row, int inputs) {
    const int terms = integer("rows.inputs.length", 0, kMaxInputs);
    for (int k = 0; k < terms; ++k) {
      const int input = integer("rows.inputs", 0, inputs - 1);
      if (row.has(input)) throw invalid("Expected a row to name each of its \"inputs\" once.");
      row.set(input, static_cast<float>(number("rows.weights")));
    }
  }

  void tokens(StepRequest& request) {
    constexpr int64_t most = int64_t{1} << 20;
    TokenLayout& layout = request.layout;
    request.token_sum = integer("tokens.sum", 0, request.sums - 1);
    layout.channels_first = integer("tokens.order", 0, 1) == 1;
    layout.channels = wide("channels", 1, most);
    layout.grid_height = wide("grid", 1, most), layout.grid_width = wide("grid", 1, most);
    layout.patch_height = wide("patch", 1, most), layout.patch_width = wide("patch", 1, most);
    if (!layout.channels_first && (layout.patch_height != 1 || layout.patch_width != 1))
      throw invalid("Expected \"patch\" to be [1, 1] where \"order\" is \"tokens\".");
    // Factors of at most 2^20, compared as their product grows, so that it cannot overflow.
    int64_t elements = 1;
    for (int64_t n : {layout.channels, layout.grid_height, layout.grid_width, layout.patch_height, layout.patch_width}) {
      elements *= n;
      if (elements > length_) break;
    }
    if (elements != length_)
      throw invalid("Expected a token layout of " + std::to_string(length_) + " elements in all, received another number.");
    const StoredSlice means = slice("tokens.store", layout.grid_height * layout.grid_width);
    if (means.storage != Storage::kFloat32) throw invalid("Expected \"tokens.store\" to be of float32.");
    request.token_means = static_cast<float*>(means.data);
  }

  const double* numbers_;
  int64_t count_;
  int64_t at_ = 0;
  const TensorSet& tensors_;
  const std::vector<Floats>& callers_;
  int64_t length_;
  bool uses_callers_ = false;
};

}  // namespace

StepProgram read_step(const Napi::CallbackInfo& info, const TensorSet& tensors) {
  StepProgram step;
  step.length = read_integer(info[0], "length", 0, kMostStepped);
  // Reading an array may run code of the caller's; so nothing's address is taken before.
  std::vector<Napi::Value> values;
  if (info[3].IsArray()) {
    const Napi::Array array = info[3].As<Napi::Array>();
    for (uint32_t k = 0; k < array.Length(); ++k) values.push_back(array.Get(k));
  }
  std::vector<Floats> callers;
  for (const Napi::Value& value : values) callers.push_back(read_floats(value, "tensor"));
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array)
    throw invalid("Expected the step to be a Float64Array.");
  const Napi::Float64Array numbers = info[1].As<Napi::Float64Array>();
  const int64_t count = read_integer(info[2], "count", 0, static_cast<int64_t>(numbers.ElementLength()));
  ProgramReader reader(count == 0 ? nullptr : numbers.Data(), count, tensors, callers, step.length);
  while (!reader.at_end()) {
    step.members.push_back(reader.member());
    if (step.length * static_cast<int64_t>(step.members.size()) > kMostStepped)
      throw invalid("Expected a step of at most 2^31 elements in all.");
  }
  step.uses_callers = reader.uses_callers();
  return step;
}

}  // namespace sada::bind
