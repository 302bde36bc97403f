// Where an engine finds the tensors of a workspace: in the workspace's own memory, or in scratch memory with a copy in the engine's type.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine.h"
#include "gpu_memory.h"

namespace sada {

// The tensors of one session. Copies and conversions are added to the stream that a call is given; integers go by the host, which waits.
class EngineTensors {
 public:
  // `gpu`: whose memory scratch memory is; `moves` counts how often that moved.
  EngineTensors(GpuStream& gpu, int64_t& moves) : gpu_(gpu), moves_(moves) {}

  // `type`: ONNX's number.
  void declare(const std::string& name, int type) { types_[name] = type; }
  // Whether all that a run does with them is added to its stream.
  bool are_recordable() const;

  // Where the engine finds an input.
  const void* fill(const Binding& input, GpuStream& gpu);
  // Where the engine puts an output of these sizes; `wanted` is null for one that nobody asked for.
  void* place(const std::string& name, const std::vector<int64_t>& sizes, const Binding* wanted);
  // After the run: brings a wanted output to its binding.
  void read_back(const Binding& output, GpuStream& gpu);

 private:
  bool is_in_place(const Binding& binding) const;
  int64_t bytes_of(const std::string& name, const std::vector<int64_t>& sizes) const;
  void* scratch(const std::string& name, int64_t bytes);

  GpuStream& gpu_;
  int64_t& moves_;
  std::map<std::string, int> types_;
  std::map<std::string, std::unique_ptr<GpuMemory>> scratch_;
};

}  // namespace sada
