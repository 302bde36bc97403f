import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import type { SelectRequest } from '../../ts/native/types.ts'
import { Numbers } from '../support/numbers.ts'

const addon = loadAddon()
const none: Omit<SelectRequest, 'scores' | 'grid'> = {
  threshold: 0.5,
  maxKept: 2 ** 31 - 1,
  window: [0, 0],
  seed: 0,
  buckets: [],
}
const kept = (request: SelectRequest): number[] => [...addon.select(request)]
const scored = (scores: number[], request: Partial<SelectRequest> = {}): number[] => {
  return kept({ ...none, scores: Float32Array.from(scores), grid: [1, scores.length], ...request })
}

/** MurmurHash3's finaliser over seed and window, as native/math/select.h has it. */
function windowHash(seed: number, window: number): number {
  let h = (seed ^ (Math.imul(window, 0x9e3779b1) + 0x85ebca6b)) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0
  return (h ^ (h >>> 16)) >>> 0
}

/** The selection, step by step as the contract words it. */
function oracle({ scores, grid: [height, width], threshold, maxKept, window, seed, buckets }: SelectRequest): number[] {
  const rank = (token: number): number => (Number.isNaN(scores[token]) ? Infinity : scores[token])
  const order = [...scores.keys()].sort((a, b) => (rank(a) === rank(b) ? a - b : rank(b) - rank(a)))
  const unstable = order.filter((token) => !(scores[token] < Math.fround(threshold)))
  const chosen = new Set(unstable.slice(0, maxKept))
  let index = 0
  for (let y = 0; window[0] > 0 && window[1] > 0 && y < height; y += window[0]) {
    for (let x = 0; x < width; x += window[1]) {
      const columns = Math.min(window[1], width - x)
      const pick = windowHash(seed, index++) % (Math.min(window[0], height - y) * columns)
      chosen.add((y + Math.floor(pick / columns)) * width + x + (pick % columns))
    }
  }
  const target = buckets.length === 0 ? chosen.size : (buckets.find((bucket) => bucket >= chosen.size) ?? scores.length)
  for (const token of order) if (chosen.size < Math.min(target, scores.length)) chosen.add(token)
  return [...chosen].sort((a, b) => a - b)
}

test('random requests: the tokens that a step-by-step selection keeps', () => {
  const numbers = new Numbers(5)
  for (let k = 0; k < 3000; k++) {
    const grid = [1 + numbers.below(9), 1 + numbers.below(9)] as const
    const tokens = grid[0] * grid[1]
    const scores = new Float32Array(tokens).map(() => (numbers.below(12) === 0 ? NaN : numbers.below(10) / 10))
    const window = numbers.below(2) === 0 ? ([0, 0] as const) : ([numbers.below(5), numbers.below(5)] as const)
    const buckets = [...new Set(Array.from({ length: numbers.below(4) }, () => numbers.below(90)))].sort((a, b) => a - b)
    const request = {
      scores,
      grid,
      threshold: numbers.below(12) / 10,
      maxKept: numbers.below(90),
      window,
      seed: numbers.next(),
      buckets,
    }
    assert.equal(kept(request), oracle(request), JSON.stringify(request))
  }
})

test('a score at the threshold is unstable, and so is NaN; equal scores go by index', () => {
  assert.equal(scored([0.5, 0.49, NaN, 1]), [0, 2, 3])
  assert.equal(scored([1, 1, 1, 1], { maxKept: 2 }), [0, 1])
  assert.equal(scored([1, NaN, 2, NaN], { maxKept: 2 }), [1, 3])
  assert.equal(scored([1, -Infinity, Infinity], { maxKept: 1 }), [2])
  assert.equal(scored([0, 0], { threshold: NaN }), [0, 1])
  assert.equal(scored([0.1, 0.1], { threshold: 0.1 }), [0, 1]) // as float32
})

test('the cap leaves refreshed tokens alone', () => {
  const all = scored(Array(16).fill(1), { grid: [4, 4], maxKept: 0, window: [2, 2] })
  assert.is(all.length, 4)
  for (const token of all) assert.ok(token < 16)
})

test('every window has one refreshed token, those at the edges too, and over many seeds each token has its turn', () => {
  const [height, width] = [5, 7]
  const seen = new Set<number>()
  for (let seed = 0; seed < 200; seed++) {
    const tokens = scored(Array(height * width).fill(0), { grid: [height, width], window: [2, 3], seed })
    const windows = tokens.map((token) => `${Math.floor(Math.floor(token / width) / 2)},${Math.floor((token % width) / 3)}`)
    assert.is(new Set(windows).size, 9)
    assert.is(tokens.length, 9)
    tokens.forEach((token) => seen.add(token))
  }
  assert.is(seen.size, height * width)
  assert.equal(scored(Array(6).fill(0), { grid: [2, 3], window: [100, 100] }).length, 1)
})

test('a bucket is filled by the next-highest scores; above all of them, every token', () => {
  const scores = [0.1, 0.9, 0.3, 0.2]
  assert.equal(scored(scores, { buckets: [2, 3] }), [1, 2])
  assert.equal(scored(scores, { buckets: [3] }), [1, 2, 3])
  assert.equal(scored(scores, { buckets: [0] }), [0, 1, 2, 3])
  assert.equal(scored(scores, { buckets: [100] }), [0, 1, 2, 3])
  assert.equal(scored(scores, { buckets: [1] }), [1])
})

test('wrong requests are named', () => {
  const valid: SelectRequest = { ...none, scores: new Float32Array(6), grid: [2, 3] }
  const refused = (change: object, message: RegExp): void => {
    assert.throws(
      () => addon.select({ ...valid, ...change }),
      (error: Error & { code?: string }) => {
        return error.code === 'INVALID_ARGUMENT' && message.test(error.message)
      },
      JSON.stringify(change),
    )
  }
  for (const grid of [[2, 2], [6], [1, 2, 3], [0, 6], [-2, -3], [2 ** 16, 1], 'grid', undefined, [NaN, 6]])
    refused({ grid }, /grid/)
  for (const window of [[1], [1, 2, 3], [-1, 2], [0.5, 1], undefined]) refused({ window }, /window/)
  for (const scores of [[0, 0, 0, 0, 0, 0], new Float64Array(6), new Float32Array(5), undefined]) refused({ scores }, /scores/)
  for (const threshold of ['1', undefined, null]) refused({ threshold }, /threshold/)
  for (const maxKept of [-1, 0.5, NaN, 2 ** 31, undefined]) refused({ maxKept }, /maxKept/)
  for (const seed of [-1, 2 ** 32, 0.5, undefined]) refused({ seed }, /seed/)
  for (const buckets of [[2, 1], [1, 1], [-1], [0.5], undefined, 3]) refused({ buckets }, /buckets/)
  assert.throws(() => addon.select(undefined as never), /object/)
  const failure = new Error('mine')
  assert.throws(
    () =>
      addon.select({
        ...valid,
        get seed(): number {
          throw failure
        },
      }),
    (error: Error) => error === failure,
  )
})

test('scores that a getter detaches meanwhile were copied', () => {
  const scores = new Float32Array(1 << 16).fill(1)
  const request = {
    ...none,
    scores,
    grid: [256, 256] as const,
    get threshold() {
      structuredClone(scores.buffer, { transfer: [scores.buffer] })
      return 0.5
    },
  }
  try {
    assert.is(addon.select(request).length, 1 << 16)
  } catch (error) {
    assert.is((error as { code?: string }).code, 'INVALID_ARGUMENT')
  }
})

test.run()
