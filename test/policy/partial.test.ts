import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { deepCache } from '../../ts/policy/deepcache.ts'
import { dbCache } from '../../ts/policy/dbcache.ts'
import { firstBlockCache } from '../../ts/policy/first-block-cache.ts'
import { resolveOptions } from '../../ts/policy/options.ts'
import type { PolicyDefinition } from '../../ts/policy/definition.ts'
import { run, type Decision, type RunContext } from '../../ts/policy/policy.ts'
import { polynomialAt, teaCache } from '../../ts/policy/teacache.ts'

// Policies that leave stages out, told what their probe found: decisions by hand. What networks make of them is in features.test.ts.

const context = (steps: number, kinds = 'dtttttd', reusable: RunContext['reusable'] = []): RunContext =>
  ({
    members: 2,
    guidance: 1,
    stages: Array.from(kinds, (kind, k) => ({ name: `s${k}`, kind: kind === 't' ? 'tokens' : 'dense' })),
    reusable,
    solver: { schedule: { steps } },
  }) as unknown as RunContext

/** What a policy decides where its probe finds these relative changes, one for each step; NaN: there is nothing to compare with. */
function decided<O>(policy: PolicyDefinition<O>, options: Partial<O>, changes: readonly number[]) {
  const given = context(changes.length)
  const [member] = policy.begin(resolveOptions(policy.options, options, given), given)
  let letters = ''
  const said: (number | undefined)[] = []
  const partial: Decision[] = []
  for (const [step, change] of changes.entries()) {
    assert.equal(member.before(step), run)
    const found = Number.isNaN(change) ? { change: 0, magnitude: 0 } : { change: change / 2, magnitude: 1 / 2 }
    const decision = member.midway!(step, found)
    said.push(member.after(step, decision, [], 1).change)
    letters += decision.kind[0].toUpperCase()
    if (decision.kind === 'partial') partial.push(decision)
  }
  return { letters, said, partial, member }
}

test('first-block-cache: a change below the threshold leaves the others out, from the warm-up on, so many times in a row', () => {
  const small = Array<number>(8).fill(0.01)
  assert.is(decided(firstBlockCache, {}, [NaN, 0.049, 0.05, 0.01, NaN, 0.01]).letters, 'RPRPRP')
  assert.equal(decided(firstBlockCache, {}, [NaN, 0.25, 0.5]).said, [undefined, 0.25, 0.5])
  assert.is(decided(firstBlockCache, { warmup: 3 }, small).letters, 'RRRPPPPP')
  assert.is(decided(firstBlockCache, { maxConsecutive: 2 }, small).letters, 'RPPRPPRP')
  assert.is(decided(firstBlockCache, { threshold: 0.01 }, small).letters, 'RRRRRRRR')
  const { partial, member } = decided(firstBlockCache, {}, small)
  assert.equal([partial[3], member.capacity], [{ kind: 'partial', weights: [1] }, 0])
})

test('dbcache: caps on partial passes of the run and on the sum of changes; a Taylor series over the last computed steps', () => {
  const small = Array<number>(10).fill(0.01)
  const base = { threshold: 0.05, warmup: 2 }
  assert.is(decided(dbCache, base, small).letters, 'RRPPPPPPPP')
  assert.is(decided(dbCache, { ...base, maxCached: 3 }, small).letters, 'RRPPPRRRRR')
  // Changes add up from the warm-up on, those of steps that ran among them: to 33/64 before the last step.
  const exact = [NaN, 9, 1 / 64, 1 / 4, 1 / 64, 15 / 64, 1 / 64]
  assert.is(decided(dbCache, { ...base, maxAccumulated: 33 / 64 }, exact).letters, 'RRPRPRR')
  assert.is(decided(dbCache, { ...base, maxAccumulated: 34 / 64 }, exact).letters, 'RRPRPRP')
  // Steps 0, 1 and 3 ran: at 4 the line through 3 and 1, at 5 two steps further.
  const { letters, partial } = decided(dbCache, { ...base, warmup: 1, order: 1 }, [NaN, 9, 0.01, 9, 0.01, 0.01])
  assert.is(letters, 'RRPRPP')
  assert.equal(
    partial.map((each) => each.kind === 'partial' && each.weights),
    [
      [2, -1],
      [1.5, -0.5],
      [2, -1],
    ],
  )
})

test('what first-block-cache and dbcache reuse: all blocks but the first, as what they add', () => {
  const members = (kinds: string, order: number) => {
    const given = context(9, kinds)
    return dbCache.begin(resolveOptions(dbCache.options, { order, conditionalOnly: true }, given), given)
  }
  const [member, ...others] = members('dtttttd', 3)
  assert.is(others.length, 1)
  assert.equal(member.features, {
    reuse: { from: 's2', to: 's5', mode: 'residual', history: 4 },
    probes: [{ after: 's1', of: 'residual', against: 'last-computed', conditionalOnly: true }],
  })
  assert.equal(members('tt', 0)[0].features!.reuse, { from: 's1', to: 's1', mode: 'residual', history: 1 })
  const { reuse, probes } = decided(firstBlockCache, {}, [NaN]).member.features!
  assert.equal([reuse.history, reuse.to, probes![0].conditionalOnly], [1, 's5', false])
})

