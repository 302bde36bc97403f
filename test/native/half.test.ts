import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'

const { convert } = loadAddon()
type Type = 'float16' | 'bfloat16'
const widen = (halves: ArrayLike<number>, type: Type): Float32Array => {
  const floats = new Float32Array(halves.length)
  convert(Uint16Array.from(halves), floats, type)
  return floats
}
const narrow = (floats: ArrayLike<number>, type: Type): number[] => {
  const halves = new Uint16Array(floats.length)
  convert(Float32Array.from(floats), halves, type)
  return [...halves]
}
const patterns = Uint16Array.from({ length: 65536 }, (_, k) => k)
const formats = { float16: { bits: 10, exponents: 31, bias: 15 }, bfloat16: { bits: 7, exponents: 255, bias: 127 } }

for (const type of ['float16', 'bfloat16'] as const) {
  const { bits, exponents, bias } = formats[type]

  test(`${type}: every pattern has the value that IEEE 754 gives it`, () => {
    const values = widen(patterns, type)
    patterns.forEach((pattern) => {
      const sign = pattern >= 0x8000 ? -1 : 1
      const exponent = (pattern & 0x7fff) >> bits
      const fraction = (pattern & ((1 << bits) - 1)) / 2 ** bits
      const special = fraction === 0 ? sign * Infinity : NaN
      const value = exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias)
      assert.ok(Object.is(values[pattern], exponent === exponents ? special : value), `${pattern}: ${values[pattern]}`)
    })
  })

  test(`${type}: every pattern comes back; NaN as a quiet NaN of its sign`, () => {
    const values = widen(patterns, type)
    narrow(values, type).forEach((half, pattern) => {
      if (!Number.isNaN(values[pattern])) return assert.is(half, pattern)
      const [again] = widen([half], type)
      assert.ok(Number.isNaN(again), String(pattern))
    })
  })

  test(`${type}: halfway between neighbours goes to even, anything beyond to the nearer`, () => {
    const top = (exponents << bits) - 1
    const values = widen(patterns.subarray(0, top + 1), type)
    const middle = Array.from({ length: top }, (_, k) => (values[k] + values[k + 1]) / 2)
    const float = new Float32Array(1)
    const word = new Uint32Array(float.buffer)
    const beside = (value: number, step: number): number => ((float[0] = value), (word[0] += step), float[0])
    const even = narrow(middle, type)
    const [below, above] = [-1, 1].map((step) =>
      narrow(
        middle.map((value) => beside(value, step)),
        type,
      ),
    )
    for (let k = 0; k < top; k++) {
      assert.is(even[k], k % 2 === 0 ? k : k + 1)
      assert.is(above[k], k + 1)
      assert.is(below[k], k)
    }
  })
}

test('known float16 values', () => {
  const infinity = 0x7c00
  assert.equal(narrow([0, -0, 1, -2, 65504, 65519.99, 65520, 1e38, -Infinity], 'float16'), [
    0,
    0x8000,
    0x3c00,
    0xc000,
    0x7bff,
    0x7bff,
    infinity,
    infinity,
    0xfc00,
  ])
  assert.equal(narrow([2 ** -24, 2 ** -25, 1.0001 * 2 ** -25, 2 ** -14, 1e-40, -1e-40], 'float16'), [1, 0, 1, 0x400, 0, 0x8000])
  assert.equal(narrow([3.3895e38, 3.4e38, 1e-40], 'bfloat16'), [0x7f7f, infinityOf('bfloat16'), 1])
})

function infinityOf(type: Type): number {
  return narrow([Infinity], type)[0]
}

test('wrong arguments are named', () => {
  const floats = new Float32Array(2)
  const halves = new Uint16Array(2)
  const refused = (...values: unknown[]): void => {
    assert.throws(
      () => (convert as Function)(...values),
      (error: { code?: string }) => error.code === 'INVALID_ARGUMENT',
    )
  }
  refused(floats, halves, 'float8')
  refused(floats, halves)
  refused(floats, floats, 'float16')
  refused(halves, halves, 'float16')
  refused(floats, new Uint16Array(3), 'float16')
  refused(new Float64Array(2), halves, 'float16')
  refused([1, 2], halves, 'float16')
  refused()
  const memory = new ArrayBuffer(12)
  refused(new Float32Array(memory, 0, 2), new Uint16Array(memory, 6, 2), 'float16')
  refused(new Uint16Array(memory, 0, 2), new Float32Array(memory, 0, 2), 'float16')
  convert(new Float32Array(memory, 0, 2), new Uint16Array(memory, 8, 2), 'float16')
  convert(new Float32Array(0), new Uint16Array(0), 'float16')
})

test.run()
