import type { Schedule } from '../schedule/schedule.ts'
import type { Row } from './row.ts'

// The velocity y = dx/dt at a step, in the solver's own time t, and what follows from it. Scaled and flow frames: y = (x − x0)/t.
// VP frame: y = ½β·(n/σ − x), the probability-flow ODE (Song et al. 2021) of dx = −½βx dt + √β dw; with n = (x − αx0)/σ and
// α² + σ² = 1 that is ½β·(α/σ²)·(αx − x0).

/** y at step i over `x` and `x0`. */
export function velocity(schedule: Schedule, i: number): Row {
  if (schedule.frame !== 'vp') return { x: 1 / schedule.times[i], x0: -1 / schedule.times[i] }
  const { alpha, sigma } = schedule.levels[i]
  const scale = (schedule.betaAt[i] * alpha) / (2 * sigma * sigma)
  return { x: scale * alpha, x0: -scale }
}

/** The state at step i over `x0` and `y`: the inverse of `velocity`. */
export function stateFromVelocity(schedule: Schedule, i: number): Row {
  if (schedule.frame !== 'vp') return { x0: 1, y: schedule.times[i] }
  const { alpha, sigma } = schedule.levels[i]
  return { x0: 1 / alpha, y: (2 * sigma * sigma) / (schedule.betaAt[i] * alpha * alpha) }
}

/** The noise n at step i over `x0` and `y`. Scaled: y itself; flow: y + x0. */
export function noiseFromVelocity(schedule: Schedule, i: number): Row {
  if (schedule.frame === 'scaled') return { y: 1 }
  if (schedule.frame === 'flow') return { x0: 1, y: 1 }
  const { alpha, sigma } = schedule.levels[i]
  return { x0: sigma / alpha, y: (2 * sigma) / (schedule.betaAt[i] * alpha * alpha) }
}
