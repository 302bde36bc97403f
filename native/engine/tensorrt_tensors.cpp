#include "tensorrt_tensors.h"

#include <algorithm>

#include "element_type.h"

namespace sada {
namespace {

// TensorRT takes no other addresses (setTensorAddress in NvInferRuntime.h). Rows of a tensor begin wherever those before them end.
constexpr uintptr_t kAlignment = 256;

}  // namespace

bool EngineTensors::are_recordable() const {
  return std::all_of(types_.begin(), types_.end(), [](const auto& each) { return each.second == ort::kFloat || is_half(each.second); });
}

bool EngineTensors::is_in_place(const Binding& binding) const {
  return types_.at(binding.name) == ort::kFloat && reinterpret_cast<uintptr_t>(binding.data) % kAlignment == 0;
}

int64_t EngineTensors::bytes_of(const std::string& name, const std::vector<int64_t>& sizes) const {
  return count_of(sizes) * static_cast<int64_t>(element_size(types_.at(name), name));
}

void* EngineTensors::scratch(const std::string& name, int64_t bytes) {
  auto& memory = scratch_[name];
  if (memory == nullptr) memory = std::make_unique<GpuMemory>(gpu_, &moves_);
  return memory->reserve(std::max<int64_t>(bytes, 1));  // TensorRT refuses null, also for what has no elements
}

const void* EngineTensors::fill(const Binding& input, GpuStream& gpu) {
  if (is_in_place(input)) return input.data;
  const int type = types_.at(input.name);
  const int64_t count = count_of(input.dims), bytes = bytes_of(input.name, input.dims);
  void* to = scratch(input.name, bytes);
  if (type == ort::kFloat) return gpu.copy(to, input.data, bytes), to;
  if (is_half(type)) return gpu.convert(to, storage_of(type), input.data, Storage::kFloat32, count), to;
  // Numbers of tokens and the like: few, so they go by the host.
  std::vector<float> floats(static_cast<size_t>(count));
  std::vector<uint8_t> elements(static_cast<size_t>(bytes));
  gpu.download(floats.data(), input.data, count * 4);
  floats_to_elements(type, floats.data(), elements.data(), count);
  gpu.upload(to, elements.data(), bytes);
  return to;
}

void* EngineTensors::place(const std::string& name, const std::vector<int64_t>& sizes, const Binding* wanted) {
  if (wanted != nullptr && is_in_place(*wanted)) return wanted->data;
  return scratch(name, bytes_of(name, sizes));
}

void EngineTensors::read_back(const Binding& output, GpuStream& gpu) {
  if (is_in_place(output)) return;
  const int type = types_.at(output.name);
  const int64_t count = count_of(output.dims), bytes = bytes_of(output.name, output.dims);
  const void* from = scratch_.at(output.name)->get();
  if (type == ort::kFloat) return gpu.copy(output.data, from, bytes);
  if (is_half(type)) return gpu.convert(output.data, Storage::kFloat32, from, storage_of(type), count);
  std::vector<float> floats(static_cast<size_t>(count));
  std::vector<uint8_t> elements(static_cast<size_t>(bytes));
  gpu.download(elements.data(), from, bytes);
  elements_to_floats(type, elements.data(), floats.data(), count);
  gpu.upload(output.data, floats.data(), count * 4);
}

}  // namespace sada
