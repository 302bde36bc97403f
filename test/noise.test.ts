import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SadaError } from '../ts/errors.ts'
import { TorchGenerator } from '../ts/noise.ts'
import { floats } from './support/mixture.ts'
import { absoluteError, recordedNoise } from './support/schedulers.ts'

// torch's own AVX2, AVX-512 and scalar builds differ by up to 1.7e-6 in the logarithm and the trigonometric functions.
const normalTolerance = 2e-6
const close = (actual: ArrayLike<number>, expected: ArrayLike<number>): void => {
  assert.ok(absoluteError(actual, expected) <= normalTolerance)
}
const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0)

for (const recorded of Object.values(recordedNoise).filter((value) => typeof value === 'object')) {
  const { seed } = recorded
  test(`seed ${seed}: rand is exact`, () => {
    assert.equal(Array.from(new TorchGenerator(seed).rand(8)), recorded.rand_8.map(Math.fround))
  })

  test(`seed ${seed}: randn of two calls in a row`, () => {
    const generator = new TorchGenerator(seed)
    close(generator.randn(256), floats(recorded.randn_4x8x8_f32_base64))
    close(generator.randn(256), floats(recorded.second_call_4x8x8_f32_base64))
  })

  test(`seed ${seed}: a length that is no multiple of 16 draws its last 16 values again`, () => {
    close(new TorchGenerator(seed).randn(20), recorded.randn_20)
    const values = new TorchGenerator(seed).randn(1000)
    close(values.subarray(0, 8), recorded.randn_1000.first8)
    close(values.subarray(-8), recorded.randn_1000.last8)
    assert.ok(Math.abs(sum(values) - recorded.randn_1000.sum_float64) < 1e-4)
  })

  test(`seed ${seed}: a Stable Diffusion latent`, () => {
    const values = new TorchGenerator(seed).randn(4 * 64 * 64)
    close(values.subarray(-8), recorded.randn_1x4x64x64.last8)
    assert.ok(Math.abs(sum(values) - recorded.randn_1x4x64x64.sum_float64) < 2e-3)
  })

  test(`seed ${seed}: the kept normal value survives a large call`, () => {
    const generator = new TorchGenerator(seed)
    close(generator.randn(3), recorded.interleaved.a)
    close(generator.randn(3), recorded.interleaved.b)
    close(generator.randn(256).subarray(0, 8), recorded.interleaved.c_first8)
    close(generator.randn(3), recorded.interleaved.d)
  })
}

test('lengths around a block: every prefix of whole blocks is the same', () => {
  const longest = new TorchGenerator(5).randn(64)
  for (const n of [16, 32, 48]) assert.equal(new TorchGenerator(5).randn(n), longest.slice(0, n))
  for (const n of [0, 1, 2, 15, 17, 31, 33]) {
    const values = new TorchGenerator(5).randn(n)
    assert.is(values.length, n)
    assert.ok(values.every(Number.isFinite))
  }
})

test('only the low 32 bits of a seed count, as in PyTorch', () => {
  assert.equal(new TorchGenerator(7).randn(32), new TorchGenerator(7n + (5n << 32n)).randn(32))
  assert.equal(new TorchGenerator(2 ** 40 + 7).randn(32), new TorchGenerator(7).randn(32))
  assert.not.equal(new TorchGenerator(8).randn(32), new TorchGenerator(7).randn(32))
  new TorchGenerator((1n << 64n) - 1n)
})

test('seeds and lengths out of range are named', () => {
  const wrong = [-1, 1.5, NaN, Infinity, 2 ** 53, -1n, 1n << 64n, '1', null, undefined, {}]
  for (const seed of wrong) assert.throws(() => new TorchGenerator(seed as number), isArgument('seed'))
  for (const n of [-1, 1.5, NaN]) assert.throws(() => new TorchGenerator(0).randn(n), isArgument('n'))
})

test('a megabyte of noise has mean 0, variance 1 and no repeated state', () => {
  const values = new TorchGenerator(123).randn(1 << 18)
  const mean = sum(values) / values.length
  const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length
  assert.ok(Math.abs(mean) < 0.01 && Math.abs(variance - 1) < 0.01)
})

function isArgument(name: string): (error: Error) => boolean {
  return (error) => error instanceof SadaError && error.code === 'INVALID_ARGUMENT' && error.argument === name
}

test.run()
