import { noiseShare } from '../schedule/noise-level.ts'
import { boundedLagrange } from '../solver/lagrange.ts'
import type { PolicyDefinition } from './definition.ts'
import { x0At } from './history.ts'
import { drySchedule } from './preflight.ts'
import { run, type Decision, type MemberPolicy, type Observation, type Verdict, type RunContext } from './policy.ts'

export interface EveryNOptions {
  n: number
  order: number
  warmup: number
  tail: number
}

/** The fixed schedule that every adaptive policy has to beat. */
export const everyN: PolicyDefinition<EveryNOptions> = {
  name: 'every-n',
  about: 'Runs every n-th step and continues the clean sample as a polynomial in between; the same on every prompt.',
  source: 'fixed schedule; Lagrange interpolation with true gaps',
  options: {
    n: { about: 'run one step of every n', default: 3, min: 1, max: 1000, integer: true },
    order: {
      about: 'degree of the polynomial: 0 repeats the last clean sample, 1 is linear',
      default: 1,
      min: 0,
      max: 3,
      integer: true,
      fewest: 0,
    },
    warmup: { about: 'first steps that always run', default: 10, min: 1, max: 1000, integer: true },
    tail: { about: 'last steps that always run', default: 2, min: 0, max: 1000, integer: true },
  },
  begin: (options, context) => Array.from({ length: context.members }, () => new EveryN(options, context)),
  preflight: (options, context) => drySchedule(new EveryN(options, context), context),
}

class EveryN implements MemberPolicy {
  readonly capacity: number
  /** Computed steps, newest first, as many as the polynomial needs. */
  private computed: readonly number[] = []
  private readonly options: EveryNOptions
  private readonly context: RunContext

  constructor(options: EveryNOptions, context: RunContext) {
    this.options = options
    this.context = context
    this.capacity = options.order + 2
  }

  before(step: number): Decision {
    const { n, warmup, tail } = this.options
    const { schedule } = this.context.solver
    if (step < warmup || step >= schedule.steps - tail || (step - warmup) % n === 0) return run
    const level = (i: number): number => noiseShare(schedule.levels[i])
    const weights = boundedLagrange(this.computed.map(level), level(step), Infinity)
    const x0 = Object.fromEntries(weights.map((weight, k) => [x0At(this.computed[k]), weight]))
    return { kind: 'skip', action: weights.length === 1 ? 'reuse' : 'interpolate', x0 }
  }

  observe(step: number, done: Decision): Observation {
    return done.kind === 'skip' ? {} : { store: { [x0At(step)]: { x0: 1 } } }
  }

  after(step: number, done: Decision): Verdict {
    if (done.kind !== 'skip') this.computed = [step, ...this.computed].slice(0, this.options.order + 1)
    return {}
  }

  keeps(): string[] {
    return this.computed.map(x0At)
  }
}
