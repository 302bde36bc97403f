// ts/policy/sada.ts without pruning, for decisions on the device: the same operations in the same order, so the same bits. Function by
// function what that file says; test/policy/sada-device.test.ts holds the two against each other.
#pragma once

#include <cmath>

#include "named_row.h"

namespace sada {

struct SadaOptions {
  double tolerance = 0, unstable = 0, slope = 0, memory = 0;
  int warmup = 0, tail = 0, max_consecutive = 0;
};

// A step of the schedule, by the solver's rows. Of the level after the last step there are no rows.
struct SolverStep {
  double level = 0;  // σ/(α+σ)
  double usual_error = 0;  // per step of gap, relative to the clean sample's magnitude
  double time = 0;   // the solver's own
  NamedRow denoised, update, velocity;
  float input_scale = 0, input_level = 0;  // the network is given the state times this, and this level
};

struct Sada {
  SadaOptions options;
  int steps = 0;
  const SolverStep* step = nullptr;  // [steps + 1]
};

// What a member has learned so far.
struct SadaState {
  int computed[2] = {};  // computed steps, newest first
  int computed_count = 0;
  double error_rate = INFINITY;  // error of a prediction per step of its gap, in units of the usual one
  double spent = 0;
  double magnitude = 0;  // mean |x0| of the newest computed step
  bool stable = false;
};

// What a computed step measures once two have been computed before it.
struct SadaMeans {
  double square = 0;     // of the prediction's error
  double criterion = 0;  // negative: stable
};

// What the trace has of a step; NaN: not evaluated.
struct SadaVerdict {
  double criterion = NAN, error = NAN;
};

SADA_HD bool is_finite(double x) { return x - x == 0.0; }

// What skipping `step` is expected to put wrong.
SADA_HD double cost(const Sada& sada, const SadaState& state, int step, int gap) {
  const double level = sada.step[step].level, next = sada.step[step + 1].level;
  const double mixed = (1.0 - next / level) / (1.0 - next);
  const bool is_unstable = gap == 1 && !state.stable;
  return mixed * state.error_rate * sada.step[step].usual_error * gap * (is_unstable ? sada.options.unstable : 1.0);
}

// `before`: whether `step` is skipped, which is spent then.
SADA_HD bool skips(const Sada& sada, SadaState& state, int step) {
  const SadaOptions& options = sada.options;
  if (state.computed_count < 2 || step < options.warmup || step >= sada.steps - options.tail) return false;
  const int gap = step - state.computed[0];
  const double spent = state.spent + cost(sada, state, step, gap);
  if (gap > options.max_consecutive || !(spent <= options.tolerance * state.magnitude)) return false;
  state.spent = spent;
  return true;
}

// The clean sample at `step`, continued from the newest two computed ones.
SADA_HD NamedRow prediction(const Sada& sada, const SadaState& state, int step) {
  const NamedRow newest = named(Name::kX0Newest, 1.0);
  if (state.computed_count < 2) return newest;
  const double level = sada.step[state.computed[0]].level;
  const double span = level - sada.step[state.computed[1]].level;
  const double reach = span == 0.0 ? 0.0 : (sada.options.slope * (sada.step[step].level - level)) / span;
  return plus(newest, times(reach, minus(newest, named(Name::kX0Older, 1.0))));
}

// Rows to be added at a computed step to the state and to the x0 before it; empty where no step was skipped.
struct SadaCorrection {
  NamedRow x, x0_prev;
};

SADA_HD SadaCorrection correction(const Sada& sada, const SadaState& state, int step) {
  SadaCorrection made;
  const int from = state.computed[0];
  if (state.computed_count < 2 || step - from < 2) return made;
  const double level = sada.step[from].level, width = sada.step[step].level - level;
  for (int skipped = from + 1; skipped < step; ++skipped) {
    const double share = width == 0.0 ? 1.0 : (sada.step[skipped].level - level) / width;
    const NamedRow between = plus(named(Name::kX0, share), named(Name::kX0Newest, 1.0 - share));
    const NamedRow x0 = minus(between, prediction(sada, state, skipped));
    Definitions definitions;
    definitions.set(Name::kX, made.x), definitions.set(Name::kX0, x0), definitions.set(Name::kX0Prev, made.x0_prev);
    made.x = substitute(sada.step[skipped].update, definitions);
    made.x0_prev = x0;
  }
  return made;
}

// ts/policy/criterion.ts, over the newest two computed steps: c = a·b.
struct SadaCriterion {
  NamedRow a, b;
};

SADA_HD NamedRow weigh_velocities(double now, double newest, double older) {
  NamedRow sum;
  add(sum, 1.0, times(now, named(Name::kY, 1.0)));
  add(sum, 1.0, times(newest, named(Name::kYNewest, 1.0)));
  add(sum, 1.0, times(older, named(Name::kYOlder, 1.0)));
  return without_zeros(sum);
}

SADA_HD SadaCriterion stability_criterion(const Sada& sada, const SadaState& state, int step) {
  const SolverStep* at = sada.step;
  const double h = at[step].time - at[step + 1].time;
  const double h1 = at[state.computed[0]].time - at[step].time;
  const double h2 = at[state.computed[1]].time - at[state.computed[0]].time;
  const double w2 = h2 == 0.0 ? 0.0 : -(h / 2.0 + h1 / 6.0) / h2;
  const double slope = h2 == 0.0 ? 0.0 : h1 / h2;
  const NamedRow moved = weigh_velocities(5.0 / 6.0, 1.0 / 6.0 - w2, w2);
  const NamedRow predicted = plus(named(Name::kX, 1.0), times(-h, moved));
  return {minus(named(Name::kNext, 1.0), predicted), weigh_velocities(1.0, -(1.0 + slope), slope)};
}

// `after` of a skip.
SADA_HD SadaVerdict after_skip(const Sada& sada, const SadaState& state, int step) {
  SadaVerdict verdict;
  verdict.error = state.error_rate * sada.step[step].usual_error * (step - state.computed[0]);
  return verdict;
}

// `after` of a computed step; `means` are read where two steps had been computed before.
SADA_HD SadaVerdict after_run(const Sada& sada, SadaState& state, int step, const SadaMeans& means, double magnitude) {
  SadaVerdict verdict;
  if (state.computed_count == 2) {
    const double memory = sada.options.memory;
    verdict.error = sqrt(means.square), verdict.criterion = means.criterion;
    state.stable = means.criterion < 0.0;
    const double rate = verdict.error / (step - state.computed[0]) / sada.step[step].usual_error;
    state.error_rate = is_finite(state.error_rate) ? memory * state.error_rate + (1.0 - memory) * rate : rate;
  }
  state.computed[1] = state.computed[0], state.computed[0] = step;
  if (state.computed_count < 2) ++state.computed_count;
  state.spent = 0.0, state.magnitude = magnitude;
  return verdict;
}

}  // namespace sada
