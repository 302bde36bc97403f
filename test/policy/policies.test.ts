import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SadaError } from '../../ts/errors.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { createPolicy, policies } from '../../ts/policy/index.ts'
import type { RunContext } from '../../ts/policy/policy.ts'
import type { MemberStep } from '../../ts/sampler/trace.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import type { NetworkFunction } from '../../ts/sampler/callback-network.ts'
import { configs, LENGTH, mixtureNetwork, runInJs } from '../support/run.ts'

const noise = (seed: number): Float32Array => new TorchGenerator(seed).randn(LENGTH)
const schedulers = Object.keys(configs) as (keyof typeof configs)[]
const isSkip = ({ action }: MemberStep): boolean => !['run', 'prune', 'partial'].includes(action)

const refused = (spec: unknown): SadaError => {
  try {
    createPolicy(spec as string)
  } catch (error) {
    return error as SadaError
  }
  return assert.unreachable() as never
}

test('unknown policies, presets and options are errors that suggest the nearest name', () => {
  assert.is(refused('sadda').code, 'UNKNOWN_NAME')
  assert.match(refused('sadda').message, 'Did you mean "sada"?')
  assert.match(refused({ name: 'sada', preset: 'postr' }).message, 'sada/poster')
  assert.match(refused({ name: 'every-n', warmupp: 3 }).message, 'Did you mean "warmup"?')
  // What other programs call options of a call is no option of a policy, which has a "seed" of its own.
  for (const name of ['n', 'generator']) assert.not.match(refused({ name: 'sada', [name]: 3 }).message, /Did you mean "seed"/)
  assert.match(refused({ name: 'every-n', m: 3 }).message, /^Policy "every-n" has no option "m"\. Did you mean "n"\? Known: n, /)
  for (const inherited of ['constructor', '__proto__', 'toString']) assert.is(refused(inherited).code, 'UNKNOWN_NAME')
  for (const bad of [undefined, null, 3, {}, { name: 7 }]) assert.is(refused(bad).code, 'INVALID_ARGUMENT')
})

for (const [name, { options }] of Object.entries(policies)) {
  for (const [option, spec] of Object.entries(options) as [
    string,
    { min: number; max: number; integer?: boolean; list?: boolean; off?: number; default: unknown },
  ][]) {
    const [base, preset] = name.split('/')
    const given = (value: unknown) => ({ name: base, preset, [option]: value })
    const isNumber = typeof spec.default !== 'boolean' && !Array.isArray(spec.default)
    test(`${name}.${option}: its ends are accepted, what lies beyond is refused by name`, () => {
      for (const good of isNumber ? [spec.min, spec.max].filter((end) => end !== spec.off) : []) {
        if (Number.isFinite(good)) createPolicy(given(spec.list ? [good] : good))
      }
      const bad = [
        NaN,
        'a',
        null,
        spec.min - 1,
        ...(spec.max < Infinity ? [spec.max + 1] : []),
        ...(spec.integer ? [spec.min + 0.5] : []),
        ...(spec.off === undefined ? [] : [spec.off]),
      ]
      for (const value of bad) {
        const error = refused(given(value))
        assert.is(error.code, 'INVALID_ARGUMENT')
        assert.is(error.argument, `policy.${option}`)
      }
    })
  }
}

test('a long text that is no policy is refused at once, whatever it looks like', () => {
  const started = performance.now()
  for (const name of ['x', 'sada']) refused(`${name}:${'a=bbb'.repeat(30)}!`)
  // An expression that is divided in every way takes hours.
  assert.ok(performance.now() - started < 1000)
})

test("a policy in a command line's form is told in that of an object; what is none is not", () => {
  for (const [text, form] of [
    ['every-n:n=3', "{ name: 'every-n', n: 3 }"],
    ['every-n:n=3,order=1', "{ name: 'every-n', n: 3, order: 1 }"],
    ['sada/poster:warmup=8', "{ name: 'sada/poster', warmup: 8 }"],
    ['sada:pruneWindow=3x3,prune=true,tolerance=1e-3', "{ name: 'sada', pruneWindow: [3, 3], prune: true, tolerance: 1e-3 }"],
    ['auto:speedup=2', "{ name: 'auto', speedup: 2 }"],
  ]) {
    const { code, argument, message } = refused(text)
    assert.equal([code, argument], ['UNKNOWN_NAME', 'policy'])
    assert.is(message, `Unknown policy "${text}". That is a command line's form; here it is ${form}.`)
  }
  for (const text of ['every-m:n=3', 'constructor:n=3', 'every-n:', 'every-n:n', `every-n:n=${'x'.repeat(1e5)}`])
    assert.match(refused(text).message, /^Unknown policy .*Known: none, sada, /)
})

