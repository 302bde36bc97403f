import { invalidArgument, SadaError } from '../errors.ts'
import type { FlowEulerConfig } from './config.ts'
import { checkStepCount, invalidSigma } from './custom-sigmas.ts'
import { karrasLevels, linspace } from './grid.ts'
import { flowLevel } from './noise-level.ts'
import type { Grid, ScheduleOptions } from './schedule.ts'

type Rounding = (value: number) => number
const float64: Rounding = (value) => value

/** The grid of diffusers' FlowMatchEulerDiscreteScheduler.set_timesteps(steps | sigmas=…[, mu]). */
export function flowGrid(config: FlowEulerConfig, { steps, sigmas: custom, mu }: ScheduleOptions): Grid {
  if (config.useDynamicShifting && mu === undefined) {
    throw invalidArgument('mu', 'a number', mu, 'This scheduler configuration shifts by resolution (use_dynamic_shifting).')
  }
  if (custom !== undefined) checkCustom(custom, steps)
  // numpy keeps a list of levels in float32 and its own linspace in float64.
  const round = custom === undefined ? float64 : Math.fround
  const plain = custom === undefined ? evenLevels(config, steps!) : custom.map(Math.fround)
  const shifted = config.useDynamicShifting
    ? plain.map((sigma) => dynamicShift(sigma, mu!, config.timeShiftType, round))
    : plain.map((sigma) => fixedShift(sigma, config.shift, round))
  const stretched = config.shiftTerminal === undefined ? shifted : stretchedTo(shifted, config.shiftTerminal, round)
  const upper = (config.useKarrasSigmas ? karras(config, stretched) : stretched).map(Math.fround)
  const sigmas = [...upper, 0]
  return {
    frame: 'flow',
    timesteps: upper.map((sigma) => Math.fround(sigma * config.numTrainTimesteps)),
    sigmas,
    levels: sigmas.map(flowLevel),
    times: sigmas,
    betaAt: [],
    orders: upper.map(() => 1),
    correction: 'midpoint',
    initNoiseSigma: 1,
    trainingBetas: new Float32Array(0),
    alphasCumprod: new Float32Array(0),
  }
}

function checkCustom(sigmas: readonly number[], steps: number | undefined): void {
  checkStepCount(sigmas.length, steps)
  const wrong = sigmas.findIndex((sigma) => !(sigma > 0 && sigma <= 1))
  if (wrong >= 0) throw invalidSigma(wrong, 'above 0 and at most 1 (the final 0 is added)', sigmas)
}

/**
 * Even steps between the ends of the training levels. Those are shifted already where the shift is fixed, and are shifted
 * once more below: a fixed shift acts twice here, as it does in diffusers.
 */
function evenLevels(config: FlowEulerConfig, steps: number): number[] {
  const count = config.numTrainTimesteps
  const end = (timestep: number): number => {
    const sigma = Math.fround(timestep / count)
    return config.useDynamicShifting ? sigma : fixedShift(sigma, config.shift, Math.fround)
  }
  return linspace(end(count) * count, end(1) * count, steps).map((t) => t / count)
}

/** s·σ / (1 + (s − 1)·σ) */
function fixedShift(sigma: number, shift: number, round: Rounding): number {
  return round(round(round(shift) * sigma) / round(1 + round(round(shift - 1) * sigma)))
}

/** m / (m + 1/σ − 1) with m = e^mu ("exponential") or mu ("linear"). */
function dynamicShift(sigma: number, mu: number, type: FlowEulerConfig['timeShiftType'], round: Rounding): number {
  const strength = round(type === 'exponential' ? Math.exp(mu) : mu)
  return round(strength / round(strength + round(round(1 / sigma) - 1)))
}

/** Stretches 1 − σ so that the last level is `terminal` (`shift_terminal`). */
function stretchedTo(sigmas: readonly number[], terminal: number, round: Rounding): number[] {
  const scale = round(round(1 - sigmas[sigmas.length - 1]) / round(1 - terminal))
  if (scale === 0) {
    const message = 'A grid that ends on level 1 cannot be stretched to "shift_terminal"; it takes more than one step.'
    throw new SadaError('INVALID_SCHEDULE', message, { argument: 'steps' })
  }
  return sigmas.map((sigma) => round(1 - round(round(1 - sigma) / scale)))
}

function karras(config: FlowEulerConfig, sigmas: readonly number[]): number[] {
  const { sigmaMin = sigmas[sigmas.length - 1], sigmaMax = sigmas[0] } = config
  return karrasLevels(sigmaMin, sigmaMax, sigmas.length)
}

/**
 * The dynamic shift that the Flux and SD3 pipelines of diffusers pass as `mu` for a sample of `tokens` image tokens:
 * linear from base_shift at base_image_seq_len to max_shift at max_image_seq_len.
 */
export function dynamicShiftFor(config: FlowEulerConfig, tokens: number): number {
  const slope = (config.maxShift - config.baseShift) / (config.maxImageSeqLen - config.baseImageSeqLen)
  return tokens * slope + (config.baseShift - slope * config.baseImageSeqLen)
}
