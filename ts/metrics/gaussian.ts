import { invalidArgument, inWords } from '../errors.ts'
import { checkFeatures, type Features } from './features.ts'
import { cholesky, timesItself, transposed, type Matrix } from './matrix.ts'

/** A normal distribution by its mean and a factor of its covariance. */
export interface Gaussian {
  /** [dim] */
  readonly mean: Float64Array
  /** F, [rank at most, dim]: the covariance is FᵀF. */
  readonly factor: Matrix
}

/** Mean and covariance (divisor count − 1, as numpy.cov) of features. */
export function gaussianOf(features: Features): Gaussian {
  checkFeatures('features', features)
  const { count, dim, values } = features
  const mean = columnMeans(features)
  const scale = 1 / Math.sqrt(count - 1)
  const centred = new Float64Array(values.length)
  for (let k = 0; k < values.length; k++) centred[k] = (values[k] - mean[k % dim]) * scale
  const factor = { rows: count, columns: dim, values: centred }
  // The centred rows are a factor themselves, exact whatever the rank; past `dim` of them a triangle is smaller.
  return { mean, factor: count <= dim ? factor : factorOf(timesItself(transposed(factor))) }
}

function columnMeans({ count, dim, values }: Features): Float64Array {
  const mean = new Float64Array(dim)
  for (let k = 0; k < values.length; k++) mean[k % dim] += values[k]
  return mean.map((sum) => sum / count)
}

function factorOf(covariance: Matrix): Matrix {
  const lower = cholesky(covariance)
  if (lower === undefined) throw invalidArgument('covariance', 'positive semidefinite', inWords('one with a negative pivot'))
  return transposed(lower)
}
