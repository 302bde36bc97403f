import { minus } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import {
  run,
  type Decision,
  type FeatureChange,
  type Features,
  type MemberPolicy,
  type Observation,
  type RunContext,
  type Verdict,
} from './policy.ts'
import { leavesNothing, switchedOff } from './preflight.ts'
import { blocks, stageBefore } from './stages.ts'

export interface TeaCacheOptions {
  threshold: number
  coefficients: readonly number[]
  warmup: number
  tail: number
  conditionalOnly: boolean
}

/**
 * TeaCache (Liu et al., CVPR 2025): m is the input of the blocks. At every step d += p(mean |m − m'| / mean |m'|) with m' of the step
 * before; while d < threshold the blocks do not run and what they added last is added again, else they run and d = 0.
 *
 * m is published as the first block's input after normalisation and modulation, which lies inside that block; here it is what
 * the stage before the blocks gives out. The published polynomials p belong to their models' m: `sada calibrate teacache` fits one.
 * With threshold 0 every step runs, and the trace has p's argument as `change` and the output's relative change as `error`.
 */
export const teaCache: PolicyDefinition<TeaCacheOptions> = define('teacache', 'no polynomial', [1, 0], 0.15)

/** Presets: the published polynomials with a published threshold each. */
export const teaCachePresets = {
  'teacache/flux': define('teacache/flux', 'FLUX.1', [498.651651, -283.781631, 55.8554382, -3.82021401, 0.264230861], 0.4),
  'teacache/hunyuan-video': define(
    'teacache/hunyuan-video',
    'HunyuanVideo',
    [733.226126, -401.131952, 67.5869174, -3.149878, 0.0961237896],
    0.15,
  ),
  'teacache/ltx': define('teacache/ltx', 'LTX-Video', [21.4700694, -12.8016453, 2.31279151, 0.792487521, 0.00969274326], 0.05),
  'teacache/lumina2': define(
    'teacache/lumina2',
    'Lumina-Image 2.0',
    [393.76566581, -603.50993606, 209.10239044, -23.00726601, 0.86377344],
    0.3,
  ),
} as const

function define(name: string, of: string, coefficients: readonly number[], threshold: number): PolicyDefinition<TeaCacheOptions> {
  return {
    name,
    about: `Skips the blocks while their input's change, rescaled by a polynomial, adds up to little (${of}).`,
    source: 'TeaCache (CVPR 2025), published code',
    options: {
      threshold: {
        about: 'sum of rescaled changes from which on the blocks run (published: 0.25 to 0.8 FLUX, 0.1 to 0.15 HunyuanVideo)',
        default: threshold,
        min: 0,
        max: 1000,
      },
      coefficients: {
        about: "the polynomial's, highest power first",
        default: coefficients,
        list: true,
        min: -1e9,
        max: 1e9,
      },
      warmup: { about: 'first steps that always run', default: 1, min: 1, max: 1000, integer: true },
      tail: { about: 'last steps that always run', default: 1, min: 0, max: 1000, integer: true },
      conditionalOnly: {
        about: 'with guidance, measure the row with the prompt alone (published for Wan: each for itself)',
        default: false,
        min: 0,
        max: 1,
      },
    },
    begin: (options, context) => begin(name, options, context),
    preflight: ({ threshold: limit, warmup, tail }, context) => [
      ...switchedOff('threshold', limit),
      ...leavesNothing(context, warmup, tail),
    ],
  }
}

function begin(name: string, options: TeaCacheOptions, context: RunContext): MemberPolicy[] {
  const all = blocks(name, context, 1)
  const features: Features = {
    reuse: { from: all[0], to: all.at(-1)!, mode: 'residual', history: 1 },
    probes: [
      {
        after: stageBefore(name, context, all[0]),
        of: 'output',
        against: 'previous',
        conditionalOnly: options.conditionalOnly,
      },
    ],
  }
  return Array.from({ length: context.members }, () => new TeaCacheMember(options, features, context))
}

/** A polynomial's value; coefficients from the highest power down. */
export const polynomialAt = (coefficients: readonly number[], x: number): number =>
  coefficients.reduce((value, coefficient) => value * x + coefficient, 0)

/** The network's output at the step before, kept where everything runs. */
const OUTPUT = 'output[-1]'

class TeaCacheMember implements MemberPolicy {
  readonly capacity: number
  readonly features: Features
  private readonly options: TeaCacheOptions
  private readonly lastStep: number
  private readonly calibrates: boolean
  private accumulated = 0
  private change: number | undefined

  constructor(options: TeaCacheOptions, features: Features, { solver }: RunContext) {
    this.options = options
    this.features = features
    this.lastStep = solver.schedule.steps - options.tail
    this.calibrates = options.threshold === 0
    this.capacity = this.calibrates ? 2 : 0
  }

  before(): Decision {
    return run
  }

  midway(step: number, { change, magnitude }: FeatureChange): Decision {
    const { threshold, coefficients, warmup } = this.options
    this.change = magnitude > 0 ? change / magnitude : undefined
    if (this.change === undefined || this.calibrates || step < warmup || step >= this.lastStep) return this.compute()
    this.accumulated += polynomialAt(coefficients, this.change)
    return this.accumulated < threshold ? { kind: 'partial', weights: [1] } : this.compute()
  }

  observe(step: number): Observation {
    if (!this.calibrates) return {}
    const store = { [OUTPUT]: { output: 1 } }
    return step === 0 ? { store } : { store, means: [{ a: minus({ output: 1 }, { [OUTPUT]: 1 }) }, { a: { [OUTPUT]: 1 } }] }
  }

  after(_: number, __: Decision, means: readonly number[]): Verdict {
    return {
      ...(this.change !== undefined && { change: this.change }),
      ...(means.length > 0 && means[1] > 0 && { error: means[0] / means[1] }),
    }
  }

  keeps(): string[] {
    return this.calibrates ? [OUTPUT] : []
  }

  private compute(): Decision {
    this.accumulated = 0
    return run
  }
}
