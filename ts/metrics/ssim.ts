import { invalidArgument, inWords } from '../errors.ts'
import { checkSample, checkShape } from './picture.ts'
import { clip } from './psnr.ts'

// The standard settings (Wang et al. 2004): a Gaussian window of σ = 1.5 cut at 3.5 σ, K1 = 0.01, K2 = 0.03, on values in [0, 1]: the term that
// compares luminances is a ratio of means, which has no meaning where they may be zero or negative.
// scikit-image on (x + 1)/2: gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=0.
const RADIUS = 5
const WINDOW = gaussian(RADIUS, 1.5)
/** Smaller pictures have no place where the window fits. */
export const SSIM_SMALLEST = 2 * RADIUS + 1
const C1 = 0.01 ** 2
const C2 = 0.03 ** 2

/**
 * Structural similarity of two samples [channels, height, width] in [−1, 1], as pictures of [0, 1]: a mean over channels and every place where the
 * window fits whole; 1 where they are equal. Throws INVALID_ARGUMENT for whole numbers as files have them, NaN, fewer than 11 pixels each way, and
 * lengths that are not the shape's.
 */
export function ssim(a: ArrayLike<number>, b: ArrayLike<number>, shape: readonly [number, number, number]): number {
  checkShape('shape', shape)
  const [channels, height, width] = shape
  for (const [name, sample] of Object.entries({ a, b })) checkSample(name, sample)
  if (Math.min(height, width) < SSIM_SMALLEST)
    throw invalidArgument('shape', `pictures of at least ${SSIM_SMALLEST} pixels each way`, inWords(`${width}×${height}`))
  const length = channels * height * width
  for (const [name, sample] of Object.entries({ a, b }))
    if (sample.length !== length) throw invalidArgument(name, `${length} values`, sample)
  let sum = 0
  for (let c = 0; c < channels; c++) sum += channelSsim(plane(a, c, height * width), plane(b, c, height * width), height, width)
  if (Number.isNaN(sum)) throw invalidArgument('a', 'numbers, as well as b', NaN)
  return sum / channels
}

function channelSsim(a: Float64Array, b: Float64Array, height: number, width: number): number {
  const blur = (values: (k: number) => number): Float64Array =>
    windowed(
      Float64Array.from(a, (_, k) => values(k)),
      height,
      width,
    )
  const [meanA, meanB] = [blur((k) => a[k]), blur((k) => b[k])]
  const [squareA, squareB, product] = [blur((k) => a[k] * a[k]), blur((k) => b[k] * b[k]), blur((k) => a[k] * b[k])]
  let sum = 0
  for (let k = 0; k < meanA.length; k++) {
    const means = meanA[k] * meanB[k]
    const energy = meanA[k] ** 2 + meanB[k] ** 2
    const variances = squareA[k] + squareB[k] - energy
    sum += ((2 * means + C1) * (2 * (product[k] - means) + C2)) / ((energy + C1) * (variances + C2))
  }
  return sum / meanA.length
}

/** Weighted means under the window, rows then columns, where it fits whole: [height − 10, width − 10]. */
function windowed(values: Float64Array, height: number, width: number): Float64Array {
  const columns = width - 2 * RADIUS
  const across = new Float64Array(height * columns)
  for (let k = 0; k < across.length; k++) across[k] = weighted(values, Math.floor(k / columns) * width + (k % columns), 1)
  return Float64Array.from({ length: (height - 2 * RADIUS) * columns }, (_, k) => weighted(across, k, columns))
}

/** Σ window·values from `start` on, `stride` apart. */
function weighted(values: Float64Array, start: number, stride: number): number {
  let sum = 0
  for (let k = 0; k < WINDOW.length; k++) sum += WINDOW[k] * values[start + k * stride]
  return sum
}

function plane(sample: ArrayLike<number>, channel: number, pixels: number): Float64Array {
  return Float64Array.from({ length: pixels }, (_, k) => (clip(sample[channel * pixels + k]) + 1) / 2)
}

function gaussian(radius: number, sigma: number): readonly number[] {
  const weights = Array.from({ length: 2 * radius + 1 }, (_, k) => Math.exp(-((k - radius) ** 2) / (2 * sigma ** 2)))
  const total = weights.reduce((sum, w) => sum + w, 0)
  return weights.map((w) => w / total)
}
