import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createPolicy } from '../../ts/policy/index.ts'
import type { Decision, MemberPolicy, RunContext } from '../../ts/policy/policy.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule, type Schedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configs } from '../support/run.ts'

type Scheduler = keyof typeof configs
const schedulers = Object.keys(configs) as Scheduler[]

interface Begun {
  readonly member: MemberPolicy
  readonly schedule: Schedule
  readonly options: Readonly<Record<string, unknown>>
}

function begin(scheduler: Scheduler, given: object = {}, steps = 50): Begun {
  const schedule = createSchedule(parseSchedulerConfig(configs[scheduler]).config, { steps })
  const solver = createSolver(schedule)
  const context: RunContext = { solver, members: 1, guidance: 1, canPrune: false, tokens: 0, stages: [], reusable: [] }
  const { members, options } = createPolicy({ name: 'sada', preset: 'poster', ...given }).begin(context)
  return { member: members[0], schedule, options }
}

/** The decisions of a run whose criterion at each computed step is `criterion`. */
function decisions(member: MemberPolicy, criterion: (step: number) => number): Decision[] {
  return Array.from({ length: 50 }, (_, step) => {
    const done = member.before(step)
    const { means = [] } = member.observe(step, done)
    member.after(
      step,
      done,
      means.map(() => criterion(step)),
      1,
    )
    return done
  })
}

const letters = { run: '.', extrapolate: 'E', interpolate: 'L' } as Record<string, string>
const written = (all: readonly Decision[]): string =>
  all.map((done) => letters[done.kind === 'skip' ? done.action : done.kind]).join('')

test('a stable verdict licenses four skips, the second half runs every fourth step, warm-up and tail run', () => {
  // Steps 0 to 9; up to the second half, from 20 on; up to the last three.
  const half = '.LLL.LLL.LLL.LLL.LLL.LLL.LL' + '...'
  const stable = begin('flow-euler').member
  assert.is(written(decisions(stable, () => -1)), '..........' + 'EEEE.EEEE.' + half)
  for (const unstable of [0, 1, NaN]) {
    assert.is(written(decisions(begin('flow-euler').member, () => unstable)), '..........' + '..........' + half)
  }
  // What was stable at step 9 and at 14, and is not from there on.
  assert.is(written(decisions(begin('flow-euler').member, (step) => (step < 14 ? -1 : 1))), '..........' + 'EEEE......' + half)
  // The third computed step has a verdict already.
  assert.is(written(decisions(begin('flow-euler', { warmup: 3 }).member, () => -1)).slice(0, 8), '...EEEE.')
  // Without nodes there is no second half: the criterion decides to the end.
  const whole = begin('flow-euler', { lagrangeNodes: 0 }).member
  assert.is(written(decisions(whole, () => -1)), '..........' + 'EEEE.'.repeat(7) + 'EE...')
})

test('the settings published for 50 steps are scaled to another number of them', () => {
  // Of 50: 10 that warm up, at least 3, the last 3, at least 1, and the second half from 24 on, with flow matching from 20.
  for (const [steps, warmup, tail, half, flowHalf] of [
    [50, 10, 3, 24, 20],
    [100, 20, 6, 48, 40],
    [28, 6, 2, 13, 11],
    [8, 3, 1, 4, 3],
  ])
    for (const scheduler of schedulers) {
      const { options } = begin(scheduler, {}, steps)
      const lagrangeStep = scheduler === 'flow-euler' ? flowHalf : half
      assert.equal(
        [options.warmup, options.tail, options.lagrangeStep],
        [warmup, tail, lagrangeStep],
        `${scheduler}, ${steps} steps`,
      )
    }
})

test('where no two nodes are bounded enough, the step runs', () => {
  // Two nodes weigh 1 + r and −r where they are continued by a share r of their distance: above 1 in all.
  const { member } = begin('flow-euler', { maxAmplification: 1 })
  assert.is(written(decisions(member, () => 1)), '.'.repeat(50))
})

/** The value of a skip's clean sample where the trajectory is x(t), in the solver's own time, and its velocity y(t). */
function substituted(x0: Readonly<Record<string, number>>, buffer: (name: string, step: number) => number): number {
  return Object.entries(x0).reduce((sum, [key, weight]) => {
    const [, name, step] = /^(x0|y)\[(\d+)\]$/.exec(key)!
    return sum + weight * buffer(name, Number(step))
  }, 0)
}

for (const scheduler of schedulers) {
  test(`${scheduler}: a stable skip goes on from the state that a straight velocity leads to, with the newest noise`, () => {
    const { member, schedule } = begin(scheduler, { lagrangeNodes: 0 })
    const { times, levels, betaAt } = schedule
    const y = (i: number): number => 0.3 - 0.8 * times[i]
    const x = (i: number): number => 1.1 + 0.3 * times[i] - 0.4 * times[i] ** 2
    const isVp = schedule.frame === 'vp'
    // y = (x − x0)/t, or ½β·(n/σ − x): the noise, and from it the clean sample.
    const noise = (i: number): number => levels[i].sigma * (x(i) + (2 * y(i)) / betaAt[i])
    const x0 = (i: number): number => (isVp ? (x(i) - levels[i].sigma * noise(i)) / levels[i].alpha : x(i) - times[i] * y(i))
    let skips = 0
    let newest = 0
    for (const [step, done] of decisions(member, () => -1).entries()) {
      if (done.kind !== 'skip') newest = step
      else {
        const found = substituted(done.x0, (name, i) => (name === 'y' ? y(i) : x0(i)))
        const { alpha, sigma } = levels[step]
        const expected = isVp ? (x(step) - sigma * noise(newest)) / alpha : x(step) - times[step] * y(newest)
        assert.ok(Math.abs(found - expected) <= 1e-9 * Math.max(1, Math.abs(expected)), `step ${step}: ${found}, ${expected}`)
        skips++
      }
    }
    assert.is(skips, 30)
  })

  test(`${scheduler}: the second half interpolates the clean sample in σ/(α+σ) through nodes an interval apart, as far as that is bounded`, () => {
    const level = ({ levels }: Schedule, i: number): number => levels[i].sigma / (levels[i].alpha + levels[i].sigma)
    const polynomial = (t: number): number => 0.4 - 1.3 * t + 0.7 * t * t
    for (const maxAmplification of [1000, 10, 3]) {
      const { member, schedule } = begin(scheduler, { maxAmplification, lagrangeNodes: 3 })
      const orders: number[] = []
      for (const [step, done] of decisions(member, () => 1).entries()) {
        if (done.kind !== 'skip') continue
        const nodes = Object.keys(done.x0).map((name) => Number(name.slice(3, -1)))
        assert.ok(nodes.every((node, k) => k === 0 || nodes[k - 1] - node >= 4) && step - nodes[0] < 4, nodes.join())
        assert.ok(Object.values(done.x0).reduce((sum, weight) => sum + Math.abs(weight), 0) <= maxAmplification)
        orders.push(nodes.length)
        if (nodes.length < 3) continue
        const found = substituted(done.x0, (_, i) => polynomial(level(schedule, i)))
        assert.ok(Math.abs(found - polynomial(level(schedule, step))) < 1e-9, `step ${step}`)
      }
      assert.ok(orders.length >= 10 && orders.every((order) => order >= 2), orders.join())
      assert.is(
        orders.every((order) => order === 3),
        maxAmplification > 3,
        orders.join(),
      )
    }
  })
}

test.run()