test('a replay without a recording is told where one comes from', () => {
  for (const [spec, received] of [
    ['replay', 'undefined'],
    [{ name: 'replay' }, 'undefined'],
    [{ name: 'replay', recording: null }, 'null'],
    [{ name: 'replay', recording: 'a.json' }, '"a.json"'],
  ] as const) {
    const { code, argument, message } = refused(spec)
    assert.equal([code, argument], ['INVALID_ARGUMENT', 'policy.recording'])
    assert.is(
      message,
      `Expected "policy.recording" to be a result's recording (generate or sample with record: true), received ${received}.`,
    )
  }
})

test('a pair is two numbers in range, no more, and no fewer', () => {
  for (const pruneWindow of [
    [0, 0],
    [3, 1024],
  ])
    createPolicy({ name: 'sada', pruneWindow })
  for (const pruneWindow of [[], [3], [3, 3, 3], [3, -1], [1025, 3], [3, 1.5], [3, '3'], 3]) {
    const error = refused({ name: 'sada', pruneWindow })
    assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', 'policy.pruneWindow'])
  }
})

for (const scheduler of schedulers) {
  for (const policy of ['sada', 'sada/poster', 'sada-reference', 'every-n']) {
    test(`${scheduler}, ${policy}: it skips, and stays closer to the full run than as many plain steps`, async () => {
      const latents = [noise(11), noise(12), noise(13)]
      const full = await runInJs({ scheduler, policy: 'none', latents })
      const fast = await runInJs({ scheduler, policy, latents })
      const runs = Math.max(...fast.trace.members.map(({ nfe }) => nfe))
      assert.ok(runs <= 40, `${runs} runs`)
      if (policy === 'sada-reference') return // known to lose here and there (algorithm notes §6)
      const plain = await runInJs({ scheduler, policy: 'none', latents, steps: runs })
      const distance = (a: Float32Array): number => Math.sqrt(a.reduce((sum, v, k) => sum + (v - full.latents[k]) ** 2, 0))
      assert.ok(distance(fast.latents) < distance(plain.latents), `${distance(fast.latents)}, plain ${distance(plain.latents)}`)
    })
  }

  test(`${scheduler}, poster: warm-up, tail and consecutive skips are kept to`, async () => {
    for (const [warmup, tail, maxConsecutive] of [
      [10, 3, 4],
      [3, 0, 1],
      [20, 10, 2],
      [49, 3, 4],
    ]) {
      const { trace } = await runInJs({
        scheduler,
        policy: { name: 'sada', preset: 'poster', warmup, tail, maxConsecutive },
        latents: [noise(21), noise(22)],
      })
      for (const { steps } of trace.members) {
        assert.not(steps.some((step, i) => isSkip(step) && (i < warmup || i >= 50 - tail)))
        let run = 0
        for (const step of steps) assert.ok((run = isSkip(step) ? run + 1 : 0) <= maxConsecutive)
      }
    }
  })
}

test('every-n runs exactly its schedule, on every prompt', async () => {
  const { trace } = await runInJs({
    scheduler: 'euler',
    policy: { name: 'every-n', n: 4, warmup: 6, tail: 2 },
    latents: [noise(1), noise(2)],
  })
  for (const { steps } of trace.members) {
    steps.forEach((step, i) => assert.is(isSkip(step), i >= 6 && i < 48 && (i - 6) % 4 !== 0, `step ${i}`))
  }
})

test('the options in force are in the trace, computed defaults included', async () => {
  const { trace } = await runInJs({
    scheduler: 'euler',
    policy: { name: 'sada', preset: 'poster', tail: 5 },
    latents: [noise(1)],
    steps: 100,
  })
  assert.is(trace.options.tail, 5)
  assert.is(trace.options.warmup, 20)
  assert.is(trace.options.lagrangeStep, 48)
})

test('sada always runs its last three steps; above guidance 3 its last 8 of 50, or as many of another number', () => {
  for (const [steps, guidance, tail] of [
    ...[1, 3].map((gentle) => [50, gentle, 3]),
    ...[3.01, 7, 1000].map((strong) => [50, strong, 8]),
    ...[5, 20, 25, 100].map((count, k) => [count, 7, [3, 3, 4, 16][k]]),
  ]) {
    const solver = createSolver(createSchedule(parseSchedulerConfig(configs['dpm++']).config, { steps }))
    const context: RunContext = { solver, members: 1, guidance, canPrune: false, tokens: 0, stages: [], reusable: [] }
    assert.is(createPolicy('sada').begin(context).options.tail, tail, `${steps} steps, guidance ${guidance}`)
    assert.is(createPolicy({ name: 'sada', tail: 5 }).begin(context).options.tail, 5)
  }
})

test('where the steps that always run are all there are, that is said before the run', () => {
  const solver = createSolver(createSchedule(parseSchedulerConfig(configs['flow-euler']).config, { steps: 10 }))
  const context: RunContext = { solver, members: 1, guidance: 1, canPrune: false, tokens: 0, stages: [], reusable: [] }
  const warnings = (policy: string, warmup: number, tail: number) =>
    createPolicy({ name: policy, warmup, tail }).begin(context).warnings
  for (const policy of ['sada', 'easycache', 'taylorseer']) {
    for (const [warmup, tail] of [
      [6, 4],
      [9, 1],
      [5, 6],
      [1000, 1000],
    ])
      assert.equal(warnings(policy, warmup, tail), [
        `The first ${warmup} and the last ${tail} steps always run, and there are 10: nothing can be skipped in fewer than ${warmup + tail + 1}.`,
      ])
    assert.equal(warnings(policy, 5, 4), [])
  }
})

