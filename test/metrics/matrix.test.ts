import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cholesky, dot, timesItself, timesTransposed, transposed, type Matrix } from '../../ts/metrics/matrix.ts'
import { hashed, near } from '../support/metrics.ts'

const made = (rows: number, columns: number, seed: number): Matrix => ({ rows, columns, values: hashed(rows * columns, seed) })
/** Σ over k, one after the other. */
function product(a: Matrix, b: Matrix): number[] {
  const at = (m: Matrix, i: number, k: number): number => m.values[i * m.columns + k]
  return Array.from({ length: a.rows * b.rows }, (_, ij) => {
    let sum = 0
    for (let k = 0; k < a.columns; k++) sum += at(a, Math.floor(ij / b.rows), k) * at(b, ij % b.rows, k)
    return sum
  })
}

test('products of rows, whatever the sizes', () => {
  for (const rows of [1, 2, 3, 32, 33])
    for (const columns of [1, 3, 4, 31])
      for (const others of [1, 2, 5]) {
        const [a, b] = [made(rows, columns, 1), made(others, columns, 999)]
        const found = timesTransposed(a, b)
        assert.equal([found.rows, found.columns], [rows, others])
        product(a, b).forEach((value, k) => near(found.values[k], value, 1e-14))
        product(a, a).forEach((value, k) => near(timesItself(a).values[k], value, 1e-14))
        near(dot(a.values, 0, a.values, 0, columns), product(a, a)[0], 1e-14)
      }
})

test('transposing twice restores', () => {
  const a = made(3, 5, 1)
  assert.equal(transposed(transposed(a)), a)
  assert.is(transposed(a).values[1 * 3 + 2], a.values[2 * 5 + 1])
})

test("Cholesky's factor is triangular and restores the matrix, also where it has less rank", () => {
  for (const [rows, rank] of [
    [1, 1],
    [5, 9],
    [33, 33],
    [6, 2],
    [4, 1],
  ]) {
    const s = timesItself(made(rows, rank, 7))
    const l = cholesky(s)!
    timesItself(l).values.forEach((value, k) => near(value, s.values[k], 1e-13 * rows))
    for (let i = 0; i < rows; i++) for (let j = i + 1; j < rows; j++) assert.is(l.values[i * rows + j], 0)
  }
  assert.is(cholesky({ rows: 2, columns: 2, values: Float64Array.of(1, 0, 0, -1) }), undefined)
  assert.equal([...cholesky({ rows: 2, columns: 2, values: new Float64Array(4) })!.values], [0, 0, 0, 0])
})

test('a pivot that is rounding error is taken for zero: dividing by it would blow up what rounding left beside it', () => {
  const [bit, beside] = [Number.EPSILON, 1e-13]
  const values = Float64Array.of(1, 1, 1, 1, 1 + bit, 1 + beside, 1, 1 + beside, 1)
  timesItself(cholesky({ rows: 3, columns: 3, values })!).values.forEach((value, k) => near(value, values[k], 2 * beside))
})

test.run()
