import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import type { NetworkFunction } from '../../ts/sampler/callback-network.ts'
import { createPolicy } from '../../ts/policy/index.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configs, LENGTH, mixtureNetwork, runInJs } from '../support/run.ts'

// Targets of time on a clock that only the network and the steps move: what a target leaves is then a sum. On a real one: auto.serial.test.ts.

let now = 0
performance.now = () => now

interface Costs {
  /** Milliseconds of each step, of each call of the network, and how much longer the first call takes. */
  readonly step: number
  readonly network: number
  readonly cold?: number
}

/** Network runs of each member, where those of the first lie (R, skips .), and the time that all took. */
async function run(target: object, { step: ofStep, network: ofNetwork, cold = 0 }: Costs, members = 1, audit = 0) {
  now = 1000
  const inner = mixtureNetwork('dpm++')
  const network: NetworkFunction = (call) => {
    now += ofNetwork + (call.step === 0 ? cold : 0)
    return inner(call)
  }
  const latents = Array.from({ length: members }, (_, b) => new TorchGenerator(b + 1).randn(LENGTH))
  const onStep = (): void => void (now += ofStep)
  const { trace } = await runInJs({ scheduler: 'dpm++', policy: { name: 'auto', target }, latents, network, onStep, audit })
  const lie = trace.members[0].steps.map(({ action }) => (action === 'run' ? 'R' : '.')).join('')
  return { runs: trace.members.map(({ nfe }) => nfe), lie, took: now - 1000, warnings: trace.warnings }
}
for (const [speedup, costs, runs] of [
  // 50 steps over the speed-up, rounded.
  [1.5, { step: 0, network: 100 }, 33],
  [2, { step: 0, network: 100 }, 25],
  [3, { step: 0, network: 100 }, 17],
  // 50·100 / (runs·100 + (50 − runs)·skip) = speedup: 23.7, 18.75 and 12.96 runs where a skip takes 5, 20 and 10.
  [2, { step: 5, network: 95 }, 24],
  [2, { step: 20, network: 80 }, 19],
  [3, { step: 10, network: 90 }, 13],
] as const) {
  test(`${speedup} times faster, ${JSON.stringify(costs)}: ${runs} runs of 50`, async () => {
    assert.equal((await run({ speedup }, costs)).runs, [runs])
  })
}

test('a member of a batch has the runs that it has alone, also where half a run is left over', async () => {
  // 12.5 runs of each.
  assert.equal((await run({ speedup: 4 }, { step: 0, network: 100 }, 1)).runs, [13])
  assert.equal((await run({ speedup: 4 }, { step: 0, network: 100 }, 3)).runs, [13, 13, 13])
})

for (const [ms, costs, runs, took] of [
  [1000, { step: 5, network: 100 }, 7, 7 * 105 + 43 * 5],
  [3000, { step: 0, network: 100 }, 30, 3000],
  // The first call takes 400 more: 13 runs and 37 skips after it would take 2055.
  [2000, { step: 5, network: 100, cold: 400 }, 13, 400 + 13 * 105 + 37 * 5],
  // One that takes nearly all is no measure of the others.
  [2200, { step: 5, network: 100, cold: 1500 }, 4, 1500 + 4 * 105 + 46 * 5],
  [100, { step: 1, network: 200 }, 1, 200 + 50],
  [1e6, { step: 1, network: 200 }, 50, 50 * 201],
] as const) {
  test(`${ms} ms, ${JSON.stringify(costs)}: ${runs} runs, and no time for another`, async () => {
    const made = await run({ ms }, costs)
    assert.equal([made.runs, made.took], [[runs], took])
  })
}

for (const [speedup, costs, times] of [
  // All 50 steps with the network take 50·110; two with it and 48 without 2·110 + 48·10.
  [20, { step: 10, network: 100 }, 7.9],
  [100, { step: 0, network: 100 }, 25],
  // A step without the network takes nearly what one with it does: 50·110 over 6·110 + 44·100.
  [2, { step: 100, network: 10 }, 1.1],
] as const) {
  test(`${speedup} times faster, ${JSON.stringify(costs)}: the run says that it was ${times} times faster`, async () => {
    for (const members of [1, 2]) {
      const { warnings } = await run({ speedup }, costs, members)
      const said = `The run was ${times} times as fast as one of every step, less than the ${speedup} times that were its target.`
      assert.is(warnings?.at(-1), said)
    }
  })
}

for (const target of [{ speedup: 2 }, { ms: 3000 }]) {
  test(`${JSON.stringify(target)}: what an audit takes is no cost of a skip, and no time of the run`, async () => {
    for (const members of [1, 3]) {
      const plain = await run(target, { step: 5, network: 95 }, members)
      for (const audit of [0.3, 1]) {
        const audited = await run(target, { step: 5, network: 95 }, members, audit)
        assert.equal([audited.runs, audited.lie, audited.warnings], [plain.runs, plain.lie, plain.warnings])
        assert.ok(audited.took > plain.took)
      }
    }
  })
}

