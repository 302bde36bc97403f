// A session on the tensors of a workspace, wherever each of them is.
#pragma once

#include <utility>

#include "../gpu.h"
#include "engine.h"

namespace sada {

// A network on the CPU between tensors on the GPU: its inputs are copied down, its outputs up.
inline void run_beside_gpu(Session& session, GpuStream& gpu, std::vector<Binding> inputs, std::vector<Binding> outputs,
                           Cancellation& cancellation) {
  std::vector<std::vector<float>> copies;
  const auto to_host = [&](Binding& binding) {
    const int64_t length = count_of(binding.dims);
    copies.emplace_back(static_cast<size_t>(length));
    binding.data = copies.back().data();
    return length * 4;
  };
  for (Binding& input : inputs) {
    const float* from = input.data;
    const int64_t bytes = to_host(input);
    gpu.download(input.data, from, bytes);
  }
  std::vector<std::pair<float*, int64_t>> destinations;
  for (Binding& output : outputs) {
    float* to = output.data;
    destinations.emplace_back(to, to_host(output));
  }
  session.run(inputs, outputs, cancellation, nullptr);
  for (size_t k = 0; k < outputs.size(); ++k) gpu.upload(destinations[k].first, outputs[k].data, destinations[k].second);
}

inline void run_session(Session& session, GpuStream* gpu, const std::vector<Binding>& inputs, const std::vector<Binding>& outputs,
                        Cancellation& cancellation) {
  if (gpu != nullptr && !session.is_on_gpu()) return run_beside_gpu(session, *gpu, inputs, outputs, cancellation);
  if (gpu == nullptr && session.is_on_gpu()) throw invalid("Expected a workspace on the GPU for a network that runs there.");
  session.run(inputs, outputs, cancellation, gpu);
}

}  // namespace sada
