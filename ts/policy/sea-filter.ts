import type { NoiseLevel } from '../schedule/schedule.ts'
import type { HostArithmetic, SampleMap } from './policy.ts'

/**
 * The spectral-evolution-aware filter of SeaCache, in place: along each axis a Wiener filter for a clean signal whose power falls as
 * S(f) = |f|^−power, in a sample α·signal + σ·noise: gain α·S/(α²S + σ²), f in cycles per element; the gains of both axes multiplied
 * and scaled to a mean of 1. Each channel of `values` is filtered alone, over periodic borders.
 */
export function seaFilter(
  values: Float32Array,
  { order, channels, height, width }: SampleMap,
  level: NoiseLevel,
  power: number,
  arithmetic: HostArithmetic,
): void {
  const across = responseOf(gainsOf(width, level, power))
  const down = width === height ? across : responseOf(gainsOf(height, level, power))
  const beside = order === 'tokens' ? channels : 1
  arithmetic.convolve(values, across, beside)
  arithmetic.convolve(values, down, beside * width)
}

/** Gains of one axis at 0, 1, 2 … cycles, over their mean. */
function gainsOf(length: number, { alpha, sigma }: NoiseLevel, power: number): Float64Array {
  const clamp = (value: number): number => Math.min(1 - 1e-6, Math.max(1e-6, value))
  const [a, b] = [clamp(alpha), clamp(sigma)]
  const gains = Float64Array.from({ length }, (_, k) => {
    const signal = 1 / ((Math.min(k, length - k) / length) ** power + 1e-16)
    return (a * signal) / (a * a * signal + b * b + 1e-16)
  })
  const mean = gains.reduce((sum, gain) => sum + gain, 0) / length
  return gains.map((gain) => gain / mean)
}

/** What an element adds to those 0, 1, 2 … elements away: the gains' inverse Fourier transform, which is real, as they are even. */
function responseOf(gains: Float64Array): Float32Array {
  const { length } = gains
  const cosines = Float64Array.from(gains, (_, k) => Math.cos((2 * Math.PI * k) / length))
  const response = new Float32Array(length)
  for (let distance = 0; distance <= length / 2; distance++) {
    let sum = 0
    for (let k = 0; k < length; k++) sum += gains[k] * cosines[(k * distance) % length]
    response[distance] = sum / length
    if (distance > 0) response[length - distance] = response[distance]
  }
  return response
}
