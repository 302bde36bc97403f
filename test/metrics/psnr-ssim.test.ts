import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sampleOf } from '../../ts/metrics/picture.ts'
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

test('a picture of bytes becomes a sample; bytes by themselves, and what is no number, are refused', () => {
  const data = Uint8Array.from({ length: 12 * 11 * 3 }, (_, k) => (k * 37) % 256)
  const picture = { width: 12, height: 11, data }
  const sample = sampleOf(picture)
  for (const [channel, row, column] of [
    [0, 0, 0],
    [1, 10, 3],
    [2, 4, 11],
  ])
    near(sample[(channel * 11 + row) * 12 + column], data[(row * 12 + column) * 3 + channel] / 127.5 - 1, 1e-7)
  assert.equal([...sampleOf({ width: 1, height: 1, data: Uint8Array.of(0, 51, 255) })], [-1, Math.fround(-0.6), 1])
  assert.throws(() => psnr(data, data), /"a" to be values in \[−1, 1\], received a Uint8Array of length 396\. "sampleOf" makes/)
  assert.throws(() => ssim(sample, data, [3, 11, 12]), /"b" to be values in/)
  assert.throws(() => psnr(picture as never, sample), /"a" to be a Float32Array, received an object/)
  assert.throws(() => psnr(undefined as never, sample), /"a" to be a Float32Array, received undefined/)
  assert.throws(() => psnr([0, NaN], [0, 0]), /"a" to be numbers, as well as b, received NaN/)
  assert.throws(
    () =>
      ssim(
        sample,
        sample.map(() => NaN),
        [3, 11, 12],
      ),
    /to be numbers/,
  )
  assert.throws(() => ssim(sample, sample, undefined as never), /"shape" to be \[channels, height, width\]/)
  for (const wrong of [{ ...picture, width: 11 }, { width: 2, height: 1, data: new Uint8Array(8) }, undefined, sample])
    assert.throws(() => sampleOf(wrong as never), /"picture" to be \{ width, height, data \}/)
})

test('samples of a file as they lie in it, and shapes of no picture, are refused', () => {
  // As those of a PNG file of 16 bits and of a WAV file: clipped to [−1, 1] they would all but be equal.
  for (const values of [Uint16Array.of(0, 700, 65535), Int16Array.of(-32768, 0, 5), new BigInt64Array(3)])
    assert.throws(() => psnr(values as never, values as never), /"a" to be values in \[−1, 1\], received a (Uint|Int|BigInt)/)
  for (const data of [Uint16Array.of(0, 700, 65535), Float32Array.of(0, 0.5, 1), [0, 1, 2]])
    assert.throws(() => sampleOf({ width: 1, height: 1, data } as never), /"picture" to be \{ width, height, data \}/)
  const grey = new Float32Array(264)
  for (const shape of [
    [0, 16, 16],
    [1, 16.5, 16],
    [1, 16, 16.5],
    [1.5, 11, 16],
    [NaN, 11, 16],
  ] as const)
    assert.throws(
      () => ssim(shape[0] === 0 ? [] : grey, shape[0] === 0 ? [] : grey, shape),
      /"shape" to be \[channels, height, width\]/,
    )
})

test.run()
