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

export interface FirstBlockCacheOptions {
  threshold: number
  warmup: number
  maxConsecutive: number
  conditionalOnly: boolean
}

/**
 * First-Block-Cache (ParaAttention, diffusers): r = what the first block adds to its input. Where mean |r − r'| < threshold · mean |r'|,
 * with r' of the last computed step, the other blocks do not run: what they added then is added now.
 */
export const firstBlockCache: PolicyDefinition<FirstBlockCacheOptions> = {
  name: 'first-block-cache',
  about: "Runs the first block, and the others only if the first one's work has changed since they last ran.",
  source: 'First-Block-Cache (ParaAttention), as in diffusers',
  options: {
    threshold: {
      about: "relative change of the first block's residual from which on the others run (published: 0.05 to 0.12)",
      default: 0.05,
      min: 0,
      max: 1000,
    },
    warmup: {
      about: 'first steps that always run (published: none, the first has nothing to reuse)',
      default: 1,
      min: 1,
      max: 1000,
      integer: true,
    },
    maxConsecutive: {
      about: 'partial passes in a row; 1000: no limit (published: none)',
      default: 1000,
      min: 0,
      max: 1000,
      integer: true,
    },
    conditionalOnly: {
      about: 'with guidance, measure the row with the prompt alone (published: both together)',
      default: false,
      min: 0,
      max: 1,
    },
  },
  begin: (options, context) =>
    firstBlockMembers('first-block-cache', { ...options, maxCached: 1000, maxAccumulated: 1000, order: 0 }, context),
  preflight: ({ threshold, warmup, maxConsecutive }, context) => [
    ...switchedOff('threshold', threshold),
    ...switchedOff('maxConsecutive', maxConsecutive),
    ...leavesNothing(context, warmup, 0),
  ],
}

/** Options of the policies that watch the first block; 1000 is no limit. */
export interface FirstBlockOptions extends FirstBlockCacheOptions {
  /** Partial passes in the whole run. */
  readonly maxCached: number
  /** Sum of all changes measured in the run from which on every step runs. */
  readonly maxAccumulated: number
  /** Of the Taylor series that continues what the other blocks add; 0: it is reused. */
  readonly order: number
}

export function firstBlockMembers(policy: string, options: FirstBlockOptions, context: RunContext): MemberPolicy[] {
  const [first, second, ...more] = blocks(policy, context, 2)
  const features: Features = {
    reuse: { from: second, to: more.at(-1) ?? second, mode: 'residual', history: options.order + 1 },
    probes: [{ after: first, of: 'residual', against: 'last-computed', conditionalOnly: options.conditionalOnly }],
  }
  return Array.from({ length: context.members }, () => new FirstBlockMember(options, features))
}

class FirstBlockMember implements MemberPolicy {
  readonly capacity = 0
  readonly features: Features
  private readonly options: FirstBlockOptions
  /** Computed steps, newest first, as many as the series needs. */
  private computed: readonly number[] = []
  private cached = 0
  private consecutive = 0
  private accumulated = 0
  private change: number | undefined

  constructor(options: FirstBlockOptions, features: Features) {
    this.options = options
    this.features = features
  }

  before(): Decision {
    return run
  }

  midway(step: number, { change, magnitude }: FeatureChange): Decision {
    const { threshold, warmup, maxConsecutive, maxCached, maxAccumulated, order } = this.options
    this.change = magnitude > 0 ? change / magnitude : undefined
    if (this.change === undefined || step < warmup) return run
    if (this.cached >= maxCached || this.consecutive >= maxConsecutive || this.accumulated >= maxAccumulated) return run
    this.accumulated += this.change
    if (!(this.change < threshold)) return run
    return { kind: 'partial', weights: taylorWeights(this.computed, step, order) }
  }

  observe(): object {
    return {}
  }

  after(step: number, done: Decision): Verdict {
    if (done.kind === 'partial') {
      this.cached++
      this.consecutive++
    } else {
      this.computed = [step, ...this.computed].slice(0, this.options.order + 1)
      this.consecutive = 0
    }
    return this.change === undefined ? {} : { change: this.change }
  }

  keeps(): string[] {
    return []
  }
}

/**
 * Weights of the features at `computed` steps, newest first, in their Taylor series at `step`: F_0 is the newest feature,
 * F_{k+1} = (F_k − F_k')/gap with ' at the computed step before, and the series is ΣF_k·e^k/k!, e steps after the newest.
 */
export function taylorWeights(computed: readonly number[], step: number, order: number): number[] {
  const weights = computed.slice(0, order + 1).map(() => 0)
  let term = 1
  for (const [k, difference] of differences(computed, order).entries()) {
    if (k > 0) term *= (step - computed[0]) / k
    for (const [age, weight] of difference.entries()) weights[age] += term * weight
  }
  return weights
}

/** F_0, F_1, … at the newest step, as weights by age. */
function differences([now, ...before]: readonly number[], order: number): number[][] {
  const rows: number[][] = [[1]]
  if (before.length === 0 || order === 0) return rows
  for (const [k, older] of differences(before, order - 1).entries()) {
    const shifted = [0, ...older]
    rows.push(shifted.map((weight, age) => ((rows[k][age] ?? 0) - weight) / (now - before[0])))
  }
  return rows
}
