import { invalidArgument } from '../errors.ts'
import type { EulerConfig } from './config.ts'
import { checkStepCount, invalidSigma } from './custom-sigmas.ts'
import { interpolate, karrasLevels, leading, linspace, linspace32, trailing } from './grid.ts'
import { vpLevel } from './noise-level.ts'
import type { Grid, ScheduleOptions } from './schedule.ts'
import { timestepOf, trainingTable, type TrainingTable } from './training.ts'

/** The grid of diffusers' EulerDiscreteScheduler.set_timesteps(steps) or set_timesteps(sigmas=…), and of EulerAncestralDiscreteScheduler's. */
export function eulerGrid(config: EulerConfig, { steps, sigmas: custom, mu }: ScheduleOptions): Grid {
  if (mu !== undefined) throw invalidArgument('mu', 'left out', mu, 'Only flow levels can be shifted.')
  if (custom !== undefined && config.solver === 'euler-ancestral')
    throw invalidArgument(
      'sigmas',
      'left out',
      custom,
      'EulerAncestralDiscreteScheduler takes "steps"; EulerDiscreteScheduler takes custom levels.',
    )
  const table = trainingTable(config)
  const { sigmas: all, timesteps: discrete } = custom === undefined ? spaced(config, table, steps!) : given(custom, table, steps)
  const isContinuous = config.timestepType === 'continuous' && config.prediction === 'v_prediction'
  const timesteps = isContinuous ? all.slice(0, -1).map((sigma) => 0.25 * Math.fround(Math.log(sigma))) : discrete
  // "log_linear" makes one level more than there are steps; the run ends on the training schedule's lowest, never on 0.
  const sigmas = all.slice(0, timesteps.length + 1)
  return {
    frame: 'scaled',
    timesteps: timesteps.map(Math.fround),
    sigmas,
    levels: sigmas.map(vpLevel),
    times: sigmas,
    betaAt: [],
    orders: timesteps.map(() => 1),
    correction: 'midpoint',
    initNoiseSigma: initialScale(config, Math.max(...all)),
    trainingBetas: table.betas,
    alphasCumprod: table.alphasCumprod,
  }
}

interface Points {
  /** [T] */
  readonly timesteps: readonly number[]
  /** [T + 1], with log_linear interpolation [T + 2]; float32 values */
  readonly sigmas: readonly number[]
}

function given(sigmas: readonly number[], table: TrainingTable, steps: number | undefined): Points {
  checkStepCount(sigmas.length - 1, steps)
  const zero = sigmas.indexOf(0)
  if (zero >= 0 && zero < sigmas.length - 1) throw invalidSigma(zero, 'above 0 (only the last level may be 0)', sigmas)
  const levels = sigmas.map(Math.fround)
  return { sigmas: levels, timesteps: levels.slice(0, -1).map((sigma) => timestepOf(Math.fround(Math.log(sigma)), table)) }
}

function spaced(config: EulerConfig, table: TrainingTable, steps: number): Points {
  const timesteps = spacedTimesteps(config, steps)
  const sigmas =
    config.interpolationType === 'linear' ? timesteps.map((t) => interpolate(table.sigmas, t)) : logLinear(table, steps)
  const last = config.finalSigmasType === 'zero' ? 0 : table.sigmas[0]
  if (!config.useKarrasSigmas) {
    const upper = config.interpolationType === 'linear' ? sigmas.slice(0, steps) : sigmas
    return { timesteps: timesteps.slice(0, steps), sigmas: [...upper, last].map(Math.fround) }
  }
  // The ends are those of this very grid, with a timestep −1 where there is one, not of the training schedule (unlike DPM++).
  const { sigmaMin = sigmas[sigmas.length - 1], sigmaMax = sigmas[0] } = config
  const karras = karrasLevels(sigmaMin, sigmaMax, steps)
  return { timesteps: karras.map((sigma) => timestepOf(Math.log(sigma), table)), sigmas: [...karras, last].map(Math.fround) }
}

/** `steps` + 1 levels between the ends of the training schedule, evenly spaced in ln σ. */
function logLinear({ logSigmas }: TrainingTable, steps: number): number[] {
  return Array.from(linspace32(logSigmas[logSigmas.length - 1], logSigmas[0], steps + 1), (log) => Math.fround(Math.exp(log)))
}

/** With "trailing" one more than `steps`, at −1, where rounding gives diffusers that. */
function spacedTimesteps(config: EulerConfig, steps: number): number[] {
  const count = config.numTrainTimesteps
  switch (config.timestepSpacing) {
    case 'linspace':
      return linspace(0, count - 1, steps)
        .map(Math.fround)
        .reverse()
    case 'leading':
      return leading(count, steps - 1, steps, config.stepsOffset)
    case 'trailing':
      return trailing(count, count, steps)
  }
}

/** σ_max, or √(σ_max² + 1) where the schedule does not start at pure noise ("leading"), in float32. */
function initialScale(config: EulerConfig, highest: number): number {
  if (config.timestepSpacing !== 'leading') return highest
  return Math.fround(Math.sqrt(Math.fround(Math.fround(highest * highest) + 1)))
}
