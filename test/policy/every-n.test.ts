import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createPolicy } from '../../ts/policy/index.ts'
import { run, type Decision, type RunContext } from '../../ts/policy/policy.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configs } from '../support/run.ts'

type Scheduler = keyof typeof configs

function decisions(scheduler: Scheduler, options: object): { all: readonly Decision[]; level: readonly number[] } {
  const schedule = createSchedule(parseSchedulerConfig(configs[scheduler]).config, { steps: 50 })
  const solver = createSolver(schedule)
  const context: RunContext = { solver, members: 1, guidance: 1, canPrune: false, tokens: 0, stages: [], reusable: [] }
  const [member] = createPolicy({ name: 'every-n', ...options }).begin(context).members
  const all = Array.from({ length: 50 }, (_, step) => {
    const done = member.before(step)
    member.after(step, done, [], 1)
    return done
  })
  return { all, level: schedule.levels.map(({ alpha, sigma }) => sigma / (alpha + sigma)) }
}

test('the warm-up, every n-th step from its end and the tail run', () => {
  for (const [n, warmup, tail] of [
    [1, 1, 0],
    [3, 1, 2],
    [4, 7, 1],
    [5, 3, 9],
  ]) {
    const { all } = decisions('euler', { n, warmup, tail })
    for (const [i, done] of all.entries())
      assert.is(done === run, i < warmup || i >= 50 - tail || (i - warmup) % n === 0, `${n}, ${warmup}, ${tail}: step ${i}`)
  }
})

for (const scheduler of Object.keys(configs) as Scheduler[]) {
  for (const order of [0, 1, 2, 3]) {
    test(`${scheduler}: order ${order} is exact where the clean sample is a polynomial in σ/(α+σ) of that degree, and of no other`, () => {
      const { all, level } = decisions(scheduler, { order, warmup: 4 })
      for (const [step, done] of all.entries()) {
        if (done.kind !== 'skip') continue
        assert.is(done.action, order === 0 ? 'reuse' : 'interpolate')
        for (const degree of [order, order + 1]) {
          const clean = (i: number): number => 2 + (level[i] - 0.3) ** degree
          const found = Object.entries(done.x0).reduce(
            (sum, [name, weight]) => sum + weight * clean(Number(name.slice(3, -1))),
            0,
          )
          assert.is(Math.abs(found - clean(step)) < 1e-9, degree === order, `degree ${degree}, step ${step}: ${found}`)
        }
      }
    })
  }
}

test.run()
