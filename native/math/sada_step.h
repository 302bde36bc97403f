// ts/sampler/member.ts's `prepare` under the policy of sada_policy.h: a step's rows and sums over the buffers that there are.
#pragma once

#include "sada_policy.h"

namespace sada {

// The rows of a step, in this order; of a skip the first two. Sums: |x0|, and of a computed step with two before it missed·missed and
// a·b, where there is damping missed·last and last·last as well.
enum SadaRow { kNextRow, kX0Row, kVelocityRow, kMissedRow, kCriterionA, kCriterionB, kLastRow, kSadaRows };
constexpr int kSadaSums = 5;

struct SadaStep {
  int rows = 0, sums = 0;
  const NamedRow* row[kSadaRows] = {};
};

// What the functions below write: a step, the rows that it is of, and those on the way there.
struct SadaWork {
  SadaStep step;
  NamedRows rows;
  Definitions definitions, of_x0;

  SADA_HD constexpr void clear() {
    step.rows = step.sums = 0;
    rows.clear();
    definitions.clear(), of_x0.clear();
  }
};

SADA_HD constexpr void make_skipped_step(SadaWork& work, const Sada& sada, const SadaState& state, int step) {
  work.clear();
  NamedRows& rows = work.rows;
  const NamedRow& x0 = prediction(rows, sada, state, step);
  work.definitions.set(Name::kX, rows.named(Name::kX, 1.0)), work.definitions.set(Name::kX0, x0);
  work.definitions.set(Name::kX0Prev, rows.named(Name::kX0Prev, 1.0));
  work.step.rows = 2, work.step.sums = 1;
  work.step.row[kNextRow] = &rows.substitute(sada.step[step].update, work.definitions);
  work.step.row[kX0Row] = &x0;
}

// What a step is measured by, where two have been computed before it.
SADA_HD constexpr void add_measures(SadaWork& work, const Sada& sada, const SadaState& state, int step) {
  NamedRows& rows = work.rows;
  work.definitions.set(Name::kY, *work.step.row[kVelocityRow]), work.definitions.set(Name::kNext, *work.step.row[kNextRow]);
  work.step.row[kMissedRow] =
      &rows.substitute(rows.minus(rows.named(Name::kEstimate, 1.0), prediction(rows, sada, state, step)), work.definitions);
  const SadaCriterion criterion = stability_criterion(rows, sada, state, step);
  work.step.row[kCriterionA] = &rows.substitute(criterion.a, work.definitions);
  work.step.row[kCriterionB] = &rows.substitute(criterion.b, work.definitions);
  work.step.rows = kLastRow, work.step.sums = 3;
  if (sada.options.damping == 0.0) return;
  work.step.row[kLastRow] = &rows.minus(rows.named(Name::kX0Newest, 1.0), rows.named(Name::kX0Older, 1.0));
  work.step.rows = kSadaRows, work.step.sums = kSadaSums;
}

// `output`: the network's guided output over kCond and kUncond.
SADA_HD constexpr void make_computed_step(SadaWork& work, const Sada& sada, const SadaState& state, int step, const NamedRow& output) {
  const SolverStep& solver = sada.step[step];
  work.clear();
  NamedRows& rows = work.rows;
  NamedRow &x_more = rows.empty(), &x0_prev_more = rows.empty();
  correct(rows, work.definitions, sada, state, step, x_more, x0_prev_more);
  work.definitions.clear();
  work.definitions.set(Name::kOutput, output);
  const NamedRow& estimate = rows.substitute(solver.denoised, work.definitions);
  work.definitions.set(Name::kEstimate, estimate);
  const bool is_answered = is_corrected(state, step) && state.response != 0.0;
  const NamedRow& x0 = is_answered ? rows.substitute(answer(rows, sada, state, step, x_more), work.definitions) : estimate;
  work.of_x0.set(Name::kX0, x0);
  const NamedRow& x = rows.plus(rows.named(Name::kX, 1.0), rows.substitute(x_more, work.of_x0));
  const NamedRow& x0_prev = rows.plus(rows.named(Name::kX0Prev, 1.0), rows.substitute(x0_prev_more, work.of_x0));
  work.definitions.set(Name::kX, x), work.definitions.set(Name::kX0, x0), work.definitions.set(Name::kX0Prev, x0_prev);
  work.step.row[kNextRow] = &rows.substitute(solver.update, work.definitions);
  work.step.row[kX0Row] = &x0;
  work.definitions.of[static_cast<int>(Name::kX0Prev)] = nullptr;  // of the update alone
  work.step.row[kVelocityRow] = &rows.substitute(solver.velocity, work.definitions);
  work.step.rows = 3, work.step.sums = 1;
  if (state.computed_count == 2) add_measures(work, sada, state, step);
}

// The rows that the longest way through the above makes: a computed step after a skip and two others, that is answered and damped. There
// are as many of any schedule.
constexpr int count_most_rows() {
  SolverStep levels[5];
  for (SolverStep& level : levels) level.signal = 1.0;
  Sada sada;
  sada.options.damping = 1.0, sada.steps = 4, sada.step = levels;
  SadaState state;
  state.computed[0] = 1, state.computed[1] = 0, state.computed_count = 2, state.response = -1.0;
  SadaWork work;
  make_computed_step(work, sada, state, 3, NamedRow{});
  return work.rows.made();
}
// The compiler takes no row that there is no room for.
constexpr int kMostRows = count_most_rows();
static_assert(kMostRows <= NamedRows::kRoom, "room for every row");

}  // namespace sada
