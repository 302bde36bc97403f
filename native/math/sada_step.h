// ts/sampler/member.ts's `prepare` under the policy of sada_policy.h: a step's rows and sums over the buffers that there are.
#pragma once

#include "sada_policy.h"

namespace sada {

// The rows of a step, in this order; of a skip the first two. Sums: |x0|, and of a computed step with two before it missed·missed and a·b.
enum SadaRow { kNextRow, kX0Row, kVelocityRow, kMissedRow, kCriterionA, kCriterionB, kSadaRows };
constexpr int kSadaSums = 3;

struct SadaStep {
  int rows = 0, sums = 0;
  NamedRow row[kSadaRows];
};

SADA_HD SadaStep skipped_step(const Sada& sada, const SadaState& state, int step) {
  const NamedRow x = named(Name::kX, 1.0), x0 = prediction(sada, state, step), x0_prev = named(Name::kX0Prev, 1.0);
  Definitions definitions;
  definitions.set(Name::kX, x), definitions.set(Name::kX0, x0), definitions.set(Name::kX0Prev, x0_prev);
  SadaStep made;
  made.rows = 2, made.sums = 1;
  made.row[kNextRow] = substitute(sada.step[step].update, definitions);
  made.row[kX0Row] = x0;
  return made;
}

// `output`: the network's guided output over kCond and kUncond.
SADA_HD SadaStep computed_step(const Sada& sada, const SadaState& state, int step, const NamedRow& output) {
  const SolverStep& solver = sada.step[step];
  Definitions definitions, of_x0;
  definitions.set(Name::kOutput, output);
  const NamedRow x0 = substitute(solver.denoised, definitions);
  of_x0.set(Name::kX0, x0);
  const SadaCorrection mended = correction(sada, state, step);
  const NamedRow x = plus(named(Name::kX, 1.0), substitute(mended.x, of_x0));
  const NamedRow x0_prev = plus(named(Name::kX0Prev, 1.0), substitute(mended.x0_prev, of_x0));
  definitions.set(Name::kX, x), definitions.set(Name::kX0, x0), definitions.set(Name::kX0Prev, x0_prev);
  SadaStep made;
  const NamedRow next = made.row[kNextRow] = substitute(solver.update, definitions);
  made.row[kX0Row] = x0;
  definitions.of[static_cast<int>(Name::kX0Prev)] = nullptr;  // of the update alone
  const NamedRow y = made.row[kVelocityRow] = substitute(solver.velocity, definitions);
  made.rows = 3, made.sums = 1;
  if (state.computed_count < 2) return made;
  definitions.set(Name::kY, y), definitions.set(Name::kNext, next);
  made.row[kMissedRow] = substitute(minus(named(Name::kX0, 1.0), prediction(sada, state, step)), definitions);
  const SadaCriterion criterion = stability_criterion(sada, state, step);
  made.row[kCriterionA] = substitute(criterion.a, definitions);
  made.row[kCriterionB] = substitute(criterion.b, definitions);
  made.rows = kSadaRows, made.sums = kSadaSums;
  return made;
}

}  // namespace sada
