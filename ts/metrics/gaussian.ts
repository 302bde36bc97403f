import { invalidArgument } from '../errors.ts'
import { checkFeatures, type Features } from './features.ts'

/** A normal distribution by its mean and a factor of its covariance. */
export interface Gaussian {
  /** [dim] */
  readonly mean: Float64Array
  /** F, [rows, dim]: the covariance is FᵀF. */
  readonly factor: { readonly rows: number; readonly values: Float64Array }
}

/** Mean and covariance (divisor count − 1, as numpy.cov) of features. */
export function gaussianOf(features: Features): Gaussian {
  checkFeatures('features', features)
  const { count, dim } = features
  const mean = columnMeans(features)
  const scale = 1 / Math.sqrt(count - 1)
  const centred = Float64Array.from(features.values, (value, k) => (value - mean[k % dim]) * scale)
  // The centred rows are a factor themselves, exact whatever the rank; past `dim` of them a triangle is smaller.
  if (count <= dim) return { mean, factor: { rows: count, values: centred } }
  return { mean, factor: { rows: dim, values: choleskyFactor(productWithItself(centred, count, dim), dim) } }
}

/** The distribution of published statistics: `mean` [dim], `covariance` [dim, dim]. */
export function gaussianFromMoments(mean: ArrayLike<number>, covariance: ArrayLike<number>): Gaussian {
  const dim = mean.length
  if (dim < 1) throw invalidArgument('mean', 'at least one value', mean)
  if (covariance.length !== dim * dim)
    throw invalidArgument('covariance', `${dim} · ${dim} values`, Float64Array.from(covariance))
  const all = [...Array.from(mean), ...Array.from(covariance)]
  const wrong = all.findIndex((value) => !Number.isFinite(value))
  if (wrong >= 0) throw invalidArgument(wrong < dim ? 'mean' : 'covariance', 'finite values', all[wrong])
  const values = choleskyFactor(Float64Array.from(covariance), dim)
  return { mean: Float64Array.from(mean), factor: { rows: dim, values } }
}

function columnMeans({ count, dim, values }: Features): Float64Array {
  const mean = new Float64Array(dim)
  for (let k = 0; k < values.length; k++) mean[k % dim] += values[k]
  return mean.map((sum) => sum / count)
}

/** XᵀX of X [rows, dim]; only the upper triangle is filled. */
function productWithItself(x: Float64Array, rows: number, dim: number): Float64Array {
  const product = new Float64Array(dim * dim)
  for (let r = 0; r < rows; r++) {
    const at = r * dim
    for (let i = 0; i < dim; i++) addScaled(product, i * dim, x, at, x[at + i], i, dim)
  }
  return product
}

/**
 * R, upper triangular with RᵀR = S, for S [dim, dim] symmetric and positive semidefinite (its upper triangle is read; it is
 * overwritten). A pivot that is rounding error of the largest leaves a row of zeros: the matrix has that much less rank.
 */
function choleskyFactor(s: Float64Array, dim: number): Float64Array {
  let largest = 0
  for (let k = 0; k < dim; k++) largest = Math.max(largest, s[k * dim + k])
  const tolerance = largest * dim * Number.EPSILON
  for (let k = 0; k < dim; k++) {
    const pivot = s[k * dim + k]
    if (pivot < -1e-6 * largest) throw invalidArgument('covariance', 'positive semidefinite', pivot, 'It is a pivot.')
    const inverse = pivot > tolerance ? 1 / Math.sqrt(pivot) : 0
    s.fill(0, k * dim, k * dim + k)
    for (let j = k; j < dim; j++) s[k * dim + j] *= inverse
    for (let i = k + 1; i < dim; i++) addScaled(s, i * dim, s, k * dim, -s[k * dim + i], i, dim)
  }
  return s
}

/** target[to + j] += weight · source[from + j] for j in [start, end). */
function addScaled(
  target: Float64Array,
  to: number,
  source: Float64Array,
  from: number,
  weight: number,
  start: number,
  end: number,
): void {
  if (weight === 0) return
  for (let j = start; j < end; j++) target[to + j] += weight * source[from + j]
}
