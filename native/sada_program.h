// A run's schedule and policy as ts/sampler/sada-program.ts writes them: what native/math/sada_step.h decides by.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "error.h"
#include "math/sada_step.h"

namespace sada {

struct SadaProgram {
  SadaOptions options;
  NamedRow output;  // the network's guided output over kCond and kUncond
  std::vector<SolverStep> levels;  // [steps + 1]
  int steps() const { return static_cast<int>(levels.size()) - 1; }
};

class SadaProgramReader {
 public:
  SadaProgramReader(const double* numbers, int64_t count) : numbers_(numbers), count_(count) {}

  SadaProgram read() {
    SadaProgram program;
    SadaOptions& options = program.options;
    for (double* option : {&options.tolerance, &options.unstable, &options.slope, &options.memory, &options.damping}) *option = number();
    for (int* option : {&options.warmup, &options.tail, &options.max_consecutive}) *option = integer(0, 1000);
    program.output = row({Name::kCond, Name::kUncond});
    program.levels.resize(static_cast<size_t>(integer(1, 1000)) + 1);
    for (SolverStep& level : program.levels) {
      const bool is_last = &level == &program.levels.back();
      level.level = number(), level.usual_error = number(), level.time = number(), level.signal = number();
      level.denoised = row(is_last ? Names{} : Names{Name::kX, Name::kOutput});
      level.update = row(is_last ? Names{} : Names{Name::kX, Name::kX0, Name::kX0Prev});
      level.velocity = row(is_last ? Names{} : Names{Name::kX, Name::kX0, Name::kOutput});
      level.input_scale = static_cast<float>(number()), level.input_level = static_cast<float>(number());
    }
    if (at_ != count_)
      throw invalid("Expected a sampling program of " + std::to_string(at_) + " numbers, received " + std::to_string(count_) + ".");
    return program;
  }

 private:
  double number() {
    if (at_ >= count_) throw invalid("Expected more numbers in the sampling program.");
    return numbers_[at_++];
  }
  int integer(int low, int high) {
    const double value = number();
    if (value >= low && value <= high && std::floor(value) == value) return static_cast<int>(value);
    throw invalid("Expected an integer from " + std::to_string(low) + " to " + std::to_string(high) +
                  " in the sampling program, received " + std::to_string(value) + ".");
  }
  // What a row may be over: what is defined where it is substituted. Then those of a step are over the eight buffers that there are at
  // most.
  using Names = std::initializer_list<Name>;
  NamedRow row(Names names) {
    NamedRow row;
    const int terms = integer(0, kNames);
    for (int k = 0; k < terms; ++k) {
      const Name name = static_cast<Name>(integer(0, kNames - 1));
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        throw invalid("Expected no row over name " + std::to_string(static_cast<int>(name)) + " there in the sampling program.");
      }
      const double weight = number();
      add(row, name, weight);
    }
    return row;
  }

  const double* numbers_;
  int64_t count_;
  int64_t at_ = 0;
};

}  // namespace sada
