import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { take, type Features } from '../../ts/metrics/features.ts'
import { fid, frechetDistance, sampleBias } from '../../ts/metrics/fid.ts'
import type { Gaussian } from '../../ts/metrics/gaussian.ts'
import { kid } from '../../ts/metrics/kid.ts'
import { cholesky, transposed } from '../../ts/metrics/matrix.ts'
import { hashed, hashedFeatures, near, recorded } from '../support/metrics.ts'

type Made = [count: number, dim: number, seed: number]
interface Recorded {
  readonly a: Made
  readonly b: Made
  readonly what: string
  readonly exact: number
  readonly traces: number
  readonly pytorch_fid: number
  readonly clean_fid: number
}
const { cases } = recorded('distances.json') as { cases: Recorded[] }

/** The distribution of a mean [dim] and a covariance [dim, dim]. */
function gaussianFromMoments(mean: number[], covariance: number[]): Gaussian {
  const dim = mean.length
  const lower = cholesky({ rows: dim, columns: dim, values: Float64Array.from(covariance) })!
  return { mean: Float64Array.from(mean), factor: transposed(lower) }
}

for (const { a, b, what, exact, traces, pytorch_fid, clean_fid } of cases) {
  test(`FID is exact, and that of pytorch-fid and clean-fid: ${what}`, () => {
    const value = fid(hashedFeatures(...a), hashedFeatures(...b))
    near(value, exact, 2e-14 * traces) // recorded in 50 digits; FID is a small difference of the traces
    // scipy's root of a product without full rank, as it is with fewer pictures than features, errs by 2e-8 to 3e-8 itself.
    const theirs = Math.min(a[0], b[0]) <= a[1] ? 3e-8 : 2e-14
    for (const published of [pytorch_fid, clean_fid]) near(value, published, theirs * traces)
  })
}

test('equal covariances, means one apart in each of 2048 features: 2048', () => {
  const a = hashedFeatures(40, 2048, 5)
  const b = { ...a, values: a.values.map((value) => value + 1) }
  near(fid(a, b), 2048, 1e-9)
})

test('diagonal covariances: ‖Δμ‖² + Σ(√a − √b)²', () => {
  const diagonal = (values: number[]): number[] => values.flatMap((value, k) => values.map((_, j) => (j === k ? value : 0)))
  const [a, b] = [
    [4, 9, 0, 1e-6, 25],
    [1, 16, 0, 4e-6, 0],
  ]
  const gaussian = (mean: number[], variances: number[]) => gaussianFromMoments(mean, diagonal(variances))
  const expected = 1 ** 2 + 2 ** 2 + (2 - 1) ** 2 + (3 - 4) ** 2 + (1e-3 - 2e-3) ** 2 + 5 ** 2
  near(frechetDistance(gaussian([1, 0, 0, 0, 2], a), gaussian([0, 0, 0, 0, 0], b)), expected, 1e-13)
})

test('published moments and the features they came from give the same distance', () => {
  const [a, b] = [hashedFeatures(50, 7, 3), hashedFeatures(70, 7, 900)]
  const moments = ({ count, dim, values }: Features) => {
    const mean = Array.from(
      { length: dim },
      (_, j) => [...values].filter((_, k) => k % dim === j).reduce((x, y) => x + y) / count,
    )
    const covariance = Array.from({ length: dim * dim }, (_, ij) => {
      const [i, j] = [Math.floor(ij / dim), ij % dim]
      let sum = 0
      for (let k = 0; k < count; k++) sum += (values[k * dim + i] - mean[i]) * (values[k * dim + j] - mean[j])
      return sum / (count - 1)
    })
    return gaussianFromMoments(mean, covariance)
  }
  near(frechetDistance(moments(a), moments(b)), fid(a, b), 1e-13)
})

test('a set against itself: nothing but rounding; and FID is symmetric', () => {
  for (const [count, dim] of [
    [2, 1],
    [2, 33],
    [31, 32],
    [32, 32],
    [33, 32],
    [257, 3],
  ]) {
    const a = hashedFeatures(count, dim, 11)
    near(fid(a, a), 0, 1e-12 * dim)
    const b = hashedFeatures(count + 1, dim, 12345)
    near(fid(a, b), fid(b, a), 1e-12 * dim)
  }
})

