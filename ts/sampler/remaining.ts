import type { MemberStep } from './trace.ts'

/**
 * Before a skip was seen, of a policy that may skip, this share of the later steps is taken to run, and goes on counting as so many steps of
 * evidence. `sada` runs 0.3 (guidance 1) to 0.7 (guidance 7) of 50 steps.
 */
const USUAL = { share: 0.5, steps: 6 }

/**
 * The time that the rest of a run is expected to take. Steps that run cost what those so far did, and skips what those did, so that the first
 * steps, which always run, do not speak for the rest.
 */
export class RemainingTime {
  private readonly maySkip: boolean
  /** Milliseconds, and runs of a member, of the steps that ran the network. The first, which also pays for memory and kernels, counts until there is another. */
  private running = { ms: 0, runs: 0, steps: 0 }
  private skipping = { ms: 0, steps: 0 }
  /** From the first step on that some member skipped. */
  private since = { runs: 0, steps: 0 }
  private lastAt = 0

  constructor(maySkip: boolean) {
    this.maySkip = maySkip
  }

  /** A step is over: what its members did, at `elapsedMs` since the run began. */
  note(members: readonly Pick<MemberStep, 'action' | 'flopShare'>[], elapsedMs: number): void {
    const ms = elapsedMs - this.lastAt
    this.lastAt = elapsedMs
    const runs = members.reduce((sum, { action, flopShare = 1 }) => sum + (isSkip(action) ? 0 : flopShare), 0)
    if (runs > 0) this.noteRun(ms, runs)
    else this.skipping = { ms: this.skipping.ms + ms, steps: this.skipping.steps + 1 }
    if (this.since.steps > 0 || runs < members.length) {
      this.since = { runs: this.since.runs + runs / members.length, steps: this.since.steps + 1 }
    }
  }

  private noteRun(ms: number, runs: number): void {
    const before = this.running.steps === 1 ? { ms: 0, runs: 0 } : this.running
    this.running = { ms: before.ms + ms, runs: before.runs + runs, steps: this.running.steps + 1 }
  }

  /** Milliseconds that `steps` more steps of `members` members are expected to take. */
  of(steps: number, members: number): number {
    const prior = this.maySkip ? USUAL : { share: 1, steps: 1 }
    const share = (prior.share * prior.steps + this.since.runs) / (prior.steps + this.since.steps)
    const perRun = this.running.runs > 0 ? this.running.ms / this.running.runs : 0
    const perSkip = this.skipping.steps > 0 ? this.skipping.ms / this.skipping.steps : 0
    return steps * (share * members * perRun + (1 - share) * perSkip)
  }
}

const isSkip = (action: MemberStep['action']): boolean =>
  action === 'extrapolate' || action === 'interpolate' || action === 'reuse'
