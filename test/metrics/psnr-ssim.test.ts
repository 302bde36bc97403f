import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { psnr } from '../../ts/metrics/psnr.ts'
import { ssim } from '../../ts/metrics/ssim.ts'
import { near } from '../support/metrics.ts'

interface Recorded {
  readonly cases: readonly {
    shape: [number, number, number]
    first: [number, number]
    second: [number, number]
    ssim: number
    psnr: number | null
  }[]
}
const recorded = JSON.parse(readFileSync(join(__dirname, '..', 'fixtures', 'ssim', 'values.json'), 'utf8')) as Recorded

/** The pictures of test/fixtures/ssim/record.py. */
const made = (length: number, [a, b]: [number, number]): number[] =>
  Array.from({ length }, (_, k) => ((a * k + b * k * k) % 256) / 127.5 - 1)

test('SSIM and PSNR are those of scikit-image', () => {
  for (const { shape, first, second, ssim: structure, psnr: decibels } of recorded.cases) {
    const length = shape[0] * shape[1] * shape[2]
    const x = made(length, first)
    const other = made(length, second)
    const y = x.map((value, k) => 0.75 * value + 0.25 * other[k])
    near(ssim(x, y, shape), structure, 1e-12)
    if (decibels !== null) near(psnr(x, y), decibels, 1e-10)
  }
})

test('SSIM of even pictures compares their luminances in [0, 1], whatever side of middle grey they are on', () => {
  const even = (value: number): Float64Array => new Float64Array(3 * 12 * 12).fill(value * 2 - 1)
  for (const [a, b] of [
    [0.5, 0.6],
    [0.4, 0.6],
    [0.1, 0.2],
    [0, 1],
  ])
    near(ssim(even(a), even(b), [3, 12, 12]), (2 * a * b + 1e-4) / (a * a + b * b + 1e-4), 1e-10)
})

test('PSNR: one unit of 255 everywhere is 48.13 dB, equal samples have none, values outside are clipped', () => {
  const grey = new Float64Array(300)
  near(
    psnr(
      grey,
      grey.map(() => 2 / 255),
    ),
    20 * Math.log10(255),
    1e-9,
  )
  assert.is(psnr(grey, grey), Infinity)
  assert.is(psnr([1.5, -7], [1, -1]), Infinity)
  assert.is(psnr([1, 1], [-1, -1]), 0)
  assert.throws(() => psnr([1], [1, 2]), /"b" to be 1 values, as a/)
  assert.throws(() => ssim(new Float32Array(300), new Float32Array(300), [3, 10, 10]), /at least 11/)
})

test.run()