test('features that never change do not disturb: the covariance then has less rank', () => {
  const still = (features: Features): Features => {
    const values = new Float64Array(features.count * (features.dim + 2))
    for (let k = 0; k < features.count; k++)
      values.set(features.values.subarray(k * features.dim, (k + 1) * features.dim), k * (features.dim + 2) + 1)
    return { count: features.count, dim: features.dim + 2, values }
  }
  const [a, b] = [hashedFeatures(90, 6, 1), hashedFeatures(80, 6, 5000)]
  near(fid(still(a), still(b)), fid(a, b), 1e-12)
})

test('bias: equal distributions score above zero, less with more pictures, and the line takes most of it away', () => {
  const dim = 24
  const set = (count: number, seed: number): Features => ({ count, dim, values: hashed(count * dim, seed) })
  const [small, large] = [100, 400].map((count) => {
    const [a, b] = [set(count, 1), set(count, 1e6)]
    return { fid: fid(a, b), bias: sampleBias(a, b) }
  })
  assert.ok(small.fid > 2 * large.fid && large.fid > 0)
  assert.ok(small.bias.halves > small.fid)
  assert.ok(Math.abs(large.bias.extrapolated) < 0.25 * large.fid, `${large.bias.extrapolated} of ${large.fid}`)
  assert.equal(
    large.bias.points.map(({ count }) => count),
    [200, 250, 300, 350, 400],
  )
  near(large.bias.points[4].fid, large.fid, 1e-12)
})

test('bias: the same seed gives the same figures, another one others', () => {
  const [a, b] = [hashedFeatures(21, 9, 1), hashedFeatures(21, 9, 5000)]
  assert.equal(sampleBias(a, b, { seed: 3 }), sampleBias(a, b, { seed: 3 }))
  assert.not.equal(sampleBias(a, b, { seed: 3 }).halves, sampleBias(a, b, { seed: 4 }).halves)
})

test('features of the largest size have a finite distance', () => {
  const set = (seed: number): Features => {
    const { values, ...shape } = hashedFeatures(40, 3, seed)
    return { ...shape, values: values.map((value) => Math.sign(value) * 1e24) }
  }
  const [a, b] = [set(1), set(5000)]
  for (const value of [fid(a, b), sampleBias(a, b).extrapolated, kid(a, b).mean, kid(a, b).std])
    assert.ok(Number.isFinite(value) && value !== 0)
})

test('wrong features are named', () => {
  const good = hashedFeatures(4, 3, 1)
  const rejects = (a: Features, pattern: RegExp): void => {
    assert.throws(
      () => fid(a, good),
      (error: Error & { code?: string }) => error.code === 'INVALID_ARGUMENT' && pattern.test(error.message),
    )
  }
  rejects(take(good, [0]), /"a.count" to be at least 2/)
  rejects({ ...good, dim: 4 }, /"a.values" to be 4 · 4 = 16 values/)
  rejects({ ...good, values: good.values.map((value, k) => (k === 5 ? NaN : value)) }, /"a.values\[5\]" to be finite/)
  for (const beyond of [1.001e24, -1e200, Infinity])
    rejects(
      { ...good, values: good.values.map((value, k) => (k === 5 ? beyond : value)) },
      /"a.values\[5\]" to be finite, at most 1e24/,
    )
  rejects(hashedFeatures(4, 2, 1), /"b.dim" to be 2/)
  rejects(undefined as never, /"a" to be \{ count, dim, values \}, received undefined/)
  rejects({ count: 4, dim: 3 } as never, /"a.values" to be 4 · 3 = 12 values in a Float64Array, received undefined/)
  rejects({ ...good, values: [...good.values] as never }, /"a.values" to be .* received an array/)
  assert.throws(() => sampleBias(good, good), /at least 8/)
  assert.throws(() => sampleBias(good, good, { point: 3 } as never), /Unknown option "point"\. Did you mean "points"\?/)
})

test.run()
