import { minus, plus, times, type Row } from '../solver/row.ts'
import type { PolicyDefinition } from './definition.ts'
import { IntervalForecast, intervalPreflight, outputAt, type Forecast, type IntervalOptions } from './interval-forecast.ts'

/**
 * TaylorSeer (Liu et al., ICCV 2025), as its FLUX code has it: on a computed step F_0 is the feature and F_{k+1} = (F_k − F_k')/gap,
 * ' at the computed step before; e steps later the feature is ΣF_k·e^k/k!. Differences begin with the last warm-up step.
 *
 * Published on the output of every module; here on the network's own (`networkOutput` says which quantity that is), which needs
 * neither memory for every module nor a look inside.
 */
export const taylorSeer: PolicyDefinition<IntervalOptions> = {
  name: 'taylorseer',
  about: "Runs every n-th step and continues the network's output as a Taylor series of backward differences in between.",
  source: 'TaylorSeer (ICCV 2025), published code for FLUX',
  options: {
    interval: {
      about: 'run one step of every n (published: 6 FLUX, 4 DiT, 5 diffusers)',
      default: 6,
      min: 1,
      max: 1000,
      integer: true,
    },
    order: {
      about: 'terms of the series beyond the constant (published: 1 FLUX, 4 DiT)',
      default: 1,
      min: 0,
      max: 4,
      integer: true,
      fewest: 0,
    },
    warmup: { about: 'first steps that always run', default: 3, min: 1, max: 1000, integer: true },
    tail: { about: 'last steps that always run (published: none)', default: 0, min: 0, max: 1000, integer: true },
  },
  freshNoise: 'unknown to it',
  begin: (options, context) =>
    Array.from({ length: context.members }, () => new IntervalForecast(options, series(options), context)),
  preflight: (options, context) => intervalPreflight(options, series(options), context),
}

function series({ warmup }: IntervalOptions): Forecast {
  return (computed, step) => {
    const elapsed = step - computed[0]
    let term = 1 // e^k/k!
    const terms = differences(computed, warmup).map((difference, k) => times(k === 0 ? term : (term *= elapsed / k), difference))
    return plus(...terms)
  }
}

/** F_0, F_1, … at the newest of `computed`, as many as there are; they begin with the last of the `warmup` steps. */
export function differences([now, ...before]: readonly number[], warmup: number): Row[] {
  const rows: Row[] = [{ [outputAt(now)]: 1 }]
  if (before.length === 0 || now < warmup - 1) return rows
  const previous = differences(before, warmup)
  for (const [k, row] of previous.entries()) rows.push(times(1 / (now - before[0]), minus(rows[k], row)))
  return rows
}
