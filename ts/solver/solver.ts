import { isStochastic } from '../schedule/config.ts'
import { invalidSchedule } from '../schedule/fields.ts'
import type { NoiseLevel, Schedule } from '../schedule/schedule.ts'
import { dpmpp1, dpmpp2m, sdeDpmpp1, sdeDpmpp2m, sdeNoise } from './dpmpp2m.ts'
import { euler } from './euler.ts'
import { denoised, inputScale } from './parameterisation.ts'
import type { Row } from './row.ts'
import { noiseFromVelocity, stateFromVelocity, velocity } from './velocity.ts'

/** One run's solver: what each step computes, as rows of float64 weights. Steps count from 0, pure noise, to T − 1. */
export interface Solver {
  readonly schedule: Schedule
  /** x0 over `x` (the state at step i) and `output` (the network's, after guidance). */
  denoised(i: number): Row
  /** The state at step i + 1, without its fresh noise, over `x` and `x0` of step i and, in a second-order step, `x0Prev`: the x0 used at step i − 1. */
  update(i: number): Row
  /** Whether steps add fresh noise. */
  readonly isStochastic: boolean
  /** Standard deviation, in the state's own scale, of the noise that is added after step i. */
  freshNoise(i: number): number
  /** Velocity dx/dt at step i, in the solver's own time, over `x` and `x0`: (x − x0)/t, or ½β·(ε/σ − x) in the VP frame. */
  velocity(i: number): Row
  /** The inverse of `velocity`: the state at step i over `x0` and `y`. */
  state(i: number): Row
  /** The noise at step i over `x0` and `y`. */
  noise(i: number): Row
  /** How much of the clean sample is in the state at step i: α, or 1 in the scaled frame. */
  signal(i: number): number
  /** Factor that makes α·x0 + σ·n, what the network is given, out of the state: 1, or α in the scaled frame. */
  inputScale(i: number): number
}

export function createSolver(schedule: Schedule): Solver {
  const { levels, frame, prediction, steps } = schedule
  if (prediction === 'epsilon' && levels.slice(0, steps).some(({ alpha }) => alpha === 0)) {
    throw invalidSchedule(
      'A network that predicts the noise (epsilon) cannot start at a level without any signal ' +
        '(alpha = 0): the clean sample does not follow from it.',
      'prediction_type',
    )
  }
  const addsNoise = isStochastic(schedule.solver)
  return {
    schedule,
    isStochastic: addsNoise,
    freshNoise: (i) => (addsNoise ? sdeNoise(ofState(schedule, i), ofState(schedule, i + 1)) : 0),
    denoised: (i) => denoised(prediction, levels[i], frame),
    update: (i) => update(schedule, i),
    velocity: (i) => velocity(schedule, i),
    state: (i) => stateFromVelocity(schedule, i),
    noise: (i) => noiseFromVelocity(schedule, i),
    signal: (i) => ofState(schedule, i).alpha,
    inputScale: (i) => inputScale(levels[i], frame),
  }
}

function update(schedule: Schedule, i: number): Row {
  const { solver, times, levels, orders, correction } = schedule
  switch (solver) {
    case 'euler':
    case 'flow-euler':
      return euler(times[i], times[i + 1])
    case 'euler-ancestral':
      return sdeDpmpp1(ofState(schedule, i), ofState(schedule, i + 1))
    case 'dpm++':
      return orders[i] === 1 ? dpmpp1(levels[i], levels[i + 1]) : dpmpp2m(levels[i - 1], levels[i], levels[i + 1], correction)
    case 'dpm++-sde':
      return orders[i] === 1
        ? sdeDpmpp1(levels[i], levels[i + 1])
        : sdeDpmpp2m(levels[i - 1], levels[i], levels[i + 1], correction)
  }
}

/** What the solver's own state is made of: α·x0 + σ·n, or in the scaled frame x0 + S·n. */
function ofState({ frame, levels, sigmas }: Schedule, i: number): NoiseLevel {
  return frame === 'scaled' ? { alpha: 1, sigma: sigmas[i] } : levels[i]
}
