import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createPolicy } from '../../ts/policy/index.ts'
import type { MemberPolicy } from '../../ts/policy/policy.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configs } from '../support/run.ts'

// A skip whose result is not finite is made again as a run: the loop says `run` to `after`, though `before` said `skip`.

const STEPS = 200

function member(name: string, options: object): MemberPolicy {
  const { config } = parseSchedulerConfig(configs['flow-euler'])
  const solver = createSolver(createSchedule(config, { steps: STEPS }))
  const context = {
    solver,
    members: 1,
    guidance: 1,
    canPrune: false,
    tokens: 0,
    map: { order: 'channels-first', channels: 1, height: 1, width: 1 },
    stages: [],
    reusable: [],
  } as const
  return createPolicy({ name, ...options }).begin(context).members[0]
}

/** The decisions of all steps where every measurement is always the same, with the first `refusals` skips refused. */
function decisions(policy: MemberPolicy, means: readonly number[], refusals: number): string {
  let made = ''
  for (let step = 0, refused = 0; step < STEPS; step++) {
    const decision = policy.before(step)
    const isRefused = decision.kind === 'skip' && refused++ < refusals
    const done = isRefused ? ({ kind: 'run' } as const) : decision
    policy.observe(step, done)
    policy.after(step, done, means, 1)
    made += isRefused ? 'R' : done.kind === 'skip' ? 'S' : 'C'
  }
  return made
}

for (const [name, options, means] of [
  ['easycache', { threshold: 0.05, warmup: 4 }, [0.01, 1, 0.01, 0.01]],
  ['magcache', { ratios: [1.02], keep: -1 }, []],
  ['seacache', { maxConsecutive: 0, threshold: 0.05, warmup: 4 }, [0.01]],
  ['adaptive-diffusion', { maxConsecutive: 6 }, [1]],
] as const) {
  test(`${name}: after a refused skip the budget is whole again, as after any run`, () => {
    const plain = decisions(member(name, options), means, 0)
    const gap = /CS+C/.exec(plain)![0].length - 2
    assert.ok(gap > 1)
    const [, runs, after] = /^(C+)R(S+)C/.exec(decisions(member(name, options), means, 1))!
    assert.is(runs.length, /^C+/.exec(plain)![0].length)
    const steady = /CS+C(S+)C/.exec(plain)![1].length // without what the first gap may be more
    assert.is(after.length, steady)
  })
}

test.run()
