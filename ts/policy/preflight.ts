import type { MemberPolicy, RunContext } from './policy.ts'

/** What there is to say where the steps that always run are all there are. */
export function leavesNothing({ solver }: RunContext, warmup: number, tail: number): string[] {
  const { steps } = solver.schedule
  if (warmup + tail < steps) return []
  // A default that follows the number of steps never falls as that rises: below this there is nothing either.
  const least = warmup + tail + 1
  return [
    `The first ${warmup} and the last ${tail} steps always run, and there are ${steps}: nothing can be skipped in fewer than ${least}.`,
  ]
}

/** What there is to say of an option at the value that switches the method off. */
export function switchedOff(option: string, value: number, off = 0): string[] {
  return value > off ? [] : [`With ${option} ${value} nothing can be skipped.`]
}

/**
 * What there is to say where a policy turns out to run every step, because it decides without measuring or though each of its
 * measurements is as in `means`. `member` is used up.
 */
export function drySchedule(member: MemberPolicy, context: RunContext, means: readonly number[] = []): string[] {
  const { steps } = context.solver.schedule
  for (let step = 0; step < steps; step++) {
    const decision = member.before(step)
    if (decision.kind === 'skip') return []
    member.after(step, decision, means, 0)
  }
  return [runsAll(context)]
}

export function runsAll({ solver }: RunContext): string {
  return `Of ${solver.schedule.steps} steps this setting runs all: nothing can be skipped.`
}

/**
 * What there is to say where output − input of a network that predicts noise is reused from `step` on. It was published on velocity. The
 * noise then changes by as much as the input z = α·x0 + σ·n, and x0 = (z − σ·n)/α by −σ/α times that.
 */
export function residualOfNoise({ solver: { schedule } }: RunContext, step: number): string[] {
  const { prediction, levels, steps } = schedule
  const { alpha, sigma } = levels[Math.min(step, steps - 1)]
  if (prediction !== 'epsilon' || sigma <= alpha) return []
  const factor = (sigma / alpha).toPrecision(2)
  return [
    `This network predicts noise: reusing its output − input, published on velocities, carries the input's change into x0 ${factor} ` +
      `times over at step ${step}.`,
  ]
}
