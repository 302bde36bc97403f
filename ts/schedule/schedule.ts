import { invalidArgument, type SadaError } from '../errors.ts'
import { isStochastic, predictionTypes, type PredictionType, type SchedulerConfig, type SolverName } from './config.ts'
import { checkCustomSigmas, maxSteps } from './custom-sigmas.ts'
import { dpmppGrid } from './dpmpp-grid.ts'
import { eulerGrid } from './euler-grid.ts'
import { invalidSchedule } from './fields.ts'
import { flowGrid } from './flow-grid.ts'
import type { NoiseLevel } from './noise-level.ts'

export type { NoiseLevel } from './noise-level.ts'

/**
 * What the solver's state is and which velocity it integrates.
 * - `vp`: the sample x itself, α² + σ² = 1; dx/dt = ½β(t)·(ε/σ − x), t ∈ [0, 1]
 * - `scaled`: X = x/α (k-diffusion, EDM), S = σ/α; dX/dS
 * - `flow`: the sample x itself, α = 1 − σ; dx/dσ
 */
export type Frame = 'vp' | 'scaled' | 'flow'

/** The grid of one run: T steps between T + 1 noise levels. All numbers are what diffusers' scheduler holds, as float64. */
export interface Schedule {
  readonly solver: SolverName
  readonly frame: Frame
  /** What the network predicts. */
  readonly prediction: PredictionType
  /** T */
  readonly steps: number
  /** [T] what the network is told, as diffusers gives it: integers for DPM++, fractional for Euler, 1000·σ for flow matching. */
  readonly timesteps: readonly number[]
  /** [T + 1] diffusers' `sigmas`, float32 values: S = σ/α, or σ itself in the flow frame. */
  readonly sigmas: readonly number[]
  /** [T + 1] the same levels as (α, σ). */
  readonly levels: readonly NoiseLevel[]
  /** [T + 1] the time that the solver integrates over, never increasing: S, flow σ, or (`vp`) timestep / training timesteps. */
  readonly times: readonly number[]
  /** [T] `vp` only, else empty: β(t_i) per unit of `times`, that is N·β_n for N training timesteps. */
  readonly betaAt: readonly number[]
  /** [T] DPM++: the order of each step, 1 or 2; 1 for the Euler solvers. */
  readonly orders: readonly (1 | 2)[]
  /** How a second-order step weighs its difference: DPM-Solver++ (2M) "midpoint" or "heun". */
  readonly correction: 'midpoint' | 'heun'
  /** A run starts at this factor times unit Gaussian noise. */
  readonly initNoiseSigma: number
  /** [N] the training schedule's β_n as float32 values; empty where there is none (flow matching). */
  readonly trainingBetas: Float32Array
  /** [N] ᾱ_n as float32 values; empty where there is none. */
  readonly alphasCumprod: Float32Array
}

export interface ScheduleOptions {
  /** T, from 1 to 1000. */
  readonly steps?: number
  /** Custom levels as diffusers' `set_timesteps(sigmas=…)` takes them: T + 1 for Euler, T before shifting for flow matching. */
  readonly sigmas?: readonly number[]
  /** Dynamic shift, as diffusers' `mu`. */
  readonly mu?: number
  /** What the network predicts, where that is not what the configuration says (a flow-matching configuration cannot say it). */
  readonly prediction?: PredictionType
}

/** What a solver family's grid function returns; `createSchedule` completes and checks it. */
export type Grid = Omit<Schedule, 'steps' | 'solver' | 'prediction'>

/** The grid of a run with `config`; throws before anything of the run's size is allocated. */
export function createSchedule(config: SchedulerConfig, options: ScheduleOptions): Schedule {
  checkOptions(options)
  const grid = gridOf(config, options.sigmas === undefined ? options : { ...options, sigmas: Array.from(options.sigmas) })
  checkLevels(grid, config)
  return { solver: config.solver, prediction: options.prediction ?? config.prediction, steps: grid.timesteps.length, ...grid }
}

function gridOf(config: SchedulerConfig, options: ScheduleOptions): Grid {
  switch (config.solver) {
    case 'dpm++':
    case 'dpm++-sde':
      return dpmppGrid(config, options)
    case 'euler':
    case 'euler-ancestral':
      return eulerGrid(config, options)
    case 'flow-euler':
      return flowGrid(config, options)
  }
}

function checkOptions({ steps, sigmas, mu, prediction }: ScheduleOptions): void {
  const isCount = Number.isInteger(steps) && steps! >= 1 && steps! <= maxSteps
  if (steps === undefined ? sigmas === undefined : !isCount)
    throw invalidArgument('steps', `an integer from 1 to ${maxSteps}`, steps)
  if (mu !== undefined && !Number.isFinite(mu)) throw invalidArgument('mu', 'a finite number', mu)
  if (prediction !== undefined && !predictionTypes.includes(prediction)) {
    throw invalidArgument('prediction', `one of ${predictionTypes.join(', ')}`, prediction)
  }
  if (sigmas !== undefined) checkCustomSigmas(sigmas)
}

/** A grid must be positive, finite and never rise, down to a last level that may be 0. */
function checkLevels({ sigmas, timesteps }: Grid, config: SchedulerConfig): void {
  // Zero-SNR rescaling sets the highest level to 4096, which its neighbour may exceed; a run of some 1000 steps meets both.
  const isRescaled = config.solver !== 'flow-euler' && config.rescaleBetasZeroSnr
  // Euler's lowest "log_linear" level is the exponential of a float32 logarithm and may fall short of the lowest training level by as much.
  const rounding = config.solver === 'euler' ? 1e-6 : 0
  sigmas.forEach((sigma, i) => {
    const isLevel = Number.isFinite(sigma) && (sigma > 0 || (sigma === 0 && i === timesteps.length))
    if (!isLevel) throw gridError(`has level ${sigma} at step ${i}`)
    const isRise = i > 0 && sigma > sigmas[i - 1] * (1 + rounding)
    if (!isRise || (i === 1 && isRescaled && !isStochastic(config.solver))) return
    const field = i === timesteps.length ? 'final_sigmas_type' : i === 1 && isRescaled ? 'rescale_betas_zero_snr' : undefined
    throw gridError(`rises from level ${sigmas[i - 1]} to ${sigma} at step ${i}`, field)
  })
}

const gridError = (what: string, field?: string): SadaError =>
  invalidSchedule(`This scheduler configuration cannot be sampled: its grid ${what}.`, field)
