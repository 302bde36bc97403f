// ONNX Runtime between tensors in host memory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "element_type.h"
#include "onnxruntime_library.h"

namespace sada::ort {

// A session between tensors in host memory, wherever the library computes: values over the workspace's floats, or over scratch of the
// model's own types.
class HostSession : public OrtSession {
 public:
  using OrtSession::OrtSession;

  void run(const std::vector<Binding>& inputs, const std::vector<Binding>& outputs, Cancellation& cancellation, GpuStream*) override {
    check_bound(inputs, outputs);
    std::vector<Bound> in, out;
    for (const Binding& input : inputs) in.push_back(bind(input, type_of(input_types_, input, "input"), in_scratch_[input.name], true));
    for (const Binding& output : outputs)
      out.push_back(bind(output, type_of(output_types_, output, "output"), out_scratch_[output.name], false));
    std::vector<const char*> in_names, out_names;
    std::vector<const Value*> in_values;
    std::vector<Value*> out_values;
    for (const Bound& b : in) in_names.push_back(b.binding->name.c_str()), in_values.push_back(b.value.get());
    for (const Bound& b : out) out_names.push_back(b.binding->name.c_str()), out_values.push_back(b.value.get());
    Status* status = library_->api.call(kRun, session_.get(), static_cast<OrtCancellation&>(cancellation).options(), in_names.data(),
                                        in_values.data(), in_values.size(), out_names.data(), out_names.size(), out_values.data());
    if (status != nullptr) fail(status, cancellation);
    for (const Bound& b : out) {
      if (b.type != kFloat) elements_to_floats(b.type, b.scratch->data(), b.binding->data, count_of(b.binding->dims));
    }
  }

 private:
  struct Bound {
    const Binding* binding;
    int type;
    std::vector<uint8_t>* scratch;
    Owned<Value> value;
  };

  Bound bind(const Binding& binding, int type, std::vector<uint8_t>& scratch, bool fill) {
    const int64_t count = count_of(binding.dims);
    void* data = binding.data;
    if (type != kFloat) {
      const size_t bytes = static_cast<size_t>(count) * element_size(type, binding.name);
      if (scratch.size() < bytes) scratch.resize(bytes);
      if (fill) floats_to_elements(type, binding.data, scratch.data(), count);
      data = scratch.data();
    }
    return {&binding, type, &scratch, value_over(binding, type, data, library_->cpu_memory)};
  }

  std::map<std::string, std::vector<uint8_t>> in_scratch_, out_scratch_;
};

}  // namespace sada::ort
