import { invalidArgument } from '../errors.ts'
import { checkSample } from './picture.ts'

/**
 * Peak signal-to-noise ratio of two samples in [−1, 1], in dB: 10·log10(4/MSE), peak to peak 2, in float64.
 * Values outside are clipped first, as they are when a sample becomes a picture. Infinity where the samples are equal. Throws INVALID_ARGUMENT
 * for whole numbers as files have them, NaN, no values, and lengths that differ.
 */
export function psnr(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (const [name, values] of Object.entries({ a, b })) checkSample(name, values)
  if (a.length === 0) throw invalidArgument('a', 'at least one value', a)
  if (b.length !== a.length) throw invalidArgument('b', `${a.length} values, as a`, b)
  let sum = 0
  for (let k = 0; k < a.length; k++) sum += (clip(a[k]) - clip(b[k])) ** 2
  if (Number.isNaN(sum)) throw invalidArgument('a', 'numbers, as well as b', NaN)
  return 10 * Math.log10((4 * a.length) / sum)
}

export const clip = (value: number): number => Math.min(1, Math.max(-1, value))
