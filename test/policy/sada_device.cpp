// native/math/sada_step.h told what a run measures; test/policy/sada-device.test.ts holds its answers against the TypeScript policy's.
//
// Standard input, all float64: how many numbers the program has, the program, and for each step: whether a skip is refused, the mean
// square of the prediction's error, the criterion, that error along the last difference, the square of this, the mean of |x0|. Standard
// output, all float64, for each attempt at a step: whether it is a skip, its rows (how many, then terms and (name, weight) of each), its
// sums, and of an accepted one the verdict's criterion and error.
#include <cstdio>
#include <vector>

#include "../../native/sada_program.h"

namespace {

using namespace sada;

std::vector<double> read_all() {
  std::vector<double> numbers;
  double buffer[4096];
  for (size_t n; (n = std::fread(buffer, sizeof(double), 4096, stdin)) > 0;) numbers.insert(numbers.end(), buffer, buffer + n);
  return numbers;
}

void put(double number) { std::fwrite(&number, sizeof number, 1, stdout); }

void put(const SadaWork& work) {
  if (work.rows.made() > kMostRows)
    throw invalid("Expected a step of at most " + std::to_string(kMostRows) + " rows, received " + std::to_string(work.rows.made()) + ".");
  const SadaStep& step = work.step;
  put(step.rows);
  for (int r = 0; r < step.rows; ++r) {
    put(step.row[r]->terms);
    for (int k = 0; k < step.row[r]->terms; ++k) put(static_cast<int>(step.row[r]->name[k])), put(step.row[r]->weight[k]);
  }
  put(step.sums);
}

void run(const SadaProgram& program, const double* measured) {
  const Sada sada{program.options, program.steps(), program.levels.data()};
  SadaState state;
  SadaWork work;
  for (int step = 0; step < sada.steps; ++step, measured += 6) {
    bool skip = skips(sada, state, step);
    put(skip);
    if (skip) make_skipped_step(work, sada, state, step), put(work);
    if (skip && measured[0] != 0.0) skip = false, put(skip);
    if (!skip) make_computed_step(work, sada, state, step, program.output), put(work);
    const SadaVerdict verdict = skip ? after_skip(sada, state, step)
                                     : after_run(sada, state, step, {measured[1], measured[2], measured[3], measured[4]}, measured[5]);
    put(verdict.criterion), put(verdict.error);
  }
}

}  // namespace

int main() {
  const std::vector<double> numbers = read_all();
  try {
    // As many runs as there are.
    for (size_t at = 0; at < numbers.size();) {
      const auto count = static_cast<int64_t>(numbers[at]);
      const SadaProgram program = SadaProgramReader(numbers.data() + at + 1, count).read();
      at += 1 + static_cast<size_t>(count);
      run(program, numbers.data() + at);
      at += static_cast<size_t>(6 * program.steps());
    }
  } catch (const Error& error) { return std::fprintf(stderr, "%s\n", error.what()), 1; }
  return 0;
}
