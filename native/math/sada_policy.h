// ts/policy/sada.ts without pruning, for decisions on the device: the same operations in the same order, so the same bits. Function by
// function what that file says; test/policy/sada-device.test.ts holds the two against each other.
#pragma once

#include <cmath>

#include "named_row.h"

namespace sada {

struct SadaOptions {
  double tolerance = 0, unstable = 0, slope = 0, memory = 0, damping = 0;
  int warmup = 0, tail = 0, max_consecutive = 0;
};

// A step of the schedule, by the solver's rows. Of the level after the last step there are no rows.
struct SolverStep {
  double level = 0;  // σ/(α+σ)
  double usual_error = 0;  // per step of gap, relative to the clean sample's magnitude
  double time = 0;  // the solver's own
  double signal = 0;  // how much of the clean sample is in the state
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
  double response = 0;  // ts/policy/response.ts
};

// What a computed step measures once two have been computed before it.
struct SadaMeans {
  double square = 0;  // of the prediction's error
  double criterion = 0;  // negative: stable
  double along = 0,
         length = 0;  // that error along the last difference of clean samples, and this along itself; read where there is damping
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
SADA_HD constexpr const NamedRow& prediction(NamedRows& rows, const Sada& sada, const SadaState& state, int step) {
  const NamedRow& newest = rows.named(Name::kX0Newest, 1.0);
  if (state.computed_count < 2) return newest;
  const double level = sada.step[state.computed[0]].level;
  const double span = level - sada.step[state.computed[1]].level;
  const double reach = span == 0.0 ? 0.0 : (sada.options.slope * (sada.step[step].level - level)) / span;
  return rows.plus(newest, rows.times(reach, rows.minus(newest, rows.named(Name::kX0Older, 1.0))));
}

// Whether there are skipped steps to be made again at `step`.
SADA_HD constexpr bool is_corrected(const SadaState& state, int step) { return state.computed_count == 2 && step - state.computed[0] >= 2; }

// Adds what is to be added at a computed step to the state, `x`, and to the x0 before it, `x0_prev`, to these empty rows; nothing where no
// step was skipped.
SADA_HD constexpr void correct(NamedRows& rows, Definitions& definitions, const Sada& sada, const SadaState& state, int step, NamedRow& x,
                               NamedRow& x0_prev) {
  const int from = state.computed[0];
  if (!is_corrected(state, step)) return;
  const double level = sada.step[from].level, width = sada.step[step].level - level;
  for (int skipped = from + 1; skipped < step; ++skipped) {
    const int before = rows.made();
    const double share = width == 0.0 ? 1.0 : (sada.step[skipped].level - level) / width;
    const NamedRow& between = rows.plus(rows.named(Name::kX0, share), rows.named(Name::kX0Newest, 1.0 - share));
    const NamedRow& x0 = rows.minus(between, prediction(rows, sada, state, skipped));
    definitions.clear();
    definitions.set(Name::kX, x), definitions.set(Name::kX0, x0), definitions.set(Name::kX0Prev, x0_prev);
    const NamedRow& next = rows.substitute(sada.step[skipped].update, definitions);
    set(x, next), set(x0_prev, x0);
    rows.keep(before);
  }
}

// The clean sample of a step that moves the state by `x`, over kEstimate and what is remembered.
SADA_HD constexpr const NamedRow& answer(NamedRows& rows, const Sada& sada, const SadaState& state, int step, const NamedRow& x) {
  double moved = 0.0;
  for (int k = 0; k < x.terms; ++k) {
    if (x.name[k] == Name::kX0) moved = x.weight[k];
  }
  const double share = 1.0 / (1.0 - state.response * (moved / sada.step[step].signal));
  return rows.plus(rows.named(Name::kEstimate, share), rows.times(1.0 - share, prediction(rows, sada, state, step)));
}

SADA_HD constexpr const NamedRow& weigh_velocities(NamedRows& rows, double now, double newest, double older) {
  NamedRow& sum = rows.empty();
  add(sum, 1.0, rows.times(now, rows.named(Name::kY, 1.0)));
  add(sum, 1.0, rows.times(newest, rows.named(Name::kYNewest, 1.0)));
  add(sum, 1.0, rows.times(older, rows.named(Name::kYOlder, 1.0)));
  drop_zeros(sum);
  return sum;
}

// ts/policy/criterion.ts, over the newest two computed steps: c = a·b.
struct SadaCriterion {
  const NamedRow &a, &b;
};

SADA_HD constexpr SadaCriterion stability_criterion(NamedRows& rows, const Sada& sada, const SadaState& state, int step) {
  const SolverStep* at = sada.step;
  const double h = at[step].time - at[step + 1].time;
  const double h1 = at[state.computed[0]].time - at[step].time;
  const double h2 = at[state.computed[1]].time - at[state.computed[0]].time;
  const double w2 = h2 == 0.0 ? 0.0 : -(h / 2.0 + h1 / 6.0) / h2;
  const double slope = h2 == 0.0 ? 0.0 : h1 / h2;
  const NamedRow& moved = weigh_velocities(rows, 5.0 / 6.0, 1.0 / 6.0 - w2, w2);
  const NamedRow& predicted = rows.plus(rows.named(Name::kX, 1.0), rows.times(-h, moved));
  return {rows.minus(rows.named(Name::kNext, 1.0), predicted), weigh_velocities(rows, 1.0, -(1.0 + slope), slope)};
}

// `after` of a skip.
SADA_HD SadaVerdict after_skip(const Sada& sada, const SadaState& state, int step) {
  SadaVerdict verdict;
  verdict.error = state.error_rate * sada.step[step].usual_error * (step - state.computed[0]);
  return verdict;
}

SADA_HD double clamp(double x, double low, double high) { return fmax(low, fmin(high, x)); }

// `missed`: the error of the prediction along the last difference of clean samples, over that.
SADA_HD void learn_response(const Sada& sada, SadaState& state, int step, double missed) {
  constexpr double kFurthest = 2.0, kStrongest = -6.0;
  const int newest = state.computed[0], older = state.computed[1];
  const double past = sada.step[older].level - sada.step[newest].level, gap = sada.step[newest].level - sada.step[step].level;
  if (step - newest < 2 || past == 0.0 || gap == 0.0) return;
  const double seen = clamp((missed * past) / gap + sada.options.slope, -kFurthest, kFurthest);
  state.response = clamp(state.response + sada.options.damping * seen, kStrongest, 0.0);
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
    const double missed = means.along / means.length;
    if (sada.options.damping != 0.0 && is_finite(missed)) learn_response(sada, state, step, missed);
  }
  state.computed[1] = state.computed[0], state.computed[0] = step;
  if (state.computed_count < 2) ++state.computed_count;
  state.spent = 0.0, state.magnitude = magnitude;
  return verdict;
}

}  // namespace sada
