import type { NoiseLevel } from '../schedule/schedule.ts'
import { plus, type Row } from './row.ts'

/** How the difference of the last two clean samples enters a second-order step: the two variants of the DPM-Solver++ paper. */
export type SecondOrder = 'midpoint' | 'heun'

/**
 * First-order step of DPM-Solver++ (Lu et al. 2022, equation 4.1; equal to DDIM), as a row over `x` and `x0`:
 * (σ'/σ)·x − α'·(e^−h − 1)·x0, with h = λ' − λ and λ = ln(α/σ).
 * e^−h − 1 is computed as (S' − S)/S with S = σ/α: no cancellation between late levels, and no exception where S' = 0.
 */
export function dpmpp1(now: NoiseLevel, next: NoiseLevel): Row {
  return { x: next.sigma / now.sigma, x0: gain(now, next) }
}

/**
 * Second-order multistep update, DPM-Solver++ (2M), algorithm 2 of the paper, as a row over `x`, `x0` and `x0Prev`, the clean
 * sample used one step before. Where a level is repeated (h = 0 here or before) or the step goes to σ = 0, the correction is 0.
 */
export function dpmpp2m(before: NoiseLevel, now: NoiseLevel, next: NoiseLevel, correction: SecondOrder): Row {
  return withSlope(dpmpp1(now, next), [before, now, next], correction, 1)
}

/**
 * First-order step of SDE-DPM-Solver++ (Lu et al. 2022, appendix; its mean), as a row over `x` and `x0`: (σ'/σ)·e^−h·x + α'·(1 − e^−2h)·x0.
 * With α = 1 and σ = S it is the ancestral Euler step of k-diffusion, which goes to σ_down = S'²/S.
 */
export function sdeDpmpp1(now: NoiseLevel, next: NoiseLevel): Row {
  const left = ratio(now, next)
  return { x: (next.sigma / now.sigma) * left, x0: next.alpha * (1 - left * left) }
}

/** Second-order multistep update of SDE-DPM-Solver++ (2M), its mean; see `dpmpp2m`. */
export function sdeDpmpp2m(before: NoiseLevel, now: NoiseLevel, next: NoiseLevel, correction: SecondOrder): Row {
  return withSlope(sdeDpmpp1(now, next), [before, now, next], correction, 2)
}

/** The first-order step, in which x0 weighs α'·(1 − e^(−rate·h)), and what the slope of the last two clean samples adds. */
function withSlope(
  first: Row,
  [before, now, next]: readonly [NoiseLevel, NoiseLevel, NoiseLevel],
  correction: SecondOrder,
  rate: 1 | 2,
): Row {
  const [h, past] = [logGap(now, next), logGap(before, now)]
  if (h === 0 || past === 0 || !Number.isFinite(h)) return first
  const weight = correction === 'midpoint' ? first.x0 / 2 : next.alpha * (Math.expm1(-rate * h) / (rate * h) + 1)
  const slope = (weight * h) / past
  return plus(first, { x0: slope, x0Prev: -slope })
}

/** Standard deviation of the noise that either of the two adds after its step: σ'·√(1 − e^−2h); k-diffusion's σ_up. */
export function sdeNoise(now: NoiseLevel, next: NoiseLevel): number {
  return next.sigma * Math.sqrt(1 - ratio(now, next) ** 2)
}

/** e^−h = S'/S with S = σ/α */
function ratio(now: NoiseLevel, next: NoiseLevel): number {
  return (next.sigma * now.alpha) / (next.alpha * now.sigma)
}

/** α'·(1 − e^−h) */
function gain(now: NoiseLevel, next: NoiseLevel): number {
  const [from, to] = [now.sigma / now.alpha, next.sigma / next.alpha]
  return (next.alpha * (from - to)) / from
}

/** λ(to) − λ(from) */
function logGap(from: NoiseLevel, to: NoiseLevel): number {
  return Math.log((from.sigma * to.alpha) / (from.alpha * to.sigma))
}
