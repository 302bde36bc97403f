import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import type { NetworkFunction } from '../../ts/sampler/callback-network.ts'
import { RemainingTime } from '../../ts/sampler/remaining.ts'
import type { StepEvent } from '../../ts/sampler/trace.ts'
import { LENGTH, runInJs } from '../support/run.ts'

/** Runs of `run` ms and skips of 2 ms, as `plan` has them for each member; `after` sees the expected and the true rest at every step. */
function play(
  plan: readonly string[],
  run: number,
  maySkip: boolean,
  after: (step: number, expected: number, left: number) => void,
): void {
  const steps = plan[0].length
  const remaining = new RemainingTime(steps, maySkip)
  const costs = Array.from({ length: steps }, (_, i) => 2 + run * plan.filter((member) => member[i] === 'R').length)
  let elapsed = 0
  for (let i = 0; i < steps; i++) {
    elapsed += costs[i] + (i === 0 ? 500 : 0) // the first step pays for what the others find done
    const done = plan.map((member) => ({ action: member[i] === 'R' ? ('run' as const) : ('extrapolate' as const) }))
    remaining.note(done, elapsed)
    const left = costs.slice(i + 1).reduce((sum, cost) => sum + cost, 0)
    after(i, remaining.of(plan.length), left)
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

test('a run that might skip and does not is found out: at once where it is short, else within a factor of 1.3 from half of it on', () => {
  play(['R'.repeat(10)], 20, true, (step, expected, left) => {
    if (step > 0) assert.ok(Math.abs(expected - left) < 1e-6, `step ${step}: ${expected} for ${left}`)
  })
  play(['R'.repeat(50)], 20, true, (step, expected, left) => {
    if (step >= 25 && step < 49) assert.ok(expected <= left && expected * 1.3 > left, `step ${step}: ${expected} for ${left}`)
  })
})

test('partial passes count by their share of the operations', () => {
  const remaining = new RemainingTime(441, true)
  remaining.note([{ action: 'run' }], 100)
  remaining.note([{ action: 'run' }], 200)
  for (let k = 1; k <= 400; k++) remaining.note([{ action: 'partial', flopShare: 0.25 }], 200 + 25 * k)
  const expected = remaining.of(1)
  assert.ok(Math.abs(expected - 975) < 30, String(expected))
})

test('what is expected to be left follows the network, of any number of members, whether anything is skipped or not', async () => {
  const DELAY = 10
  const network: NetworkFunction = async ({ sample: x }) => {
    await new Promise((resolve) => setTimeout(resolve, DELAY))
    return x.slice()
  }
  for (const policy of ['none', { name: 'sada', tolerance: 0 }, { name: 'every-n', n: 2, warmup: 4 }]) {
    for (const members of [1, 2]) {
      const at: [elapsed: number, expected: number][] = []
      const onStep = ({ elapsedMs, etaMs }: StepEvent): void => void at.push([elapsedMs, etaMs])
      const latents = Array.from({ length: members }, (_, b) => new TorchGenerator(b).randn(LENGTH))
      await runInJs({ scheduler: 'dpm++', policy, latents, steps: 40, network, onStep })
      const [end] = at[39]
      const [elapsed, expected] = at[20]
      const factor = expected / (end - elapsed)
      assert.ok(factor > 0.5 && factor < 2, `${JSON.stringify(policy)}, ${members}: ${expected} for ${end - elapsed} ms`)
    }
  }
})

test.run()
