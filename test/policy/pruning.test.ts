import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createPolicy, type PolicySpec } from '../../ts/policy/index.ts'
import type { Decision, RunContext } from '../../ts/policy/policy.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configs } from '../support/run.ts'

// When `sada` and its poster preset run a pruned pass, on a network that can; what such a pass computes is in test/families/pruning.test.ts.

/** The decisions of 50 steps whose computed ones measure this. */
function decisions(policy: PolicySpec, measured: { square?: number; criterion: number }, canPrune = true): Decision[] {
  const solver = createSolver(createSchedule(parseSchedulerConfig(configs['flow-euler']).config, { steps: 50 }))
  const context: RunContext = { solver, members: 1, guidance: 1, canPrune, tokens: 64, stages: [], reusable: [] }
  const [member] = createPolicy(policy).begin(context).members
  return Array.from({ length: 50 }, (_, step) => {
    const done = member.before(step)
    const means = member.observe(step, done).means ?? []
    // Of sada's two means the second is the criterion.
    const { square = 0, criterion } = measured
    member.after(step, done, means.length === 2 ? [square, criterion] : means.map(() => criterion), 1)
    return done
  })
}

const letters = { run: '.', prune: 'P', partial: '?', skip: 'S' }
const written = (all: readonly Decision[]): string => all.map(({ kind }) => letters[kind]).join('')

const poster = (options: object) => ({ name: 'sada', preset: 'poster', lagrangeNodes: 0, ...options })

test('the poster prunes where it is unstable: three passes between two whole ones, and every node whole', () => {
  const unstable = { criterion: 1 }
  assert.is(written(decisions(poster({}), unstable)), '..........' + 'PPP.'.repeat(9) + 'P...')
  assert.is(written(decisions(poster({ maxPruned: 1 }), unstable)), '..........' + 'P.'.repeat(18) + 'P...')
  // Nodes are at 8, 12 and 16, an interval apart, before the second half begins.
  assert.is(written(decisions(poster({ lagrangeNodes: 3 }), unstable)).slice(0, 21), '..........' + 'PP.PPP.PPP.')
  assert.not(decisions(poster({}), { criterion: -1 }).some(({ kind }) => kind === 'prune'))
})

test('sada prunes where instability alone is why a step is computed, once it has warmed up twice; what follows may be skipped', () => {
  // Errors are small enough for any skip, but not a thousand times as large.
  const policy = { name: 'sada', unstable: 1000, maxConsecutive: 1 }
  const measured = { square: 1e-6, criterion: 1 }
  assert.is(written(decisions(policy, measured)), '........' + 'PS.'.repeat(13) + '...')
  assert.is(written(decisions({ ...policy, warmup: 6 }, measured)).slice(0, 14), '............PS')
  // Where the error itself forbids a skip, all of it is computed.
  assert.is(written(decisions(policy, { square: 100, criterion: 1 })), '.'.repeat(50))
})

test('nothing is pruned where that is switched off, or the network cannot', () => {
  for (const policy of [poster({}), { name: 'sada', unstable: 1000 }]) {
    const measured = { square: 1e-6, criterion: 1 }
    assert.is(written(decisions({ ...policy, prune: false }, measured)), '.'.repeat(50))
    assert.is(written(decisions(policy, measured, false)), '.'.repeat(50))
  }
})

test('a pruned pass is told its options, and another seed of 32 bits at each step', () => {
  const given = { maxKept: 40, pruneWindow: [2, 5], fullAbove: 0.5, seed: 2 ** 32 - 1 }
  const selections = decisions(poster(given), { criterion: 1 }).flatMap((done) => (done.kind === 'prune' ? [done.selection] : []))
  const seeds = selections.map(({ seed }) => seed)
  assert.ok(seeds.every((seed) => Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
  assert.is(new Set(seeds).size, seeds.length)
  for (const { maxKept, window, fullAbove } of selections) assert.equal([maxKept, window, fullAbove], [40, [2, 5], 0.5])
})

test.run()