test('a time that was enough for fewer than 12 of the network runs says that as many plain steps are better', async () => {
  for (const members of [1, 3]) {
    const told = async (ms: number): Promise<[number, string]> => {
      const { runs, warnings = [] } = await run({ ms }, { step: 5, network: 95 }, members)
      return [Math.min(...[runs].flat()), warnings.join()]
    }
    let before = 0
    for (const ms of [900, 1300, 1600, 2400]) {
      const [runs, said] = await told(ms)
      assert.ok(runs > before, `${runs} runs in ${ms} ms`)
      before = runs
      const few = `The time was enough for ${runs} of 50 network runs, few to predict from: ${runs} plain steps are the better choice.`
      assert.is(said.includes(few), runs < 12, `${runs}: ${said}`)
      assert.is(said.includes('better choice'), runs < 12)
    }
    assert.ok(before >= 12)
  }
})

test('a skip that was refused costs what a run does', () => {
  const solver = createSolver(createSchedule(parseSchedulerConfig(configs['dpm++']).config, { steps: 50 }))
  const context = { solver, members: 1, guidance: 1, canPrune: false, tokens: 0, stages: [], reusable: [] }
  const made = (refusals: number): string => {
    const [member] = createPolicy({ name: 'auto', target: { speedup: 2 } }).begin(context).members
    let lie = ''
    for (let step = 0, refused = 0; step < 50; step++) {
      const decision = member.before(step)
      const isRefused = decision.kind === 'skip' && refused++ < refusals
      const done = isRefused ? ({ kind: 'run' } as const) : decision
      const { means = [] } = member.observe(step, done)
      now += done.kind === 'skip' ? 5 : 100
      // Errors such that it skips one or two at a time.
      member.after(step, done, [1e-4, -1].slice(0, means.length), 1)
      lie += isRefused ? 'r' : done.kind === 'skip' ? '.' : 'R'
    }
    return lie
  }
  // 50·100 / (runs·100 + (50 − runs)·5) = 2: 23.7 runs.
  for (const refusals of [0, 1, 2]) {
    const lie = made(refusals)
    assert.is(lie.replace(/\./g, '').length, 24, lie)
    assert.not.match(lie, /r\.{3}/)
  }
})

test('many runs are shared by the beginning and a long tail of 8 steps, ordinary ones end with a short one', async () => {
  const lie = async (speedup: number): Promise<string> => (await run({ speedup }, { step: 0, network: 100 })).lie
  for (const speedup of [1.2, 1.5]) assert.match(await lie(speedup), /^R{10,30}(\.{1,2}R{1,3})+\.{1,3}R{8}$/)
  assert.match(await lie(2), /^R{4,6}(\.{1,3}R)+\.R{3,6}$/)
  assert.match(await lie(3), /^R{3,4}(\.{1,4}R)+\.{2,4}R{3}$/)
})

test('few runs lie at distances that do not grow, to the end', async () => {
  for (const speedup of [5, 8, 12]) {
    const { lie, runs } = await run({ speedup }, { step: 0, network: 100 })
    const at = lie.split('').flatMap((each, step) => (each === 'R' && step > 1 ? [step] : []))
    const distances = at.slice(1).map((step, k) => step - at[k])
    assert.match(lie, /^RRR\./)
    for (const [k, distance] of distances.slice(1).entries()) assert.ok(distance <= distances[k], `${speedup}: ${lie}`)
    // An even share of the 48 steps after the first two, to a fifth.
    assert.ok(distances[0] <= (1.2 * 48) / (runs[0] - 2) && 50 - at.at(-1)! <= distances[0], `${speedup}: ${lie}`)
  }
})

test('what a target leaves too few runs for, or was not fitted on, is said before', async () => {
  const said = async (target: object, spec: Partial<Parameters<typeof runInJs>[0]> = {}): Promise<string> => {
    const latents = [new TorchGenerator(1).randn(LENGTH)]
    const { trace } = await runInJs({
      scheduler: 'dpm++',
      steps: 36,
      policy: { name: 'auto', target },
      latents,
      ...spec,
    })
    return (trace.warnings ?? []).join()
  }
  assert.is(await said({ speedup: 3 }), '')
  assert.match(
    await said({ speedup: 3.2 }),
    /^Of 36 steps a speed-up of 3\.2 leaves 11 network runs, few .*: 11 plain steps are the better choice\.$/,
  )
  assert.is(await said({ speedup: 1 }, { steps: 5 }), '')
  for (const steps of [1, 2])
    assert.is(await said({ speedup: 3 }, { steps }), `Of ${steps} steps this setting runs all: nothing can be skipped.`)
  assert.match(await said({ speedup: 3 }, { steps: 3 }), /^Of 3 steps a speed-up of 3 leaves 2 network runs/)
  assert.is(await said({ ms: 1 }), '')
  assert.is(await said({ psnrDb: 30 }), '')
})

test.run()
