import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RemainingTime } from '../../ts/sampler/remaining.ts'

/** Runs of `run` ms and skips of 2 ms, as `plan` has them for each member; `after` sees the expected and the true rest at every step. */
function play(
  plan: readonly string[],
  run: number,
  maySkip: boolean,
  after: (step: number, expected: number, left: number) => void,
): void {
  const remaining = new RemainingTime(maySkip)
  const steps = plan[0].length
  const costs = Array.from({ length: steps }, (_, i) => 2 + run * plan.filter((member) => member[i] === 'R').length)
  let elapsed = 0
  for (let i = 0; i < steps; i++) {
    elapsed += costs[i] + (i === 0 ? 500 : 0) // the first step pays for what the others find done
    const done = plan.map((member) => ({ action: member[i] === 'R' ? ('run' as const) : ('extrapolate' as const) }))
    remaining.note(done, elapsed)
    const left = costs.slice(i + 1).reduce((sum, cost) => sum + cost, 0)
    after(i, remaining.of(steps - i - 1, plan.length), left)
  }
}

/** As `sada` runs 50 steps at guidance 1, 3 and 7. */
const PLANS = [
  'RRRR' + 'SSR'.repeat(10) + 'SSSR'.repeat(3) + 'RRRR',
  'RRRR' + 'SR'.repeat(8) + 'SSR'.repeat(9) + 'RRR',
  'RRRR' + 'SR'.repeat(19) + 'RRRRRRRR',
]

test('the rest of a run that skips is expected to within a factor of 1.5 from the second step to the thirtieth, batches to 2.2, though the first steps always run', () => {
  for (const plan of PLANS) {
    for (const members of [[plan], [plan, PLANS[0], plan.replaceAll('S', 'R')]]) {
      play(
        members.map((member) => member.padEnd(50, 'R').slice(0, 50)),
        20,
        true,
        (step, expected, left) => {
          // Later the last steps, which always run, are most of what is left.
          if (step < 1 || step > 30) return
          const factor = members.length === 1 ? 1.5 : 2.2
          assert.ok(expected < left * factor && expected * factor > left, `${members[0]} step ${step}: ${expected} for ${left}`)
        },
      )
    }
  }
})

test('a run that skips nothing is expected to go on as it did, without what the first step alone pays for', () => {
  play(['R'.repeat(50)], 20, false, (step, expected, left) => {
    if (step > 0) assert.ok(Math.abs(expected - left) < 1e-6, `step ${step}: ${expected} for ${left}`)
  })
})

test('partial passes count by their share of the operations', () => {
  const remaining = new RemainingTime(true)
  remaining.note([{ action: 'run' }], 100)
  remaining.note([{ action: 'run' }], 200)
  for (let k = 1; k <= 400; k++) remaining.note([{ action: 'partial', flopShare: 0.25 }], 200 + 25 * k)
  const expected = remaining.of(40, 1)
  assert.ok(Math.abs(expected - 1000) < 30, String(expected))
})

test.run()
