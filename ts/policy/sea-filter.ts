import type { NoiseLevel } from '../schedule/schedule.ts'

/**
 * The spectral-evolution-aware filter of SeaCache: along each axis a Wiener filter for a clean signal whose power falls as
 * S(f) = |f|^−power, in a sample α·signal + σ·noise: gain α·S/(α²S + σ²), f in cycles per element; the gains of both axes multiplied
 * and scaled to a mean of 1. `values` [channels, height, width]; each channel is filtered alone, over periodic borders.
 *
 * The gain is a product of one factor for each axis, so the filter is a circular convolution along rows and then along columns, with
 * kernels that are even, so that −n and n elements apart weigh the same.
 */
export function seaFilter(
  values: Float32Array,
  [channels, height, width]: readonly [number, number, number],
  level: NoiseLevel,
  power: number,
): Float64Array {
  const alongRows = kernel(width, level, power)
  const alongColumns = kernel(height, level, power)
  const result = new Float64Array(values.length)
  const rows = new Float64Array(height * width)
  for (let c = 0; c < channels; c++) {
    const offset = c * height * width
    for (let y = 0; y < height; y++) {
      for (let from = 0; from < width; from++) {
        const value = values[offset + y * width + from]
        for (let x = 0; x < width; x++) rows[y * width + x] += alongRows[Math.abs(x - from)] * value
      }
    }
    for (let y = 0; y < height; y++) {
      for (let from = 0; from < height; from++) {
        const weight = alongColumns[Math.abs(y - from)]
        for (let x = 0; x < width; x++) result[offset + y * width + x] += weight * rows[from * width + x]
      }
    }
    rows.fill(0)
  }
  return result
}

/** The inverse Fourier transform of one axis's gains, real because they are even, over their mean. */
function kernel(length: number, { alpha, sigma }: NoiseLevel, power: number): Float64Array {
  const clamp = (value: number): number => Math.min(1 - 1e-6, Math.max(1e-6, value))
  const [a, b] = [clamp(alpha), clamp(sigma)]
  const gains = Array.from({ length }, (_, k) => {
    const signal = 1 / ((Math.min(k, length - k) / length) ** power + 1e-16)
    return (a * signal) / (a * a * signal + b * b + 1e-16)
  })
  const total = gains.reduce((sum, gain) => sum + gain, 0)
  return Float64Array.from({ length }, (_, n) =>
    gains.reduce((sum, gain, k) => sum + (gain / total) * Math.cos((2 * Math.PI * ((k * n) % length)) / length), 0),
  )
}
