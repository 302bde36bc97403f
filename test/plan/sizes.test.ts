import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import { checkEngineSizes, type EngineSizes } from '../../ts/plan/engine-sizes.ts'
import { keptBuckets, stageProfiles } from '../../ts/plan/profiles.ts'
import { bytesOfStage } from '../../ts/plan/row-tensors.ts'
import { byKeptCount, leftByTokens, segmentsOf } from '../../ts/plan/segments.ts'

// How a plan's stages are grouped, and what sizes they are given.

test('sizes of engines are pairs that ascend, of pixels or of seconds', () => {
  for (const sizes of [
    undefined,
    {},
    { pictures: 1 },
    { pictures: 64 },
    { width: [1, 1], height: [8, 512] },
    { seconds: [0.5, 0.5] },
  ])
    checkEngineSizes(sizes as EngineSizes)
  const refused: [unknown, RegExp][] = [
    [null, /"engineSizes" to be an object with pictures, width, height, seconds/],
    [7, /"engineSizes" to be an object/],
    [[1, 2], /"engineSizes" to be an object/],
    [{ widht: [1, 2] }, /"widht".*Did you mean "width"/],
    [{ pictures: 0 }, /pictures" to be an integer from 1 to 64/],
    [{ pictures: 65 }, /pictures"/],
    [{ pictures: 1.5 }, /pictures"/],
    [{ width: 64 }, /width" to be two whole numbers of pixels that ascend/],
    [{ width: [64] }, /width"/],
    [{ width: [64, 64, 64] }, /width"/],
    [{ width: [64, 32] }, /width"/],
    [{ height: [0, 32] }, /height"/],
    [{ height: [8, 32.5] }, /height"/],
    [{ seconds: [1, Infinity] }, /seconds" to be two numbers above 0 that ascend/],
    [{ seconds: ['1', '2'] }, /seconds"/],
  ]
  for (const [sizes, said] of refused) assert.throws(() => checkEngineSizes(sizes as EngineSizes), said)
})

test('a stage of tokens has profiles for a quarter, half, three quarters and all of them, rounded up and each once', () => {
  const tensors = { tokens: ['rows', 'tokens', 3], map: ['rows', 3, 6, 6] } as const
  const profiles = (kind: 'dense' | 'tokens', grid: [number, number]) =>
    stageProfiles(
      { tensors, tokens: { grid, patch: [2, 2] } } as never,
      { kind, inputs: ['tokens', 'map'], name: '', outputs: [] } as never,
    )
  const kept = (counts: number[]) =>
    counts.map((n) => [
      { input: 'tokens', smallest: [1, n, 3], usual: [2, n, 3], largest: [16, n, 3] },
      { input: 'map', smallest: [1, 3, 6, 6], usual: [2, 3, 6, 6], largest: [16, 3, 6, 6] },
    ])
  assert.equal(profiles('tokens', [3, 3]), kept([3, 5, 7, 9]))
  assert.equal(profiles('tokens', [1, 2]), kept([1, 2]))
  assert.equal(profiles('dense', [3, 3]), kept([9]))
})

test('passes over very few tokens keep one of some numbers that ascend, which the addon rounds up to', () => {
  const expected = [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
  for (const [k, buckets] of expected.entries()) {
    const tokens = k + 1
    assert.equal(keptBuckets(tokens), buckets)
    const scores = Float32Array.from({ length: tokens }, (_, token) => (token === 0 ? 1 : -1))
    const request = { scores, grid: [tokens, 1], threshold: 0, maxKept: tokens, window: [0, 0], seed: 0, buckets } as const
    assert.is(loadAddon().select(request).length, buckets[0])
  }
})

const stage = (name: string, kind: 'dense' | 'tokens', inputs: string[], outputs: string[]) => ({ name, kind, inputs, outputs })

test('stages of one kind that follow each other are a segment; what token stages leave is what others read', () => {
  const segments = segmentsOf([
    stage('a', 'dense', ['x'], ['t0']),
    stage('b', 'tokens', ['t0'], ['t1', 'side']),
    stage('c', 'tokens', ['t1'], ['t2', 'unread']),
    stage('d', 'dense', ['t2'], ['t3']),
    stage('e', 'tokens', ['t3'], ['t4']),
    stage('f', 'dense', ['t4', 'side'], ['y']),
  ])
  assert.equal(
    segments.map(({ kind, stages }) => [kind, stages.map(({ name }) => name).join('')]),
    [
      ['dense', 'a'],
      ['tokens', 'bc'],
      ['dense', 'd'],
      ['tokens', 'e'],
      ['dense', 'f'],
    ],
  )
  assert.equal([...leftByTokens(segments)].sort(), ['side', 't2', 't4'])
})

test('passes that keep as many tokens are a group, those that keep all another', () => {
  const passes = [2, undefined, 3, 2, undefined].map((count, id) => ({ id, ...(count && { keep: new Int32Array(count) }) }))
  assert.equal(
    byKeptCount(passes).map((group) => group.map(({ id }) => id)),
    [[0, 3], [1, 4], [2]],
  )
})

test('bytes of a stage are those of all that it reads and writes, in float32', () => {
  const bound = (...dims: number[]) => ({ name: '', tensor: 0, offset: 0, dims })
  assert.is(bytesOfStage({ kind: 'stage', session: 0, inputs: [bound(2, 3), bound()], outputs: [bound(5)] }), 4 * (6 + 1 + 5))
  assert.is(bytesOfStage({ kind: 'copy', from: { tensor: 0, offset: 0 }, to: { tensor: 1, offset: 0 }, length: 9 }), 0)
})

test.run()
