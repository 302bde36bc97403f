import type { MemberStep } from './trace.ts'

/** Of later steps the share that is taken to run at first, and for how many steps of evidence that stands: about what `sada` runs at guidance 3, and more at 7. */
const USUAL = { share: (steps: number) => Math.min(1, 0.25 + 12.5 / steps), steps: 6 }
/** Steps that run without having to say anything about the later ones. */
const FIRST_STEPS = 8

/**
 * The time that the rest of a run is expected to take. Steps that run cost what those so far did, and skips what those did, so that the first
 * steps, which always run, do not speak for the rest.
 */
export class RemainingTime {
  private readonly steps: number
  private readonly maySkip: boolean
  /** Milliseconds, and runs of a member, of the steps that ran the network. The first, which also pays for memory and kernels, counts until there is another. */
  private running = { ms: 0, runs: 0, steps: 0 }
  private skipping = { ms: 0, steps: 0 }
  /** From the first step on that some member skipped, or from the ninth. */
  private since = { runs: 0, steps: 0 }
  private lastAt = 0
  private seen = 0

  /** Of a run of so many steps. */
  constructor(steps: number, maySkip: boolean) {
    this.steps = steps
    this.maySkip = maySkip
  }

  /** A step is over: what its members did, at `elapsedMs` since the run began. */
  note(members: readonly Pick<MemberStep, 'action' | 'flopShare'>[], elapsedMs: number): void {
    const ms = elapsedMs - this.lastAt
    this.lastAt = elapsedMs
    const runs = members.reduce((sum, { action, flopShare = 1 }) => sum + (isSkip(action) ? 0 : flopShare), 0)
    if (runs > 0) this.noteRun(ms, runs)
    else this.skipping = { ms: this.skipping.ms + ms, steps: this.skipping.steps + 1 }
    this.seen++
    if (this.since.steps > 0 || runs < members.length || this.seen > FIRST_STEPS) {
      this.since = { runs: this.since.runs + runs / members.length, steps: this.since.steps + 1 }
    }
  }

  private noteRun(ms: number, runs: number): void {
    const before = this.running.steps === 1 ? { ms: 0, runs: 0 } : this.running
    this.running = { ms: before.ms + ms, runs: before.runs + runs, steps: this.running.steps + 1 }
  }

  /** Milliseconds that the steps after those noted are expected to take, of `members` members. */
  of(members: number): number {
    const usual = this.maySkip ? USUAL.share(this.steps) : 1
    const share = (usual * USUAL.steps + this.since.runs) / (USUAL.steps + this.since.steps)
    const perRun = this.running.runs > 0 ? this.running.ms / this.running.runs : 0
    const perSkip = this.skipping.steps > 0 ? this.skipping.ms / this.skipping.steps : 0
    return (this.steps - this.seen) * (share * members * perRun + (1 - share) * perSkip)
  }
}

const isSkip = (action: MemberStep['action']): boolean =>
  action === 'extrapolate' || action === 'interpolate' || action === 'reuse'
