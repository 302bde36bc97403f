import * as assert from 'uvu/assert'
import type { Features } from '../../ts/metrics/features.ts'

/** The values of test/fixtures/metrics/record_*.py: n in [−0.5, 0.5), from integers. */
export function hashed(n: number, seed: number): Float64Array {
  return Float64Array.from({ length: n }, (_, k) => {
    let x = Math.imul(k + seed, 2654435761) >>> 0
    x = (x ^ (x >>> 16)) >>> 0
    x = Math.imul(x, 73244475) >>> 0
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32 - 0.5
  })
}

/** The features of record_distances.py. */
export function hashedFeatures(count: number, dim: number, seed: number): Features {
  const values = hashed(count * dim, seed).map((x, k) => x / (1 + (k % dim) / 8) + (seed % 7) / 50)
  return { count, dim, values }
}

export const near = (value: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(value - expected) <= tolerance, `${value} is not within ${tolerance} of ${expected}`)