test('teacache: rescaled changes add up while blocks are left out, and begin anew where they run; first and last steps run', () => {
  const half = { threshold: 0.5, coefficients: [1, 0] }
  assert.is(decided(teaCache, half, [NaN, 0.25, 0.125, 0.125, 0.25, 0.25, 0.25]).letters, 'RPPRPRR')
  assert.is(decided(teaCache, { ...half, warmup: 3, tail: 2 }, Array(8).fill(0.125)).letters, 'RRRPPPRR')
  assert.is(decided(teaCache, { ...half, tail: 0 }, Array(4).fill(0.125)).letters, 'RPPP')
  // 2·x² − 1: at ½ it is −½, at 1 it is 1.
  assert.is(decided(teaCache, { threshold: 0.25, coefficients: [2, 0, -1] }, [NaN, 0.5, 0.5, 1, 1, 0]).letters, 'RPPPRR')
  assert.is(polynomialAt([2, 3, 4], 10), 234)
  const { partial, member } = decided(teaCache, half, [NaN, 0.25, 0.25])
  assert.equal([partial, member.capacity], [[{ kind: 'partial', weights: [1] }], 0])
  const one = context(9, 'dtd')
  assert.equal(teaCache.begin(resolveOptions(teaCache.options, {}, one), one)[0].features!.reuse.to, 's1')
})

test('teacache with threshold 0 measures: every step runs, and the trace has the change of the input and of the output', () => {
  const { letters, member, said } = decided(teaCache, { threshold: 0 }, [NaN, 0, 0.5])
  assert.equal([letters, said], ['RRR', [undefined, 0, 0.5]])
  assert.equal([member.capacity, member.keeps().length], [2, 1])
  const [name] = member.keeps()
  const store = { [name]: { output: 1 } }
  assert.equal(member.observe(0, run), { store })
  assert.equal(member.observe(1, run), { store, means: [{ a: { output: 1, [name]: -1 } }, { a: { [name]: 1 } }] })
  assert.is(member.after(1, run, [0.25, 0.5], 1).error, 0.5)
  assert.is(decided(teaCache, { threshold: 0, coefficients: [-5] }, [NaN, 0.5, 0.5]).letters, 'RRR')
  assert.is(member.after(1, run, [0.5, 0], 1).error, undefined)
  const other = decided(teaCache, { threshold: 0.1 }, [NaN]).member
  assert.equal([other.capacity, other.keeps(), other.observe(1, run)], [0, [], {}])
  assert.equal(other.features, {
    reuse: { from: 's1', to: 's5', mode: 'residual', history: 1 },
    probes: [{ after: 's0', of: 'output', against: 'previous', conditionalOnly: false }],
  })
})

test('deepcache: every n-th step runs; of a chain of blocks the last runs too, of a UNet what lies outside the branch', () => {
  const begin = (options: Readonly<Record<string, unknown>>, given: RunContext) =>
    deepCache.begin(resolveOptions(deepCache.options, options, given), given)
  const [member, ...others] = begin({ interval: 4 }, context(10))
  assert.is(others.length, 1)
  assert.is(Array.from({ length: 10 }, (_, step) => member.before(step).kind[0]).join(''), 'rppprppprp')
  assert.equal([member.before(1), member.capacity], [{ kind: 'partial', weights: [1] }, 0])
  assert.equal(member.features, { reuse: { from: 's1', to: 's4', mode: 'output', history: 1 } })
  assert.equal(begin({}, context(10, 'dttd'))[0].features!.reuse.to, 's1')
  const ranges = ['inner', 'middle', 'outer'].map((name) => ({ from: name, to: `${name} end` }))
  const branch = (n: number) => begin({ branch: n }, context(10, 'dtdtd', ranges))[0].features!.reuse.from
  assert.equal([0, 1, 2].map(branch), ['outer', 'middle', 'inner'])
  assert.throws(() => branch(3), /a branch 3, where the innermost is 2/)
  assert.throws(() => begin({}, context(10, 'dtd')), /with ranges to reuse/)
})

test('what cannot have an effect is said before the run', () => {
  const said = <O>(policy: PolicyDefinition<O>, options: Partial<O>, steps: number, kinds?: string): string[] => {
    const given = context(steps, kinds)
    return [...policy.preflight!(resolveOptions(policy.options, options, given), given)]
  }
  assert.equal(said(deepCache, {}, 10), [])
  assert.equal(said(deepCache, { branch: 1 }, 10), ['Branch 1 has no effect: this network has no skip connections.'])
  for (const [options, steps] of [
    [{ interval: 1 }, 10],
    [{}, 1],
  ] as const)
    assert.match(said(deepCache, options, steps).join(), /all are computed: nothing can be reused/)
  assert.equal(said(deepCache, { branch: 1 }, 10, 'dtdtd'), [])
  assert.equal(said(deepCache, { interval: 2 }, 2), [])
  assert.is(said(deepCache, { interval: 1, branch: 1 }, 2).length, 2)
  assert.equal(said(firstBlockCache, {}, 2), [])
  assert.is(said(firstBlockCache, { threshold: 0, maxConsecutive: 0 }, 2).length, 2)
  assert.match(said(firstBlockCache, {}, 1).join(), /nothing can be skipped/)
  assert.equal(said(dbCache, { warmup: 8 }, 9), [])
  assert.is(said(dbCache, { threshold: 0, maxConsecutive: 0, maxCached: 0, maxAccumulated: 0 }, 8).length, 5)
  assert.equal(said(teaCache, {}, 3), [])
  assert.match(said(teaCache, { warmup: 2, threshold: 0 }, 3).join(), /threshold 0 .*The first 2 and the last 1 steps always run/)
})

test.run()
