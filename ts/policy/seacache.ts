import { SadaError } from '../errors.ts'
import { minus, plus, substitute, times, type Row } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { networkOutput, type ReusedOutput } from './network-output.ts'
import {
  run,
  type Decision,
  type HostArithmetic,
  type MemberPolicy,
  type Observation,
  type RunContext,
  type SampleMap,
  type Verdict,
} from './policy.ts'
import { leavesNothing, residualOfNoise, switchedOff } from './preflight.ts'
import { seaFilter } from './sea-filter.ts'

export interface SeaCacheOptions {
  threshold: number
  power: number
  order: number
  maxConsecutive: number
  warmup: number
  tail: number
}

/**
 * SeaCache (Chung et al., CVPR 2026), in the form of its diffusers hook. The network's input α·x0 + σ·n is filtered (`seaFilter`);
 * with I_i what remains at step i, e += mean|I_i − I_{i−1}| / mean|I_{i−1}|, and while e < threshold the step is skipped. A skip
 * continues the last residual along the last two (`order` 1) or repeats it (0); computing, for whatever reason, sets e = 0.
 *
 * Published on the residual of the block stack, the original's indicator on the first block's modulated input; here on the network's
 * output less its input (`networkOutput` says which quantity that is), the indicator on the input itself, as the hook has it.
 */
export const seaCache: PolicyDefinition<SeaCacheOptions> = {
  name: 'seacache',
  about: 'Skips while the input, filtered to what is signal at its noise level, changes little; continues output − input.',
  source: 'SeaCache (CVPR 2026), as in diffusers',
  options: {
    threshold: {
      about: 'largest sum of relative changes over a gap (published: 0.25 diffusers; FLUX 0.3 and 0.6)',
      default: 0.25,
      min: 0,
      max: 100,
    },
    power: {
      about: "exponent of the clean signal's power spectrum (published: 2 pictures, 3 video)",
      default: 2,
      min: 0.01,
      max: 16,
    },
    order: {
      about: '1: continue the residual; 0: repeat it (published: 1 diffusers, 0 FLUX)',
      default: 1,
      min: 0,
      max: 1,
      integer: true,
    },
    maxConsecutive: { about: 'skips in a row; 0: as many as there are', default: 2, min: 0, max: 1000, integer: true },
    warmup: { about: 'first steps that always run', default: 1, min: 1, max: 1000, integer: true },
    tail: { about: 'last steps that always run', default: 1, min: 0, max: 1000, integer: true },
  },
  freshNoise: 'unknown to it',
  begin(options, context) {
    if (!context.map) {
      const what = 'Policy "seacache" filters the sample as a map, and how this one\'s elements lie is not known. '
      throw new SadaError('UNSUPPORTED', what + 'Give `layout: "channels-first"` and a shape [batch, channels, height, width].', {
        argument: 'policy',
      })
    }
    const { map } = context
    return Array.from({ length: context.members }, () => new SeaCacheMember(options, context, map))
  },
  preflight: ({ threshold, warmup, tail }, context) => [
    ...switchedOff('threshold', threshold),
    ...leavesNothing(context, warmup, tail),
    ...residualOfNoise(context, warmup),
  ],
}

const residualAt = (step: number): string => `residual[${step}]`
/** The inputs of this step, where it is the first, and of the next. */
const FIRST = 'first input'
const NEXT = 'next input'

class SeaCacheMember implements MemberPolicy {
  readonly capacity = 5
  private readonly options: SeaCacheOptions
  private readonly context: RunContext
  private readonly map: SampleMap
  private readonly network: ReusedOutput
  /** Newest first, as many as the order asks for. */
  private computed: readonly number[] = []
  private indicator: Float32Array | undefined
  /** Relative change of the indicator to the coming step. */
  private change = NaN
  private error = 0
  private consecutive = 0

  constructor(options: SeaCacheOptions, context: RunContext, map: SampleMap) {
    this.options = options
    this.context = context
    this.map = map
    this.network = networkOutput(context.solver, 'velocity')
  }

  before(step: number): Decision {
    const { threshold, maxConsecutive, warmup, tail } = this.options
    const { steps } = this.context.solver.schedule
    const isCapped = maxConsecutive > 0 && this.consecutive >= maxConsecutive
    if (step < warmup || step >= steps - tail || isCapped) return run
    const error = this.error + this.change
    if (!(error < threshold)) return run
    this.error = error
    return { kind: 'skip', action: this.computed.length > 1 ? 'extrapolate' : 'reuse', x0: this.prediction(step) }
  }

  observe(step: number, done: Decision): Observation {
    const { solver } = this.context
    const store: Record<string, Row> = {}
    if (done.kind !== 'skip') store[residualAt(step)] = minus(this.network.observed(step), this.network.input(step))
    if (step + 1 === solver.schedule.steps) return { store }
    store[NEXT] = substitute(this.network.input(step + 1), { x: { next: 1 } })
    if (step === 0) store[FIRST] = this.network.input(0)
    const levels = step === 0 ? [0, 1] : [step + 1]
    const read = step === 0 ? [FIRST, NEXT] : [NEXT]
    return {
      store,
      host: {
        read,
        reduce: (inputs, arithmetic) => inputs.map((input, k) => this.changeTo(input, levels[k], arithmetic)).slice(-1),
      },
    }
  }

  after(step: number, done: Decision, [change = NaN]: readonly number[]): Verdict {
    this.change = change
    if (done.kind === 'skip') {
      this.consecutive++
      return { error: this.error }
    }
    this.error = 0
    this.consecutive = 0
    this.computed = [step, ...this.computed].slice(0, this.options.order + 1)
    return {}
  }

  keeps(): string[] {
    return this.computed.map(residualAt)
  }

  private prediction(step: number): Row {
    const [newest, older] = this.computed
    const reach = older === undefined ? 0 : (step - newest) / (newest - older)
    const residual = plus(
      { [residualAt(newest)]: 1 + reach },
      older === undefined ? {} : times(-reach, { [residualAt(older)]: 1 }),
    )
    return this.network.x0(step, plus(this.network.input(step), residual))
  }

  /** Filters the input of `step` and compares it with the one before; NaN where there is none. */
  private changeTo(input: Float32Array, step: number, arithmetic: HostArithmetic): number {
    const before = this.indicator
    seaFilter(input, this.map, this.context.solver.schedule.levels[step], this.options.power, arithmetic)
    this.indicator = input
    if (!before) return NaN
    let [difference, size] = [0, 0]
    for (let k = 0; k < input.length; k++) {
      difference += Math.abs(input[k] - before[k])
      size += Math.abs(before[k])
    }
    return difference / size
  }
}
