import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { drawSubset, take, type Features } from '../../ts/metrics/features.ts'
import { kid, kidInTurns } from '../../ts/metrics/kid.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { hashed, hashedFeatures, near, recorded } from '../support/metrics.ts'

type Made = [count: number, dim: number, seed: number]
const { cases } = recorded('distances.json') as { cases: { a: Made; b: Made; what: string; kid?: number }[] }

test('KID of all pictures is that of clean-fid', () => {
  const equal = cases.filter((each) => each.kid !== undefined)
  assert.is(equal.length, 2)
  for (const { a, b, kid: expected } of equal) {
    const value = kid(hashedFeatures(...a), hashedFeatures(...b), { subsets: 1, subsetSize: a[0] })
    near(value.mean, expected!, 1e-13) // kernels are about 1, and their sums of some 40,000 are subtracted
    assert.is(value.std, 0)
  }
})

test('two pictures of one feature, by hand', () => {
  // a = {0, 1}, b = {1, 2}: k(0,1) = 1, k(1,2) = 27; across: k(0,1) = k(0,2) = 1, k(1,1) = 8, k(1,2) = 27
  const set = (...values: number[]): Features => ({ count: values.length, dim: 1, values: Float64Array.from(values) })
  assert.is(kid(set(0, 1), set(1, 2), { subsets: 1, subsetSize: 2 }).mean, 1 + 27 - (2 * (1 + 1 + 8 + 27)) / 4)
})

test('mean and std are those of the values of the subsets', () => {
  const [a, b] = [hashedFeatures(31, 5, 1), hashedFeatures(40, 5, 5000)]
  const generator = new TorchGenerator(7)
  const values = [0, 1, 2].map(() => {
    const chosen = [drawSubset(generator, 31, 9), drawSubset(generator, 40, 9)]
    return kid(take(a, chosen[0]), take(b, chosen[1]), { subsets: 1, subsetSize: 9 }).mean
  })
  const mean = (values[0] + values[1] + values[2]) / 3
  const std = Math.hypot(...values.map((value) => value - mean)) / Math.sqrt(3)
  const value = kid(a, b, { subsets: 3, subsetSize: 9, seed: 7 })
  near(value.mean, mean, 1e-14)
  near(value.std, std, 1e-14)
  assert.equal(kid(a, b, { subsets: 3, subsetSize: 9, seed: 7 }), value)
  assert.not.equal(kid(a, b, { subsets: 3, subsetSize: 9, seed: 8 }), value)
})

test('equal distributions: zero within its spread, whatever the number of pictures', () => {
  for (const count of [40, 400]) {
    const set = (seed: number): Features => ({ count, dim: 8, values: hashed(count * 8, seed) })
    const { mean, std, subsetSize, subsets } = kid(set(1), set(1e6))
    assert.ok(std > 0 && Math.abs(mean) < 2 * std, `${mean} ± ${std}`)
    assert.equal([subsetSize, subsets], [count / 2, 100])
  }
})

test('sets too large to keep all kernels give the same as those that are not', () => {
  const large: Features = { count: 4001, dim: 1, values: hashed(4001, 1) }
  const other: Features = { count: 5, dim: 1, values: hashed(5, 99) }
  const generator = new TorchGenerator(0)
  const chosen = [drawSubset(generator, 4001, 4), drawSubset(generator, 5, 4)]
  const expected = kid(take(large, chosen[0]), take(other, chosen[1]), { subsets: 1, subsetSize: 4 })
  near(kid(large, other, { subsets: 1, subsetSize: 4 }).mean, expected.mean, 1e-14)
})

test('in turns: the same, while timers fire, and the signal ends it', async () => {
  // Products of 0.4 GFLOP, which no machine makes in 20 ms on one thread.
  const [a, b] = [hashedFeatures(400, 600, 1), hashedFeatures(400, 600, 5000)]
  let fired = 0
  const timer = setInterval(() => fired++, 1)
  assert.equal(await kidInTurns(a, b, { subsets: 3 }), kid(a, b, { subsets: 3 }))
  clearInterval(timer)
  assert.ok(fired > 2, `${fired} times`)
  const end = new AbortController()
  setTimeout(() => end.abort('enough'), 1)
  const reason = await kidInTurns(a, b, {}, end.signal).catch((error: unknown) => error)
  assert.is(reason, 'enough')
})

test('a subset takes every index at most once, and all indices equally often', () => {
  const generator = new TorchGenerator(1)
  const seen = new Array<number>(7).fill(0)
  for (let round = 0; round < 7000; round++) {
    const chosen = drawSubset(generator, 7, 3)
    assert.is(new Set(chosen).size, 3)
    for (const k of chosen) seen[k]++
  }
  for (const times of seen) assert.ok(Math.abs(times - 3000) < 5 * Math.sqrt(3000 * (4 / 7)), seen.join()) // 5 standard deviations
  assert.equal(drawSubset(generator, 5, 5).sort(), [0, 1, 2, 3, 4])
})

test('wrong options are named', () => {
  const a = hashedFeatures(4, 3, 1)
  assert.throws(() => kid(a, a, { subsetSize: 5 }), /"subsetSize" to be an integer from 2 to 4/)
  assert.throws(() => kid(a, a, { subsets: 0 }), /"subsets"/)
  assert.throws(() => kid(a, a, { subsetsize: 4 } as never), /Unknown option "subsetsize"\. Did you mean "subsetSize"\?/)
  assert.throws(() => kid(a, hashedFeatures(4, 2, 1)), /"b.dim"/)
})

test.run()
