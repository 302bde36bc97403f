import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bicubic, bilinear, type Plane } from '../../ts/metrics/resize.ts'
import { hashed, near, recorded } from '../support/metrics.ts'

interface Case {
  readonly from: [number, number]
  readonly to: [number, number]
  readonly seed: number
  readonly every: number
  readonly bilinear: readonly number[]
  readonly bicubic: readonly number[]
}
const { cases } = recorded('resize.json') as { cases: Case[] }
const plane = ({ from: [height, width], seed }: Case): Plane => {
  const values = hashed(height * width, seed).map((x) => Math.floor((x + 0.5) * 256))
  return { height, width, values }
}

for (const each of cases) {
  test(`${each.from.join('×')} → ${each.to.join('×')}: bilinear as PyTorch's, bicubic as Pillow's`, () => {
    const bytes = plane(each)
    const scaled = bilinear({ ...bytes, values: bytes.values.map((value) => value / 255) }, ...each.to)
    each.bilinear.forEach((value, k) => near(scaled.values[k * each.every], value, 1e-14)) // both float64
    const clipped = bicubic(bytes, ...each.to).values.map((value) => Math.min(255, Math.max(0, value)))
    // The same float32; 2⁻¹⁶ is the last bit of one from 128 on, should a sum round the other way.
    each.bicubic.forEach((value, k) => near(clipped[k * each.every], value, 2 ** -16))
    const equal = each.bicubic.filter((value, k) => clipped[k * each.every] === Math.fround(value))
    assert.ok(equal.length >= 0.99 * each.bicubic.length, `${equal.length} of ${each.bicubic.length} to the bit`)
  })
}

test('a constant stays, whatever the sizes', () => {
  const flat = { height: 33, width: 2, values: new Float64Array(66).fill(7) }
  for (const size of [1, 2, 32, 67]) {
    for (const value of [...bilinear(flat, size, size).values, ...bicubic(flat, size, size).values]) near(value, 7, 1e-14)
  }
})

test('wrong sizes are named', () => {
  assert.throws(() => bicubic({ height: 2, width: 2, values: new Float64Array(3) }, 1, 1), /"plane.values" to be 4 values/)
  assert.throws(() => bilinear({ height: 2, width: 2, values: new Float64Array(4) }, 0, 1), /"height"/)
})

test.run()
