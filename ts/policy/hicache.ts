import { plus, times } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { IntervalForecast, intervalPreflight, type Forecast, type IntervalOptions } from './interval-forecast.ts'
import { differences } from './taylorseer.ts'

export interface HiCacheOptions extends IntervalOptions {
  readonly contraction: number
}

/**
 * HiCache (Feng et al., ICLR 2026), as its FLUX code has it: TaylorSeer with σᵏ·H_k(σe) in place of eᵏ, where H_k are the physicists' Hermite
 * polynomials and σ is the contraction ("dual scaling": of the argument, and of each term). At order 1 the factor is 2σ²e: with
 * σ² = ½ it is TaylorSeer's own, with the default half of it.
 *
 * Published on the output of every module; here on the network's own (`networkOutput` says which quantity that is). σ is 0.5 in the code's table
 * of modes, from which the other defaults are too; its scripts run 0.6 and 0.7 at interval 5 and order 2. What it calls "analytic", a σ for
 * each layer from the size of its differences, is not here.
 */
export const hiCache: PolicyDefinition<HiCacheOptions> = {
  name: 'hicache',
  about: "Runs every n-th step and continues the network's output in scaled Hermite polynomials of backward differences.",
  source: 'HiCache (ICLR 2026), published code for FLUX',
  options: {
    interval: { about: 'run one step of every n (published: 6; 5 to 7 run)', default: 6, min: 1, max: 1000, integer: true },
    order: {
      about: 'polynomials beyond the constant (published: 1; 2 run)',
      default: 1,
      min: 0,
      max: 4,
      integer: true,
      fewest: 0,
    },
    contraction: {
      about: 'σ: how far the forecast moves, 2σ² of the straight line at order 1 (published: 0.5; 0.6 and 0.7 run)',
      default: 0.5,
      min: 0.01,
      max: 1,
    },
    warmup: { about: 'first steps that always run', default: 3, min: 1, max: 1000, integer: true },
    tail: { about: 'last steps that always run (published: none)', default: 0, min: 0, max: 1000, integer: true },
  },
  freshNoise: 'unknown to it',
  begin: (options, context) =>
    Array.from({ length: context.members }, () => new IntervalForecast(options, scaledHermite(options), context)),
  preflight: (options, context) => intervalPreflight(options, scaledHermite(options), context),
}

function scaledHermite({ warmup, contraction }: HiCacheOptions): Forecast {
  return (computed, step) => {
    const rows = differences(computed, warmup)
    const values = hermite(contraction * (step - computed[0]), rows.length)
    let factor = 1 // σᵏ/k!
    return plus(...rows.map((row, k) => times((k === 0 ? factor : (factor *= contraction / k)) * values[k], row)))
  }
}

/** H_0(x), H_1(x), … of the physicists, so many. */
export function hermite(x: number, count: number): number[] {
  const values = [1, 2 * x]
  for (let k = 2; k < count; k++) values.push(2 * x * values[k - 1] - 2 * (k - 1) * values[k - 2])
  return values.slice(0, count)
}