test('below the number of steps that is named nothing can be skipped, also where what always runs follows from it', () => {
  const config = parseSchedulerConfig(configs['dpm++']).config
  for (const policy of ['sada', 'sada/poster', 'easycache', 'adaptive-diffusion', 'taylorseer', 'spectrum']) {
    const said = Array.from({ length: 60 }, (_, k) => {
      const solver = createSolver(createSchedule(config, { steps: 1 + k }))
      const context: RunContext = { solver, members: 1, guidance: 7, canPrune: false, tokens: 0, stages: [], reusable: [] }
      const [, least] = /skipped in fewer than (\d+)/.exec(createPolicy(policy).begin(context).warnings?.join() ?? '') ?? []
      return Number(least ?? 0)
    })
    const first = 1 + said.indexOf(0)
    assert.ok(first > 1 && first < 30 && said.slice(first).every((least) => least === 0), `${policy}: ${said.join()}`)
    assert.is(said[first - 2], first, `${policy}: ${said.join()}`)
    for (const [k, least] of said.entries())
      assert.ok(k + 1 >= first || (least > k + 1 && least <= first), `${policy}: ${said.join()}`)
  }
})

test('sada-reference and the poster say that nothing can be skipped where nothing can, and nowhere else', () => {
  const solver = createSolver(createSchedule(parseSchedulerConfig(configs['dpm++']).config, { steps: 50 }))
  const context: RunContext = { solver, members: 1, guidance: 1, canPrune: false, tokens: 0, stages: [], reusable: [] }
  for (const [name, options, isSaid] of [
    ['sada-reference', {}, false],
    // The timetable, from step 24 on, asks for no warm-up; up to there the criterion knows no end.
    ['sada-reference', { warmup: 1000 }, false],
    ['sada-reference', { end: 0 }, false],
    ['sada-reference', { warmup: 24, end: 24 }, true],
    ['sada-reference', { warmup: 23, end: 24 }, false],
    // 24, the one step at which the timetable decides, is a multiple of the interval.
    ['sada-reference', { warmup: 24, end: 25 }, true],
    ['sada-reference', { warmup: 24, end: 26 }, false],
    // What is decided at step 47 is step 48; the last one always runs.
    ['sada-reference', { lagrangeNodes: 0, warmup: 47, end: 50 }, false],
    ['sada-reference', { lagrangeNodes: 0, warmup: 48, end: 50 }, true],
    ['sada-reference', { lagrangeNodes: 0, warmup: 10, end: 10 }, true],
    ['sada-reference', { maxConsecutive: 0 }, true],
    ['sada/poster', {}, false],
    // One node is no line: nothing is interpolated, and the criterion decides before the second half only.
    ['sada/poster', { lagrangeNodes: 1 }, false],
    ['sada/poster', { lagrangeNodes: 1, lagrangeStep: 10 }, true],
    ['sada/poster', { lagrangeNodes: 1, lagrangeStep: 11 }, false],
    ['sada/poster', { lagrangeNodes: 2, lagrangeStep: 10 }, false],
    ['sada/poster', { maxConsecutive: 0 }, true],
  ] as const) {
    const said = createPolicy({ name, ...options }).begin(context).warnings!
    assert.is(said.length, Number(isSaid), `${name} ${JSON.stringify(options)}: ${said.join()}`)
    if (isSaid) assert.match(said[0], 'nothing can be skipped')
  }
})

test('auto: a small budget is not spent at the beginning, and is warned of', async () => {
  for (const scheduler of schedulers) {
    const inner = mixtureNetwork(scheduler)
    // Beside a run of the network a skip costs next to nothing, as it does for real ones.
    const network: NetworkFunction = async (call) => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return inner(call)
    }
    const run = (steps: number, speedup: number) =>
      runInJs({ scheduler, steps, policy: { name: 'auto', speedup }, latents: [noise(1)], network })
    const { trace } = await run(12, 3)
    const runs = trace.members[0].steps.filter(({ action }) => action === 'run').map(({ step }) => step)
    assert.ok(runs.length === 3 || runs.length === 4, `runs at ${runs.join()}`)
    assert.ok(runs.at(-1)! >= 6, `runs at ${runs.join()}`)
    assert.match(trace.warnings!.join(), /12 steps a speed-up of 3 leaves 4 network runs.* 4 plain steps are the better choice/)
    assert.is((await run(24, 2)).trace.warnings, undefined)
    assert.is((await run(8, 1)).trace.warnings, undefined)
  }
})

test.run()
