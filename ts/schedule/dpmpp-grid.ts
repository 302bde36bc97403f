import { invalidArgument } from '../errors.ts'
import type { DpmppConfig } from './config.ts'
import { invalidSchedule } from './fields.ts'
import { interpolate, karrasLevels, leading, linspace, roundHalfEven, trailing } from './grid.ts'
import { flowLevel, vpLevel } from './noise-level.ts'
import type { Grid, ScheduleOptions } from './schedule.ts'
import { timestepOf, trainingTable, type TrainingTable } from './training.ts'

interface Points {
  /** Integers. */
  readonly timesteps: readonly number[]
  /** float64, without the final level */
  readonly sigmas: readonly number[]
}

/** The grid of diffusers' DPMSolverMultistepScheduler.set_timesteps(steps[, mu]). */
export function dpmppGrid(config: DpmppConfig, { steps, sigmas: custom, mu }: ScheduleOptions): Grid {
  if (custom !== undefined) {
    throw invalidArgument('sigmas', 'left out', custom, 'DPM-Solver++ takes "steps"; Euler takes custom levels.')
  }
  if (mu !== undefined && !config.useDynamicShifting) {
    throw invalidArgument('mu', 'left out', mu, 'This scheduler configuration has no use_dynamic_shifting.')
  }
  const table = trainingTable(config)
  const { timesteps, sigmas: upper } = points(config, table, steps!, mu)
  const last = config.finalSigmasType === 'zero' ? 0 : table.sigmas[0]
  const sigmas = [...upper, last].map(Math.fround)
  const count = config.numTrainTimesteps
  if (config.useFlowSigmas) checkFlowLevels(sigmas, config)
  return {
    frame: config.useFlowSigmas ? 'flow' : 'vp',
    timesteps,
    sigmas,
    levels: sigmas.map(config.useFlowSigmas ? flowLevel : vpLevel),
    times: config.useFlowSigmas ? sigmas : [...timesteps.map((t) => Math.max(0, t) / count), 0],
    betaAt: config.useFlowSigmas ? [] : timesteps.map((t) => count * table.betas[Math.min(count - 1, Math.max(0, t))]),
    orders: timesteps.map((_, i) => orderAt(config, i, timesteps.length)),
    correction: config.solverType,
    initNoiseSigma: 1,
    trainingBetas: table.betas,
    alphasCumprod: table.alphasCumprod,
  }
}

/** Flow matching is all noise at level 1, and has no λ = ln(α/σ) from there on. Karras levels are those of the training schedule, in diffusers too. */
function checkFlowLevels([highest]: readonly number[], { useKarrasSigmas }: DpmppConfig): void {
  if (highest < 1) return
  const message = `With "use_flow_sigmas" DPM-Solver++ starts below level 1; this scheduler configuration has it start at ${highest}.`
  throw invalidSchedule(message, useKarrasSigmas ? 'use_karras_sigmas' : 'flow_shift')
}

function points(config: DpmppConfig, table: TrainingTable, steps: number, mu: number | undefined): Points {
  if (config.useKarrasSigmas) {
    const { sigmaMin = table.sigmas[0], sigmaMax = table.sigmas[table.sigmas.length - 1] } = config
    const sigmas = karrasLevels(sigmaMin, sigmaMax, steps)
    const round = config.betaSchedule === 'squaredcos_cap_v2' ? Math.trunc : roundHalfEven
    return { sigmas, timesteps: sigmas.map((sigma) => round(timestepOf(Math.log(sigma), table))) }
  }
  if (config.useFlowSigmas) {
    const shift = mu === undefined ? config.flowShift : Math.exp(mu)
    const sigmas = linspace(1, 1 / config.numTrainTimesteps, steps + 1)
      .map((alpha) => (shift * (1 - alpha)) / (1 + (shift - 1) * (1 - alpha)))
      .reverse()
      .slice(0, -1)
    return { sigmas, timesteps: sigmas.map((sigma) => Math.trunc(sigma * config.numTrainTimesteps)) }
  }
  const timesteps = spacedTimesteps(config, steps, lastTimestep(config, table))
  return { timesteps, sigmas: timesteps.map((t) => interpolate(table.sigmas, t)) }
}

/** One past the last training timestep in use: those with λ = ln(α/σ) below `lambda_min_clipped` are left out. */
function lastTimestep(config: DpmppConfig, { alphasCumprod }: TrainingTable): number {
  const least = Math.fround(config.lambdaMinClipped)
  let last = config.numTrainTimesteps
  while (last > 0 && lambda(alphasCumprod[last - 1]) < least) last--
  if (last === 0) {
    const message = `"lambda_min_clipped" ${least} is above every λ of the training schedule and leaves no timestep to sample.`
    throw invalidSchedule(message, 'lambda_min_clipped')
  }
  return last
}

/** ln α − ln σ in float32. */
function lambda(bar: number): number {
  const [alpha, sigma] = [Math.fround(Math.sqrt(bar)), Math.fround(Math.sqrt(Math.fround(1 - bar)))]
  return Math.fround(Math.fround(Math.log(alpha)) - Math.fround(Math.log(sigma)))
}

function spacedTimesteps(config: DpmppConfig, steps: number, last: number): number[] {
  switch (config.timestepSpacing) {
    case 'linspace':
      return linspace(0, last - 1, steps + 1)
        .map(roundHalfEven)
        .reverse()
        .slice(0, -1)
    case 'leading':
      return leading(last, steps, steps, config.stepsOffset)
    // May give fewer steps than asked for where lambda_min_clipped shortens the schedule, as in diffusers.
    case 'trailing':
      return trailing(last, config.numTrainTimesteps, steps).slice(0, steps)
  }
}

/** diffusers: first order on the first step and, where configured or where the last level is 0, on the last one. */
function orderAt(config: DpmppConfig, step: number, steps: number): 1 | 2 {
  const isLowFinal = config.eulerAtFinal || (config.lowerOrderFinal && steps < 15) || config.finalSigmasType === 'zero'
  return config.solverOrder === 1 || step === 0 || (step === steps - 1 && isLowFinal) ? 1 : 2
}
