import { readFileSync } from 'node:fs'
import { join } from 'node:path'
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

/** The pictures of hashed.py: [channels, height, width] in [−1, 1], of bytes; `strength` of them and the rest of those of `other`. */
export function hashedPicture(length: number, seed: number, strength = 1, other?: number): Float32Array {
  const bytes = (from: number): Float64Array => hashed(length, from).map((x) => Math.floor((x + 0.5) * 256) / 127.5 - 1)
  const [first, second] = [bytes(seed), bytes(other ?? seed)]
  return Float32Array.from(first, (x, k) => (other === undefined ? x : strength * x + (1 - strength) * second[k]))
}

export const metricFixture = (name: string): string => join(__dirname, '..', 'fixtures', 'metrics', name)
export const recorded = (name: string): unknown => JSON.parse(readFileSync(metricFixture(name), 'utf8'))
/** Networks with random weights, recorded beside what the published packages make of them. */
export const NETWORKS = metricFixture('networks')
