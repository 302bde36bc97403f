import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { diCache, type DiCacheOptions } from '../../ts/policy/dicache.ts'
import { resolveOptions } from '../../ts/policy/options.ts'
import { run, type FeatureChange, type RunContext } from '../../ts/policy/policy.ts'

// Told what its probes found: decisions by hand. What networks make of them is in features.test.ts.

const context = (steps: number, kinds = 'dtttd'): RunContext =>
  ({
    members: 2,
    guidance: 1,
    stages: Array.from(kinds, (kind, k) => ({ name: `s${k}`, kind: kind === 't' ? 'tokens' : 'dense' })),
    reusable: [],
    solver: { schedule: { steps } },
  }) as unknown as RunContext

const begin = (options: Partial<DiCacheOptions>, given: RunContext) =>
  diCache.begin(resolveOptions(diCache.options, options, given), given)
/** The relative change at a step, and how far what the probe added is from what it added at the last computed step and the one before. */
type Found = readonly [change: number, moved?: number, fromLastButOne?: number]

function decided(options: Partial<DiCacheOptions>, found: readonly Found[]) {
  const [member] = begin(options, context(found.length))
  let letters = ''
  const weights: (readonly number[])[] = []
  const said: (number | undefined)[] = []
  for (const [step, [change, moved = 0, fromLastButOne = 0]] of found.entries()) {
    assert.equal(member.before(step), run)
    const output = Number.isNaN(change) ? { change: 0, magnitude: 0 } : { change: change / 2, magnitude: 1 / 2 }
    const residual = [moved, fromLastButOne].map((each): FeatureChange => ({ change: each, magnitude: 3 }))
    const decision = member.midway!(step, output, ...residual)
    letters += decision.kind[0].toUpperCase()
    if (decision.kind === 'partial') weights.push(decision.weights)
    said.push(member.after(step, decision, [], 1).change)
  }
  return { letters, weights, said }
}
const changes = (...values: number[]): Found[] => values.map((value) => [value])

test('dicache: changes add up while blocks are left out, and begin anew where they run; first and last steps run', () => {
  const half = { threshold: 0.5, warmup: 1 }
  assert.is(decided(half, changes(NaN, 0.25, 0.125, 0.125, 0.25, 0.25, 0.25)).letters, 'RPPRPRR')
  assert.is(decided({ ...half, tail: 0 }, changes(NaN, 0.5, 0.25, 0.125)).letters, 'RRPP')
  // What the steps of the warm-up change does not count.
  assert.is(decided({ ...half, warmup: 3 }, changes(NaN, 9, 9, 0.25, 0.125, 0)).letters, 'RRRPPR')
  assert.equal(decided(half, changes(NaN, 0.25, 0.5)).said, [undefined, 0.25, 0.5])
})

test('dicache: a fifth of the steps and one more are run first, as the published code counts', () => {
  const first = (steps: number): number =>
    decided(
      {},
      Array.from({ length: steps }, (_, k): Found => [k === 0 ? NaN : 0]),
    ).letters.indexOf('P')
  assert.equal([30, 50, 28, 9, 4, 3].map(first), [7, 11, 6, 2, 1, 1])
})

test('dicache: what the blocks add is continued by the ratio of distances, which is kept within bounds', () => {
  const given: Found[] = [[NaN], [9, 2], [0, 1, 2.5], [0, 2, 5], [0, 0.5, 1], [0, 4, 3], [9, 4, 6], [0, 1, 5], [0]]
  const { letters, weights } = decided({ warmup: 1 }, given)
  assert.is(letters, 'RRPPPPRPR')
  // |r' − r''| is 2 until step 6 is computed, whose own is 4 from then on.
  assert.equal(weights, [
    [1.25, -0.25],
    [1.5, -0.5],
    [1, 0],
    [1.5, -0.5],
    [1.25, -0.25],
  ])
  assert.equal(decided({ warmup: 1, maxRatio: 4 }, given).weights[1], [2.5, -1.5])
  assert.equal(decided({ warmup: 1, maxRatio: 1 }, given).weights[1], [1, 0])
})

test('dicache: with one computed step, or two between which nothing moved, the last is used again', () => {
  assert.equal(decided({ warmup: 1 }, [[NaN], [0, 3], [0, 3], [0]]).weights, [[1], [1]])
  assert.equal(decided({ warmup: 2 }, [[NaN], [0, 0], [0, 3, 3], [0]]).weights, [[1]])
})

test('dicache: a partial pass that was refused is one that ran', () => {
  const [member] = begin({ threshold: 0.5, warmup: 1 }, context(9))
  const step = (at: number, change: number, isRefused = false): string => {
    const nothing = { change: 0, magnitude: 0 }
    const decision = member.midway!(at, { change, magnitude: at === 0 ? 0 : 1 }, nothing, nothing)
    member.after(at, isRefused ? run : decision, [], 1)
    return decision.kind
  }
  assert.equal([step(0, 0), step(1, 0.375, true), step(2, 0.375), step(3, 0.25)], ['run', 'partial', 'partial', 'run'])
})

test('dicache: what it leaves out is all blocks but the first, as what they all add', () => {
  const members = begin({ conditionalOnly: true }, context(9))
  assert.is(members.length, 2)
  assert.equal(members[0].features, {
    reuse: { from: 's2', to: 's3', mode: 'residual', since: 's1', history: 2 },
    probes: [
      { after: 's1', of: 'output', against: 'previous', conditionalOnly: true },
      { after: 's1', of: 'residual', against: 'last-computed', conditionalOnly: true },
      { after: 's1', of: 'residual', against: 'last-but-one-computed', conditionalOnly: true },
    ],
  })
  assert.equal(begin({}, context(9, 'dttd'))[0].features!.reuse.to, 's2')
  assert.throws(() => begin({}, context(9, 'dtd')), /Policy "dicache" needs a network in stages, at least 2 of kind "tokens"/)
  assert.throws(() => begin({}, context(9, '')), /one piece/)
})

test('dicache: what cannot have an effect is said before the run', () => {
  const said = (options: Partial<DiCacheOptions>, steps: number): string[] => {
    const given = context(steps)
    return [...diCache.preflight!(resolveOptions(diCache.options, options, given), given)]
  }
  assert.equal(said({}, 3), [])
  assert.match(said({}, 2).join(), /nothing can be skipped in fewer than 3/)
  assert.match(said({ threshold: 0 }, 50).join(), /threshold 0 nothing can be skipped/)
})

test.run()
