import { roundHalfEven } from '../schedule/grid.ts'
import { minus, plus } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { networkOutput, type ReusedOutput } from './network-output.ts'
import { run, type Decision, type MemberPolicy, type Observation, type RunContext, type Verdict } from './policy.ts'
import { drySchedule, residualOfNoise } from './preflight.ts'

export interface MagCacheOptions {
  threshold: number
  maxConsecutive: number
  retention: number
  ratios: readonly number[]
  keep: number
  calibrate: boolean
}

/** Published curve of FLUX.1-dev, 28 steps: mean norm of the residual relative to that of the step before. */
const FLUX: readonly number[] = [
  1, 1.21094, 1.11719, 1.07812, 1.0625, 1.03906, 1.03125, 1.03906, 1.02344, 1.03125, 1.02344, 0.98047, 1.01562, 1.00781, 1,
  1.00781, 1, 1.00781, 1, 1, 0.99609, 0.99609, 0.98047, 0.98828, 0.96484, 0.95703, 0.93359, 0.89062,
]

/**
 * MagCache (Ma et al., NeurIPS 2025), as its FLUX code has it. With γ_i the known ratio of the residual's size at step i to that at i − 1:
 * ρ ← ρ·γ_i, e ← e + |1 − ρ|, n ← n + 1; while e ≤ threshold and n ≤ maxConsecutive the step is skipped and the last residual reused,
 * else the network runs and ρ = 1, e = n = 0. The curve, hence the schedule, is the same for every prompt.
 *
 * Published on the residual of the block stack; here on the network's output less its input (`networkOutput` says which quantity that is).
 * The published curve belongs to FLUX: `calibrate` measures another network's.
 */
export const magCache: PolicyDefinition<MagCacheOptions> = {
  name: 'magcache',
  about: 'Skips while the known ratios of output − input stay near 1; reuses output − input. The same on every prompt.',
  source: 'MagCache (NeurIPS 2025), published code for FLUX',
  options: {
    threshold: {
      about: 'largest sum of |1 − ρ| over a gap (published: 0.24 FLUX, 0.06 diffusers)',
      default: 0.24,
      min: 0,
      max: 100,
    },
    maxConsecutive: { about: 'skips in a row (published: 5 FLUX, 3 diffusers)', default: 5, min: 0, max: 1000, integer: true },
    retention: {
      about: 'share of the steps, from the first, that always run (published: 0.1 FLUX, 0.2 diffusers)',
      default: 0.1,
      min: 0,
      max: 1,
    },
    ratios: {
      about: 'γ for each step of the run that was measured; read at the nearest step where there are more or fewer',
      default: () => FLUX,
      defaultText: "FLUX.1-dev's 28",
      list: true,
      min: 0,
      max: 1000,
    },
    keep: {
      about: 'index into `ratios` at which steps always run (published: 11 for FLUX); −1: none',
      default: 11,
      min: -1,
      max: 999,
      integer: true,
    },
    calibrate: {
      about: 'run every step and put γ − 1 into the trace as `change`; see magCacheRatios',
      default: false,
      min: 0,
      max: 1,
    },
  },
  freshNoise: 'unknown to it',
  begin: (options, context) => Array.from({ length: context.members }, () => new MagCacheMember(options, context)),
  preflight(options, context) {
    const { calibrate, ratios, retention } = options
    const { steps } = context.solver.schedule
    if (calibrate) return []
    return [
      ...drySchedule(new MagCacheMember(options, context), context),
      ...residualOfNoise(context, Math.max(1, Math.floor(retention * steps + 0.5))),
      ...(ratios === FLUX ? ["The ratios are FLUX.1-dev's; for another network measure them with calibrate: true."] : []),
      ...(ratios !== FLUX && ratios.length !== steps
        ? [`The ratios are of a run of ${ratios.length} steps, this one has ${steps}.`]
        : []),
    ]
  },
}

/** The curve for `ratios`, averaged over the members of runs with `calibrate: true` and equally many steps. */
export function magCacheRatios(runs: readonly (readonly { readonly change?: number }[])[]): number[] {
  return runs[0].map((_, i) => 1 + runs.reduce((sum, steps) => sum + (steps[i].change ?? 0), 0) / runs.length)
}

/** Output and input of the last computed step. */
const OUTPUT = 'reused'
const INPUT = 'input'

class MagCacheMember implements MemberPolicy {
  readonly capacity = 4
  private readonly options: MagCacheOptions
  private readonly steps: number
  private readonly network: ReusedOutput
  private ratio = 1
  private error = 0
  private count = 0
  private residual = NaN

  constructor(options: MagCacheOptions, { solver }: RunContext) {
    this.options = options
    this.steps = solver.schedule.steps
    this.network = networkOutput(solver, 'velocity')
  }

  before(step: number): Decision {
    const { threshold, maxConsecutive, retention, ratios, keep, calibrate } = this.options
    // At step 0 there is nothing to reuse, whatever `retention` says.
    if (calibrate || step === 0 || step < Math.floor(retention * this.steps + 0.5)) return run
    // The curve is read as the published code reads it, rounded as numpy rounds.
    const index = roundHalfEven(step * ((ratios.length - 1) / (this.steps - 1)))
    this.ratio *= ratios[index]
    this.error += Math.abs(1 - this.ratio)
    this.count++
    if (!(this.error <= threshold) || this.count > maxConsecutive || index === keep) return this.compute()
    const residual = minus({ [OUTPUT]: 1 }, { [INPUT]: 1 })
    return { kind: 'skip', action: 'reuse', x0: this.network.x0(step, plus(this.network.input(step), residual)) }
  }

  observe(step: number, done: Decision): Observation {
    if (done.kind === 'skip') return {}
    const [output, input] = [this.network.observed(step), this.network.input(step)]
    const residual = minus(output, input)
    return {
      store: { [OUTPUT]: output, [INPUT]: input },
      ...(this.options.calibrate && { means: [{ a: residual, b: residual }] }),
    }
  }

  after(_: number, done: Decision, [square]: readonly number[]): Verdict {
    if (done.kind === 'skip') return { error: this.error }
    this.compute() // also where a skip was refused
    if (square === undefined) return {}
    const change = Math.sqrt(square) / this.residual - 1
    this.residual = Math.sqrt(square)
    return Number.isFinite(change) ? { change } : {}
  }

  keeps(): string[] {
    return [OUTPUT, INPUT]
  }

  private compute(): Decision {
    this.ratio = 1
    this.error = 0
    this.count = 0
    return run
  }
}
