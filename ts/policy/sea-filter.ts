import FFT from 'fft.js'
import type { NoiseLevel } from '../schedule/schedule.ts'
import type { SampleMap } from './policy.ts'

/**
 * The spectral-evolution-aware filter of SeaCache: along each axis a Wiener filter for a clean signal whose power falls as
 * S(f) = |f|^−power, in a sample α·signal + σ·noise: gain α·S/(α²S + σ²), f in cycles per element; the gains of both axes multiplied
 * and scaled to a mean of 1. `values` [channels, height, width] or, as tokens, [height, width, channels]; each channel is filtered alone,
 * over periodic borders. The result is [channels, height, width].
 */
export function seaFilter(
  values: Float32Array,
  { order, channels, height, width }: SampleMap,
  level: NoiseLevel,
  power: number,
): Float64Array {
  const alongRows = axisFilter(gainsOf(width, level, power))
  const alongColumns = axisFilter(gainsOf(height, level, power))
  const planes = order === 'tokens' ? planesOf(values, channels) : values
  const turned = new Float64Array(values.length)
  const result = new Float64Array(values.length)
  for (let from = 0; from < values.length; from += height * width) {
    filterRows(planes, turned, [from, height, width], alongRows)
    filterRows(turned, result, [from, width, height], alongColumns)
  }
  return result
}

/** [tokens, channels] as [channels, tokens]. */
function planesOf(values: Float32Array, channels: number): Float32Array {
  const tokens = values.length / channels
  return Float32Array.from(values, (_, k) => values[(k % tokens) * channels + Math.floor(k / tokens)])
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

interface AxisFilter {
  readonly fft: FFT
  readonly gains: Float64Array
}

/**
 * The gains for a transform whose size is a power of two: themselves, or those of their impulse response from −(n − 1) to n − 1
 * elements, on rows that zeros make longer. Either are real, as the response is even.
 */
function axisFilter(gains: Float64Array): AxisFilter {
  const { length } = gains
  if (length > 1 && Number.isInteger(Math.log2(length))) return { fft: new FFT(length), gains }
  const size = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * length - 1)))
  const fft = new FFT(size)
  const response = new Float64Array(2 * size)
  for (let n = 0; n < length; n++) {
    const turn = (k: number): number => Math.cos((2 * Math.PI * ((k * n) % length)) / length)
    const value = gains.reduce((sum, gain, k) => sum + gain * turn(k), 0) / length
    response[2 * n] = value
    if (n > 0) response[2 * (size - n)] = value
  }
  const spectrum = new Float64Array(2 * size)
  fft.transform(spectrum, response)
  return { fft, gains: spectrum.filter((_, k) => k % 2 === 0) }
}

/** Filters `height` rows and writes them as columns. Two at a time, as real and imaginary part: real gains keep them apart. */
function filterRows(
  values: Float32Array | Float64Array,
  turned: Float64Array,
  [from, height, width]: readonly [number, number, number],
  { fft, gains }: AxisFilter,
): void {
  const [rows, spectrum] = [new Float64Array(2 * fft.size), new Float64Array(2 * fft.size)]
  for (let y = 0; y < height; y += 2) {
    const isPair = y + 1 < height
    const at = from + y * width
    rows.fill(0)
    for (let x = 0; x < width; x++) {
      rows[2 * x] = values[at + x]
      if (isPair) rows[2 * x + 1] = values[at + width + x]
    }
    fft.transform(spectrum, rows)
    for (let k = 0; k < gains.length; k++) {
      spectrum[2 * k] *= gains[k]
      spectrum[2 * k + 1] *= gains[k]
    }
    fft.inverseTransform(rows, spectrum)
    for (let x = 0; x < width; x++) {
      turned[from + x * height + y] = rows[2 * x]
      if (isPair) turned[from + x * height + y + 1] = rows[2 * x + 1]
    }
  }
}
