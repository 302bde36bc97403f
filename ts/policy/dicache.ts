import type { PolicyDefinition } from './definition.ts'
import {
  run,
  type Decision,
  type FeatureChange,
  type Features,
  type MemberPolicy,
  type RunContext,
  type Verdict,
} from './policy.ts'
import { leavesNothing, switchedOff } from './preflight.ts'
import { blocks } from './stages.ts'

export interface DiCacheOptions {
  threshold: number
  maxRatio: number
  warmup: number
  tail: number
  conditionalOnly: boolean
}

/**
 * DiCache (Bu et al., ICLR 2026), as its FLUX code has it. y is what leaves the first block, the probe. At every step
 * d += mean |y − y'| / mean |y'| with y' of the step before, whatever that did; while d < threshold the other blocks do not run, else they do and d = 0.
 * A step without them takes its input plus R'' + γ·(R' − R''), R what all blocks added and ' and '' at the last two computed steps;
 * γ = mean |r − r''| / mean |r' − r''|, r what the probe added, is kept within 1 … maxRatio. Where r' = r'', or only one step ran before, R' is added.
 *
 * The same code has another error to add up, |relative change of y − that of the input|, which it does not use by default; that is
 * not here. For HunyuanVideo it runs at d ≤ 0.1, for WAN 2.1 below 0.08 with ratios to 2, each after a fifth of the steps.
 */
export const diCache: PolicyDefinition<DiCacheOptions> = {
  name: 'dicache',
  about: 'Runs the first block, and the others once its output has changed enough; continues them as far as it has moved.',
  source: 'DiCache (ICLR 2026), published code for FLUX',
  options: {
    threshold: {
      about:
        "sum of the first block's relative changes from which on the others run (published: 0.4 FLUX, 0.1 HunyuanVideo, 0.08 WAN)",
      default: 0.4,
      min: 0,
      max: 1000,
    },
    maxRatio: {
      about:
        'how far what the blocks add is continued, in distances of the last two computed steps; 1: it is reused (published: 1.5, 2 WAN)',
      default: 1.5,
      min: 1,
      max: 1000,
    },
    warmup: {
      about: 'first steps that always run',
      default: ({ solver }) => Math.floor(0.2 * solver.schedule.steps) + 1,
      defaultText: 'a fifth of the steps, and one',
      min: 1,
      max: 1000,
      integer: true,
    },
    tail: { about: 'last steps that always run', default: 1, min: 0, max: 1000, integer: true },
    conditionalOnly: {
      about: 'with guidance, measure the row with the prompt alone (published for WAN: each for itself)',
      default: false,
      min: 0,
      max: 1,
    },
  },
  begin,
  preflight: ({ threshold, warmup, tail }, context) => [
    ...switchedOff('threshold', threshold),
    ...leavesNothing(context, warmup, tail),
  ],
}

function begin(options: DiCacheOptions, context: RunContext): MemberPolicy[] {
  const [first, second, ...more] = blocks('dicache', context, 2)
  const probe = { after: first, conditionalOnly: options.conditionalOnly }
  const features: Features = {
    reuse: { from: second, to: more.at(-1) ?? second, mode: 'residual', since: first, history: 2 },
    probes: [
      { ...probe, of: 'output', against: 'previous' },
      { ...probe, of: 'residual', against: 'last-computed' },
      { ...probe, of: 'residual', against: 'last-but-one-computed' },
    ],
  }
  return Array.from({ length: context.members }, () => new DiCacheMember(options, features, context))
}

class DiCacheMember implements MemberPolicy {
  readonly capacity = 0
  readonly features: Features
  private readonly options: DiCacheOptions
  private readonly lastStep: number
  private accumulated = 0
  private change: number | undefined
  /** mean |r − r'| of this step, and mean |r' − r''|; 0 where there are not so many. */
  private moved = 0
  private apart = 0

  constructor(options: DiCacheOptions, features: Features, { solver }: RunContext) {
    this.options = options
    this.features = features
    this.lastStep = solver.schedule.steps - options.tail
  }

  before(): Decision {
    return run
  }

  midway(step: number, { change, magnitude }: FeatureChange, fromLast: FeatureChange, fromLastButOne: FeatureChange): Decision {
    const { threshold, maxRatio, warmup } = this.options
    this.change = magnitude > 0 ? change / magnitude : undefined
    this.moved = fromLast.change
    if (this.change === undefined || step < warmup || step >= this.lastStep) return run
    this.accumulated += this.change
    if (!(this.accumulated < threshold)) return run
    if (!(this.apart > 0)) return { kind: 'partial', weights: [1] }
    const ratio = Math.min(maxRatio, Math.max(1, fromLastButOne.change / this.apart))
    return { kind: 'partial', weights: [ratio, 1 - ratio] }
  }

  observe(): object {
    return {}
  }

  after(_: number, done: Decision): Verdict {
    if (done.kind !== 'partial') {
      this.accumulated = 0
      this.apart = this.moved
    }
    return this.change === undefined ? {} : { change: this.change }
  }

  keeps(): string[] {
    return []
  }
}
