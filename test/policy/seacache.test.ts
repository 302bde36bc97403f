import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { loadAddon } from '../../ts/native/load.ts'
import type { SampleMap } from '../../ts/policy/policy.ts'
import { seaFilter } from '../../ts/policy/sea-filter.ts'
import { mapOf } from '../../ts/sampler/network.ts'
import type { NoiseLevel } from '../../ts/schedule/schedule.ts'
import { Numbers } from '../support/numbers.ts'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'
import { LENGTH, runInJs } from '../support/run.ts'

const planes = (channels: number, height: number, width: number) =>
  ({ order: 'channels-first', channels, height, width }) as const

function filtered(values: ArrayLike<number>, map: SampleMap, level: NoiseLevel, power: number): Float32Array {
  const result = Float32Array.from(values)
  seaFilter(result, map, level, power, loadAddon())
  return result
}

/** What float32 may be off by along both axes: of each response, product and sum half an ulp, where gains add up to `gain` at most. */
const rounding = (height: number, width: number, gain: number): number => (height + width + 4) * 2 ** -24 * gain

testRecorded('seacache')
testNeverAndDefault('seacache', { threshold: 0 })

test('the filter multiplies a wave by its gain over the mean gain, by hand', () => {
  // One row of 4: f = 0, ¼, ½, ¼ cycles per element. At α = σ = ½ and power 1, S = 10^16, 4, 2, 4:
  // gain ½S / (¼S + ¼) = 2S/(S + 1) = 2, 8/5, 4/3, 8/5; mean 49/30.
  const level = { alpha: 0.5, sigma: 0.5 }
  const gain = (g: number): number => g / (49 / 30)
  const close = (values: Float32Array, expected: readonly number[]): void =>
    values.forEach((value, k) => {
      assert.ok(Math.abs(value - expected[k]) < rounding(1, 4, gain(2)), `${k}: ${value}, not ${expected[k]}`)
    })
  const filter = (row: readonly number[], [height, width]: [number, number]) => filtered(row, planes(1, height, width), level, 1)
  for (const map of [
    [1, 4],
    [4, 1],
  ] as [number, number][]) {
    close(
      filter([1, 1, 1, 1], map),
      [1, 1, 1, 1].map((v) => gain(2) * v),
    )
    close(
      filter([1, 0, -1, 0], map),
      [1, 0, -1, 0].map((v) => gain(8 / 5) * v),
    )
    close(
      filter([1, -1, 1, -1], map),
      [1, -1, 1, -1].map((v) => gain(4 / 3) * v),
    )
  }
})

test('on maps of any size, a wave along both axes is multiplied by the gains of both, whatever their phase', () => {
  const [alpha, sigma, power] = [0.4, 0.6, 2]
  const gain = (k: number, length: number): number => {
    const at = (j: number): number => {
      const signal = 1 / ((Math.min(j, length - j) / length) ** power + 1e-16)
      return (alpha * signal) / (alpha ** 2 * signal + sigma ** 2 + 1e-16)
    }
    return at(k) / (Array.from({ length }, (_, j) => at(j)).reduce((sum, each) => sum + each) / length)
  }
  for (const [height, width] of [
    [1, 2],
    [2, 3],
    [3, 1],
    [4, 5],
    [6, 8],
    [7, 7],
    [16, 9],
    [12, 31],
    [33, 2],
  ]) {
    for (let k = 0; k < Math.max(height, width); k++) {
      const [down, across] = [k % height, (k + 1) % width]
      const wave = (y: number, x: number): number =>
        Math.cos((2 * Math.PI * down * y) / height + 0.3) * Math.cos((2 * Math.PI * across * x) / width - 0.8)
      const values = Float32Array.from({ length: height * width }, (_, j) => wave(Math.floor(j / width), j % width))
      const expected = gain(down, height) * gain(across, width)
      const close = rounding(height, width, gain(0, height) * gain(0, width))
      filtered(values, planes(1, height, width), { alpha, sigma }, power).forEach((value, j) =>
        assert.ok(Math.abs(value - expected * values[j]) < close, `${height}×${width}, wave ${k}`),
      )
    }
  }
})

test('each channel is filtered alone; one element is left as it is', () => {
  const numbers = new Numbers(1)
  const level = { alpha: 0.3, sigma: 0.7 }
  const both = numbers.floats(2 * 3 * 5)
  for (const c of [0, 1]) {
    const alone = filtered(both.slice(c * 15, (c + 1) * 15), planes(1, 3, 5), level, 2)
    assert.equal(filtered(both, planes(2, 3, 5), level, 2).slice(c * 15, (c + 1) * 15), alone)
  }
  assert.equal([...filtered([0.25, -8], planes(2, 1, 1), level, 2)], [0.25, -8])
})

test('tokens in rows are the same map', () => {
  const [channels, height, width] = [3, 4, 5]
  const level = { alpha: 0.6, sigma: 0.4 }
  const values = new Numbers(2).floats(channels * height * width)
  const asTokens = (planes: Float32Array): Float32Array =>
    planes.map((_, k) => planes[(k % channels) * height * width + Math.floor(k / channels)])
  assert.equal(
    filtered(asTokens(values), { order: 'tokens', channels, height, width }, level, 2),
    asTokens(filtered(values, planes(channels, height, width), level, 2)),
  )
})

test('the map of a network in patches is as large as these are together; tokens in one column are none', () => {
  const patches = { order: 'channels-first', channels: 3, grid: [16, 8], patch: [4, 2] } as const
  assert.equal(mapOf(patches), { order: 'channels-first', channels: 3, height: 64, width: 16 })
  const tokens = { order: 'tokens', channels: 32, grid: [6, 4], patch: [1, 1] } as const
  assert.equal(mapOf(tokens), { order: 'tokens', channels: 32, height: 6, width: 4 })
  assert.is(mapOf({ ...tokens, grid: [24, 1] }), undefined)
})

test('without a map the policy says before the run what is missing', async () => {
  await runInJs({ scheduler: 'euler', policy: 'seacache', latents: [new Float32Array(LENGTH)] }).then(
    () => assert.unreachable(),
    (error: SadaError) => {
      assert.is(error.code, 'UNSUPPORTED')
      assert.match(error.message, 'layout: "channels-first"')
    },
  )
})

test.run()
