import { Matrix, QrDecomposition } from 'ml-matrix'
import { SadaError } from '../errors.ts'
import { polynomialAt } from './teacache.ts'

/** A polynomial fitted to pairs, and how well. */
export interface PolynomialFit {
  /** Highest power first. */
  readonly coefficients: readonly number[]
  /** Share of the variance of y that the polynomial explains, at most 1. */
  readonly rSquared: number
  /** The x it was fitted on. */
  readonly range: readonly [from: number, to: number]
}

/** The polynomial of a degree that leaves the least sum of squares. Throws INVALID_ARGUMENT where the pairs do not determine one. */
export function fitPolynomial(pairs: readonly (readonly [x: number, y: number])[], degree: number): PolynomialFit {
  const distinct = new Set(pairs.map(([x]) => x)).size
  if (distinct <= degree) {
    const message = `A polynomial of degree ${degree} needs ${degree + 1} different changes; the runs gave ${distinct}.`
    throw new SadaError('INVALID_ARGUMENT', `${message} Take more steps.`, { argument: 'steps' })
  }
  const xs = pairs.map(([x]) => x)
  const range = [Math.min(...xs), Math.max(...xs)] as const
  // In units of the largest |x| the powers stay of one size.
  const unit = Math.max(Math.abs(range[0]), Math.abs(range[1]))
  const powers = Array.from({ length: degree + 1 }, (_, k) => degree - k)
  const rows = new Matrix(xs.map((x) => powers.map((power) => (x / unit) ** power)))
  const solution = new QrDecomposition(rows).solve(Matrix.columnVector(pairs.map(([, y]) => y))).to1DArray()
  const coefficients = solution.map((coefficient, k) => coefficient / unit ** powers[k])
  const mean = pairs.reduce((sum, [, y]) => sum + y, 0) / pairs.length
  const total = pairs.reduce((sum, [, y]) => sum + (y - mean) ** 2, 0)
  const left = pairs.reduce((sum, [x, y]) => sum + (y - polynomialAt(coefficients, x)) ** 2, 0)
  return { coefficients, rSquared: total === 0 ? 1 : 1 - left / total, range }
}
