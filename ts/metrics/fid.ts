import { Matrix as Rows, SVD } from 'ml-matrix'
import { checkNames, invalidArgument } from '../errors.ts'
import { TorchGenerator } from '../noise.ts'
import { checkPair, drawSubset, take, type Features } from './features.ts'
import { gaussianOf, type Gaussian } from './gaussian.ts'
import { dot, timesTransposed, type Matrix } from './matrix.ts'

/**
 * Fréchet distance of two normal distributions, ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) (Heusel et al. 2017, eq. 6), in
 * squared units of the features. With Σᵢ = FᵢᵀFᵢ the last trace is the sum of the singular values of F₁F₂ᵀ: no square root
 * of a nearly singular product, thus no ε on the diagonal, no imaginary part, and full precision where there are fewer
 * pictures than features. Rounding can leave equal distributions at about ±1e-12 of the trace.
 */
export function frechetDistance(a: Gaussian, b: Gaussian): number {
  if (a.mean.length !== b.mean.length) throw invalidArgument('b.mean', `${a.mean.length} values, as a.mean`, b.mean)
  const shift = a.mean.map((value, k) => value - b.mean[k])
  const squares = (values: Float64Array): number => dot(values, 0, values, 0, values.length)
  const [traceA, traceB] = [squares(a.factor.values), squares(b.factor.values)]
  return squares(shift) + traceA + traceB - 2 * nuclearNorm(a.factor, b.factor)
}

/** FID of two sets of features, each of its own count. It is inflated by small samples: `sampleBias` says by how much. Throws INVALID_ARGUMENT. */
export function fid(a: Features, b: Features): number {
  checkPair(a, b)
  return frechetDistance(gaussianOf(a), gaussianOf(b))
}

/** The sum of the singular values of F₁F₂ᵀ. */
function nuclearNorm(f1: Matrix, f2: Matrix): number {
  const { rows, columns, values } = timesTransposed(f1, f2)
  const { diagonal } = new SVD(Rows.from1DArray(rows, columns, values), {
    autoTranspose: true,
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
  })
  return diagonal.reduce((sum, value) => sum + value, 0)
}

/** How far a FID is from that of infinitely many pictures. */
export interface SampleBias {
  /** FID between two halves of the baseline, each ⌊count/2⌋ pictures: what equal distributions score at that size. */
  readonly halves: number
  /** FID∞ (Chong and Forsyth 2020): the line through FID against 1/count, at 1/count = 0. */
  readonly extrapolated: number
  /** What the line was drawn through. */
  readonly points: readonly { readonly count: number; readonly fid: number }[]
}

/**
 * The small-sample bias of `fid(baseline, other)`. Subsets take the same pictures of both sets: row k of one belongs to row k
 * of the other (same prompt and noise), and pairing is part of what is measured.
 * Throws INVALID_ARGUMENT, below 8 pictures too, or UNKNOWN_NAME.
 * @param options `seed` of the subsets, as `kid` takes it, default 0; `points`: sizes of the line, evenly spaced in count from half of the
 *   pictures to all, two at least, default 5
 */
export function sampleBias(
  baseline: Features,
  other: Features,
  options: { seed?: number | undefined; points?: number | undefined } = {},
): SampleBias {
  checkPair(baseline, other)
  checkNames(options, { seed: true, points: true })
  const { seed = 0, points = 5 } = options
  const { count } = baseline
  if (other.count !== count) throw invalidArgument('other.count', `${count}, that of the baseline`, other.count)
  if (count < 8) throw invalidArgument('baseline.count', 'at least 8 pictures', count)
  if (!Number.isSafeInteger(points) || points < 2) throw invalidArgument('points', 'an integer of at least 2', points)
  const generator = new TorchGenerator(seed)
  const half = Math.floor(count / 2)
  const order = drawSubset(generator, count, count)
  const halves = fid(take(baseline, order.slice(0, half)), take(baseline, order.slice(half, 2 * half)))
  const line = Array.from({ length: points }, (_, k) => {
    const size = Math.round(half + ((count - half) * k) / (points - 1))
    const chosen = drawSubset(generator, count, size)
    return { count: size, fid: fid(take(baseline, chosen), take(other, chosen)) }
  })
  return { halves, extrapolated: intercept(line.map((each) => [1 / each.count, each.fid])), points: line }
}

/** Where the least-squares line through (x, y) meets x = 0. */
function intercept(points: readonly (readonly [x: number, y: number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0)
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  return meanY - (covariance / variance) * meanX
}
