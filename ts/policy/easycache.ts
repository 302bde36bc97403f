import { minus, plus, substitute, type Row } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { networkOutput, type ReusedOutput } from './network-output.ts'
import { run, type Decision, type MemberPolicy, type Observation, type RunContext, type Verdict } from './policy.ts'
import { leavesNothing, residualOfNoise, switchedOff } from './preflight.ts'

export interface EasyCacheOptions {
  threshold: number
  warmup: number
  tail: number
  fromComputed: boolean
}

/**
 * EasyCache (Zhou et al. 2025), as its code has it. At a computed step k = mean|o − o'| / mean|z − z'|, with o the network's output
 * (`networkOutput` says which quantity that is), z its input α·x0 + σ·n, and ' the computed step before. At every other step
 * e += k·mean|z_i − z_{i−1}| / mean|o'|; while e < threshold the step is skipped, with o = z + (o' − z').
 *
 * Published on each guidance branch or, for Wan, on the conditional one alone; here all quantities are of the guided output.
 */
export const easyCache: PolicyDefinition<EasyCacheOptions> = {
  name: 'easycache',
  about: "Skips while the output's change, forecast from the input's, adds up to little; reuses output − input.",
  source: 'EasyCache, published code',
  options: {
    threshold: {
      about: 'largest sum of relative changes over a gap (published: 0.05 Wan, 0.025 HunyuanVideo; ComfyUI 0.2)',
      default: 0.05,
      min: 0,
      max: 100,
    },
    warmup: {
      about: 'first steps that always run (published: 10 of 50 Wan, 5 HunyuanVideo)',
      default: 10,
      min: 2,
      max: 1000,
      integer: true,
    },
    tail: { about: 'last steps that always run', default: 1, min: 0, max: 1000, integer: true },
    fromComputed: {
      about: "measure the input's change from the last computed step, as ComfyUI and stable-diffusion.cpp do, and still add up",
      default: false,
      min: 0,
      max: 1,
    },
  },
  freshNoise: 'unknown to it',
  begin: (options, context) => Array.from({ length: context.members }, () => new EasyCacheMember(options, context)),
  preflight: ({ threshold, warmup, tail }, context) => [
    ...switchedOff('threshold', threshold),
    ...leavesNothing(context, warmup, tail),
    ...residualOfNoise(context, warmup),
  ],
}

/** Output and input of the last computed step. */
const OUTPUT = 'reused'
const INPUT = 'input'

class EasyCacheMember implements MemberPolicy {
  readonly capacity = 4
  private readonly options: EasyCacheOptions
  private readonly steps: number
  private readonly network: ReusedOutput
  private computed = 0
  private rate = NaN
  private outputSize = NaN
  /** Mean |z_{i+1} − z_i|, or from the last computed step. */
  private inputChange = NaN
  private error = 0

  constructor(options: EasyCacheOptions, { solver }: RunContext) {
    this.options = options
    this.steps = solver.schedule.steps
    this.network = networkOutput(solver, 'velocity')
  }

  before(step: number): Decision {
    const { threshold, warmup, tail } = this.options
    if (step < warmup || step >= this.steps - tail || Number.isNaN(this.rate)) return this.compute()
    this.error += (this.rate * this.inputChange) / this.outputSize
    if (!(this.error < threshold)) return this.compute()
    const residual = minus({ [OUTPUT]: 1 }, { [INPUT]: 1 })
    return { kind: 'skip', action: 'reuse', x0: this.network.x0(step, plus(this.network.input(step), residual)) }
  }

  observe(step: number, done: Decision): Observation {
    const input = this.network.input(step)
    const change = { a: minus(this.nextInput(step), this.options.fromComputed ? this.from(step, done) : input) }
    if (done.kind === 'skip') return { means: [change] }
    const output = this.network.observed(step)
    const store = { [OUTPUT]: output, [INPUT]: input }
    if (this.computed === 0) return { store, means: [change, { a: output }] }
    return {
      store,
      means: [change, { a: output }, { a: minus(output, { [OUTPUT]: 1 }) }, { a: minus(input, { [INPUT]: 1 }) }],
    }
  }

  after(_: number, done: Decision, means: readonly number[]): Verdict {
    this.inputChange = means[0]
    if (done.kind === 'skip') return { error: this.error }
    this.error = 0 // also where a skip was refused
    this.computed++
    this.outputSize = means[1]
    if (means.length > 2) this.rate = means[2] / means[3]
    return {}
  }

  keeps(): string[] {
    return [OUTPUT, INPUT]
  }

  private compute(): Decision {
    this.error = 0
    return run
  }

  /** What the network will be given at the next step. The last step has no next. */
  private nextInput(step: number): Row {
    return step + 1 < this.steps ? substitute(this.network.input(step + 1), { x: { next: 1 } }) : { next: 1 }
  }

  /** The input of the last computed step, as of the next one. */
  private from(step: number, done: Decision): Row {
    return done.kind === 'skip' ? { [INPUT]: 1 } : this.network.input(step)
  }
}
