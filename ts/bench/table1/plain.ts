import { mean, median } from '../statistics.ts'
import type { Run } from './journal.ts'

/** What plain runs are matched by: the time of the sampling loop, or the network's operations, which other work on the machine does not touch. */
export type PlainBy = 'time' | 'flops'

/** What a share of the baseline's cost follows from. */
export type Costs = Pick<Run, 'flops' | 'baseline_flops' | 'loop_ms' | 'baseline_loop_ms'>

/** As rounding leaves a share that is a whole number of steps just below it. */
const ROUNDING = 1e-9

/**
 * As many plain steps as what these runs cost allows, rounded down: all of one method, solver, guidance and kind of prompts, as what a method
 * costs depends on each. Of operations it is the mean that they may cost; of times the median, which a hiccup of the machine does not move.
 * At least one step, at most all.
 */
export function plainStepsOf(runs: readonly Costs[], by: PlainBy, steps: number): number {
  const share =
    by === 'time'
      ? median(runs.map((run) => run.loop_ms / run.baseline_loop_ms))
      : mean(runs.map((run) => run.flops)) / mean(runs.map((run) => run.baseline_flops))
  return Math.min(steps, Math.max(1, Math.floor(steps * share + ROUNDING)))
}
