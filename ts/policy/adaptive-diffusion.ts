import { minus } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { networkOutput, type ReusedOutput } from './network-output.ts'
import { run, type Decision, type MemberPolicy, type Observation, type RunContext, type Verdict } from './policy.ts'
import { leavesNothing, switchedOff } from './preflight.ts'

export interface AdaptiveDiffusionOptions {
  threshold: number
  maxConsecutive: number
  tail: number
}

/** Steps that always run: the first estimate needs three differences between states that steps have made. */
const WARMUP = 4
/** The cap on skips holds once so many decisions have been made. */
const FREE_DECISIONS = 4

/**
 * AdaptiveDiffusion (Ye et al., NeurIPS 2024), as its code has it. With d_i the mean |x_{i+1} − x_i| over the state, in the
 * solver's own scale, step i + 1 is skipped if |(d_i + d_{i−2})/2 − d_{i−1}| ≤ threshold·d_{i−1}. A skip reuses the network's output
 * (`networkOutput` says which quantity that is) of the last computed step at the new state.
 */
export const adaptiveDiffusion: PolicyDefinition<AdaptiveDiffusionOptions> = {
  name: 'adaptive-diffusion',
  about: "Skips while the lengths of the sampler's steps change evenly; reuses the network's output.",
  source: 'AdaptiveDiffusion (NeurIPS 2024), published code',
  options: {
    threshold: {
      about: 'largest relative second difference of step lengths that is skipped; published 0.01, LDM 0.004, I2VGen 0.008',
      default: 0.01,
      min: 0,
      max: 10,
    },
    maxConsecutive: { about: 'skips in a row (published: 4, LDM 6)', default: 4, min: 0, max: 1000, integer: true },
    tail: { about: 'last steps that always run (published: none)', default: 0, min: 0, max: 1000, integer: true },
  },
  freshNoise: 'unknown to it',
  begin: (options, context) => Array.from({ length: context.members }, () => new AdaptiveDiffusionMember(options, context)),
  preflight: ({ threshold, maxConsecutive, tail }, context) => [
    ...(threshold > 0 ? [] : ['With threshold 0 nothing can be skipped, unless lengths of steps change exactly evenly.']),
    ...switchedOff('maxConsecutive', maxConsecutive),
    ...leavesNothing(context, WARMUP, tail),
  ],
}

/** The stored output of the last computed step. */
const STORED = 'reused'

class AdaptiveDiffusionMember implements MemberPolicy {
  readonly capacity = 2
  private readonly options: AdaptiveDiffusionOptions
  private readonly steps: number
  private readonly network: ReusedOutput
  /** d of the last three steps, newest first. */
  private lengths: readonly number[] = []
  private consecutive = 0

  constructor(options: AdaptiveDiffusionOptions, { solver }: RunContext) {
    this.options = options
    this.steps = solver.schedule.steps
    this.network = networkOutput(solver, 'noise')
  }

  before(step: number): Decision {
    const { maxConsecutive, tail } = this.options
    if (step < WARMUP || step >= this.steps - tail || maxConsecutive === 0) return run
    // The published code looks at its last `maxConsecutive` decisions, or at all of them while there are fewer.
    const decided = step - WARMUP
    if (decided > FREE_DECISIONS && this.consecutive >= Math.min(maxConsecutive, decided)) return run
    if (!(this.unevenness() <= 0)) return run
    return { kind: 'skip', action: 'reuse', x0: this.network.x0(step, { [STORED]: 1 }) }
  }

  observe(step: number, done: Decision): Observation {
    const means = [{ a: minus({ next: 1 }, { x: 1 }) }]
    return done.kind === 'skip' ? { means } : { means, store: { [STORED]: this.network.observed(step) } }
  }

  after(_: number, done: Decision, [length]: readonly number[]): Verdict {
    this.consecutive = done.kind === 'skip' ? this.consecutive + 1 : 0
    this.lengths = [length, ...this.lengths].slice(0, 3)
    return this.lengths.length === 3 ? { criterion: this.unevenness() } : {}
  }

  keeps(): string[] {
    return [STORED]
  }

  /** |(d_i + d_{i−2})/2 − d_{i−1}| − threshold·d_{i−1}: at most 0 where the next step may be skipped. */
  private unevenness(): number {
    const [d, d1, d2] = this.lengths
    return Math.abs((d + d2) / 2 - d1) - this.options.threshold * d1
  }
}
