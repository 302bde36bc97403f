import type { MemberPolicy, RunContext } from './policy.ts'

/** What there is to say where the steps that always run are all there are. */
export function leavesNothing({ solver }: RunContext, warmup: number, tail: number): string[] {
  const { steps } = solver.schedule
  if (warmup + tail < steps) return []
  return [`Of ${steps} steps the first ${warmup} and the last ${tail} always run: nothing can be skipped.`]
}

/** What there is to say of an option at the value that switches the method off. */
export function switchedOff(option: string, value: number, off = 0): string[] {
  return value > off ? [] : [`With ${option} ${value} nothing can be skipped.`]
}

/** What there is to say where a policy that decides without measuring turns out to run every step. `member` is used up. */
export function drySchedule(member: MemberPolicy, { solver }: RunContext): string[] {
  const { steps } = solver.schedule
  for (let step = 0; step < steps; step++) {
    const decision = member.before(step)
    if (decision.kind === 'skip') return []
    member.after(step, decision, [], 0)
  }
  return [`Of ${steps} steps this setting runs all: nothing can be skipped.`]
}
