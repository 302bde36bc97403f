// The numpy and torch functions that diffusers builds its grids with, rounding included.

import { SadaError } from '../errors.ts'

/** `count` points from `start` to `stop`, both ends included, as numpy.linspace computes them in float64; one point is `start`. */
export function linspace(start: number, stop: number, count: number): number[] {
  const step = (stop - start) / (count - 1)
  return Array.from({ length: count }, (_, i) => (i === 0 ? start : i === count - 1 ? stop : i * step + start))
}

/** torch.linspace in float32: one float32 step, one rounding per point, the upper half, with the middle of an odd count, from the other end. */
export function linspace32(start: number, stop: number, count: number): Float32Array {
  const [first, last] = [Math.fround(start), Math.fround(stop)]
  const step = count > 1 ? Math.fround(Math.fround(last - first) / (count - 1)) : 0
  return Float32Array.from({ length: count }, (_, i) =>
    i === 0 || i < Math.floor(count / 2) ? first + step * i : last - step * (count - 1 - i),
  )
}

/** start, start + step, … short of `stop`, as numpy.arange computes them: the step is read off its own first two points. */
function arange(start: number, stop: number, step: number): number[] {
  const count = Math.max(0, Math.ceil((stop - start) / step))
  const delta = start + step - start
  return Array.from({ length: count }, (_, i) => start + i * delta)
}

/**
 * "Leading" spacing: `steps` timesteps, `offset` above the multiples first·r, (first − 1)·r, … of r = ⌊last/(first + 1)⌋.
 * Euler starts at first = steps − 1, DPM++ at first = steps.
 */
export function leading(last: number, first: number, steps: number, offset: number): number[] {
  const ratio = Math.floor(last / (first + 1))
  if (ratio === 0) {
    throw new SadaError(
      'INVALID_SCHEDULE',
      `"leading" spacing puts all ${steps} steps on one timestep of a schedule of ${last}. ` +
        'Ask for fewer steps, or for "trailing" spacing.',
      { argument: 'steps' },
    )
  }
  return Array.from({ length: steps }, (_, i) => (first - i) * ratio + offset)
}

/**
 * "Trailing" spacing: last, last − count/steps, … above 0, each rounded and then lowered by 1; fewer than `steps` where `last` is
 * below `count`. For some numbers of steps (61, 103, 121, …) rounding gives diffusers one more, at timestep −1; no run has it.
 */
export function trailing(last: number, count: number, steps: number): number[] {
  return arange(last, 0, -(count / steps)).map((t) => roundHalfEven(t) - 1)
}

/** To the nearest integer, halves to the even one (numpy.round). */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** The table's value at a fractional index, linear between entries and constant beyond its ends (numpy.interp). */
export function interpolate(table: ArrayLike<number>, index: number): number {
  if (index <= 0) return table[0]
  if (index >= table.length - 1) return table[table.length - 1]
  const low = Math.floor(index)
  return (table[low + 1] - table[low]) * (index - low) + table[low]
}

/** `count` levels from `high` to `low`, evenly spaced in σ^(1/7) (Karras et al. 2022, equation 5). */
export function karrasLevels(low: number, high: number, count: number): number[] {
  const rho = 7
  const [from, to] = [high ** (1 / rho), low ** (1 / rho)]
  return linspace(0, 1, count).map((ramp) => (from + ramp * (to - from)) ** rho)
}
