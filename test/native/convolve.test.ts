import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import { Numbers } from '../support/numbers.ts'

const { convolve } = loadAddon()
const { fround } = Math

/** The sums in the order of the contract, each product and sum rounded to float32. */
const oracle = (values: Float32Array, response: Float32Array, stride: number): Float32Array =>
  values.map((_, i) => {
    const length = response.length * stride
    const within = i % length
    return response.reduce(
      (sum, weight, k) => fround(sum + fround(weight * values[i - within + ((within + k * stride) % length)])),
      0,
    )
  })

test('every element is the sum over its axis, from itself on and around, of each block and place apart', () => {
  const numbers = new Numbers(8)
  for (const [blocks, n, stride] of [
    [1, 1, 1],
    [2, 1, 3],
    [1, 2, 1],
    [3, 3, 2],
    [1, 4, 1],
    [2, 5, 9],
    [4, 8, 1],
    [1, 31, 33],
    [2, 64, 64],
  ]) {
    const [values, response] = [numbers.floats(blocks * n * stride), numbers.floats(n)]
    const expected = oracle(values, response, stride)
    convolve(values, response, stride)
    assert.equal(values, expected, `${blocks} × ${n} × ${stride}`)
  }
})

test('no elements are convolved to none; a response of one element scales', () => {
  const values = Float32Array.of(1, -2, 0.5)
  convolve(values, Float32Array.of(4), 3)
  assert.equal([...values], [4, -8, 2])
  convolve(new Float32Array(0), Float32Array.of(1, 2), 5)
})

test('lengths that do not fit are refused, and leave the values as they are', () => {
  const values = Float32Array.of(1, 2, 3, 4, 5, 6)
  for (const [n, stride] of [
    [0, 1],
    [4, 1],
    [2, 2],
    [6, 2],
    [1, 7],
    [3, 2 ** 40],
  ])
    assert.throws(() => convolve(values, new Float32Array(n), stride), /Expected "values" to be blocks/, `${n} × ${stride}`)
  for (const stride of [0, -1, 1.5, NaN, 2 ** 41, '1'])
    assert.throws(() => convolve(values, new Float32Array(1), stride as number), /stride/, String(stride))
  for (const wrong of [undefined, [1], new Float64Array(6)]) {
    assert.throws(() => convolve(wrong as never, new Float32Array(1), 1), /"values" to be a Float32Array/)
    assert.throws(() => convolve(values, wrong as never, 1), /"response" to be a Float32Array/)
  }
  // What is written while it is still to be read.
  for (const response of [values, values.subarray(0, 2), values.subarray(4)])
    assert.throws(() => convolve(values, response, 1), /"values" and "response" not to overlap/)
  assert.equal([...values], [1, 2, 3, 4, 5, 6])
})

test.run()
