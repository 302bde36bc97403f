import { atOnce, type Pieces } from './pieces.ts'

/** Values [rows, columns], row after row. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly values: Float64Array
}

/** Σ a[aStart + k]·b[bStart + k] over `length` k. Four sums side by side: a processor adds them at once. */
export function dot(a: Float64Array, aStart: number, b: Float64Array, bStart: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  let k = 0
  for (; k + 3 < length; k += 4) {
    s0 += a[aStart + k] * b[bStart + k]
    s1 += a[aStart + k + 1] * b[bStart + k + 1]
    s2 += a[aStart + k + 2] * b[bStart + k + 2]
    s3 += a[aStart + k + 3] * b[bStart + k + 3]
  }
  for (; k < length; k++) s0 += a[aStart + k] * b[bStart + k]
  return s0 + s1 + (s2 + s3)
}

/** a·bᵀ, [rows of a, rows of b]. */
export const timesTransposed = (a: Matrix, b: Matrix): Matrix => atOnce(timesTransposedPieces(a, b))

/** a·aᵀ. */
export const timesItself = (a: Matrix): Matrix => atOnce(timesItselfPieces(a))

export function* timesTransposedPieces(a: Matrix, b: Matrix): Pieces<Matrix> {
  const product = { rows: a.rows, columns: b.rows, values: new Float64Array(a.rows * b.rows) }
  for (let i = 0; i < a.rows; i += 2) {
    for (let j = 0; j < b.rows; j += 2) fillBlock(product, a, i, b, j)
    yield
  }
  return product
}

export function* timesItselfPieces(a: Matrix): Pieces<Matrix> {
  const { rows } = a
  const values = new Float64Array(rows * rows)
  for (let i = 0; i < rows; i += 2) {
    for (let j = 0; j <= i; j += 2) fillBlock({ rows, columns: rows, values }, a, i, a, j)
    yield
  }
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < i; j++) values[j * rows + i] = values[i * rows + j]
    yield
  }
  return { rows, columns: rows, values }
}

/**
 * The products of rows i and i + 1 of a with rows j and j + 1 of b: two rows each halve the reads, which are what takes the time.
 * Where there is no further row the last one is taken twice, and its products written twice.
 */
function fillBlock(product: Matrix, a: Matrix, i: number, b: Matrix, j: number): void {
  const { columns } = a
  const [nextI, nextJ] = [Math.min(i + 1, a.rows - 1), Math.min(j + 1, b.rows - 1)]
  const [x, y] = [a.values, b.values]
  const [x0, x1, y0, y1] = [i * columns, nextI * columns, j * columns, nextJ * columns]
  let [s00, s01, s10, s11] = [0, 0, 0, 0]
  for (let k = 0; k < columns; k++) {
    s00 += x[x0 + k] * y[y0 + k]
    s01 += x[x0 + k] * y[y1 + k]
    s10 += x[x1 + k] * y[y0 + k]
    s11 += x[x1 + k] * y[y1 + k]
  }
  product.values[i * product.columns + j] = s00
  product.values[i * product.columns + nextJ] = s01
  product.values[nextI * product.columns + j] = s10
  product.values[nextI * product.columns + nextJ] = s11
}

export function transposed({ rows, columns, values }: Matrix): Matrix {
  const turned = new Float64Array(values.length)
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = values[i * columns + j]
  return { rows: columns, columns: rows, values: turned }
}

/**
 * L, lower triangular with LLᵀ = S, for S symmetric and positive semidefinite (its lower triangle is read). A pivot that is
 * rounding error of the largest diagonal value leaves a column of zeros: the matrix has that much less rank. Undefined where a
 * pivot is clearly negative.
 */
export function cholesky({ rows, values: s }: Matrix): Matrix | undefined {
  const l = new Float64Array(s.length)
  let largest = 0
  for (let k = 0; k < rows; k++) largest = Math.max(largest, s[k * rows + k])
  const tolerance = largest * rows * Number.EPSILON
  const inverse = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < i; j++) l[i * rows + j] = (s[i * rows + j] - dot(l, i * rows, l, j * rows, j)) * inverse[j]
    const pivot = s[i * rows + i] - dot(l, i * rows, l, i * rows, i)
    if (pivot < -1e-6 * largest) return undefined
    if (pivot <= tolerance) continue
    l[i * rows + i] = Math.sqrt(pivot)
    inverse[i] = 1 / l[i * rows + i]
  }
  return { rows, columns: rows, values: l }
}
