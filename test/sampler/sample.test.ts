import { getEventListeners } from 'node:events'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sample, sampleMemory, SadaError, type NetworkFunction, type SampleOptions } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { configs, LENGTH, mixtureNetwork, runInJs } from '../support/run.ts'

// The public sampler on the native addon; what the loop does in general is tested in loop.test.ts.

const scheduler = configs['dpm++']
const shape = [2, 4, 8, 8]
const network = mixtureNetwork('dpm++')
const base: SampleOptions = { scheduler, steps: 20, shape, seed: 3, network }

async function rejection(options: unknown): Promise<SadaError> {
  const error = await sample(options as SampleOptions).then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.instance(error, SadaError)
  return error as SadaError
}

for (const policy of ['none', 'sada', 'sada/poster', 'every-n', 'sada-reference'] as const) {
  test(`${policy}: the native run agrees with the one in JavaScript, decision by decision`, async () => {
    const latents = [5, 6].map((seed) => new TorchGenerator(seed).randn(LENGTH))
    const inJs = await runInJs({ scheduler: 'dpm++', policy, latents, steps: 50 })
    const native = await sample({ ...base, steps: 50, seed: [5, 6], policy })
    const actions = ({ trace }: typeof native) => trace.members.map(({ steps }) => steps.map(({ action }) => action))
    assert.equal(actions(native), actions(inJs))
    // Fused multiply-adds in float32 against float64 sums rounded once, over fifty steps.
    native.latents.forEach((value, k) =>
      assert.ok(Math.abs(value - inJs.latents[k]) < 2e-5, `${k}: ${value}, ${inJs.latents[k]}`),
    )
  })
}

test('one seed is one randn(shape); an array is one generator per member', async () => {
  const steps = 2
  const states: Float32Array[] = []
  const spy: NetworkFunction = (input) => {
    if (input.step === 0) states.push(input.sample.slice())
    return network(input)
  }
  await sample({ ...base, steps, network: spy })
  await sample({ ...base, steps, network: spy, seed: [3, 4] })
  assert.equal(states[0], new TorchGenerator(3).randn(512))
  assert.equal(states[1], Float32Array.from([3, 4].flatMap((seed) => [...new TorchGenerator(seed).randn(256)])))
})

test("latents are the scheduler's own state; the network sees α·x0 + σ·n", async () => {
  const latents = new TorchGenerator(1).randn(512).map((v) => v * 100)
  let seen: Float32Array | undefined
  let alpha = 0
  const spy: NetworkFunction = (input) => {
    if (input.step === 0) [seen, alpha] = [input.sample.slice(), input.alpha]
    return mixtureNetwork('euler')(input)
  }
  await sample({ ...base, scheduler: configs.euler, latents, seed: undefined, network: spy })
  seen!.forEach((value, k) => assert.is(value, Math.fround(Math.fround(alpha) * latents[k])))
})

test('large latents, whose steps are made on a thread of their own, give the values of small ones', async () => {
  const pattern = new TorchGenerator(1).randn(1000)
  const own: NetworkFunction = ({ sample: x, sigma }) => x.map((v) => v / (1 + sigma * sigma))
  const run = async (members: number, length: number) => {
    const latents = Float32Array.from({ length: members * length }, (_, k) => 14 * pattern[k % 1000])
    const options = { scheduler: configs.euler, steps: 8, shape: [members, length], latents, network: own }
    return (await sample({ ...options, policy: { name: 'every-n', n: 3, warmup: 2 } })).latents
  }
  const small = await run(1, 1000)
  const { inlineElements } = loadAddon()
  const large = 1000 * Math.ceil((inlineElements + 1) / 1000)
  // One member that is too large, and members that are too large together.
  for (const [members, length] of [
    [1, large],
    [3, large / 2],
  ])
    assert.ok(
      (await run(members, length)).every((value, k) => value === small[k % 1000]),
      `${members} × ${length}`,
    )
})

test('layout: the share of unstable tokens is that of the tokens which, as samples of their own, have a criterion of at least 0', async () => {
  const [members, tokens, channels] = [2, 16, 8]
  const latents = new TorchGenerator(4).randn(members * tokens * channels)
  const transposed = latents.map((_, k) => {
    const [member, channel, token] = [Math.floor(k / (tokens * channels)), Math.floor(k / tokens) % channels, k % tokens]
    return latents[(member * tokens + token) * channels + channel]
  })
  // Element by element, so that a token is the same alone and among others; every step runs.
  const own: NetworkFunction = ({ sample: x, step }) => x.map((v) => 0.05 * Math.exp(2 * Math.sin(7 * v + step / 3)))
  const given = { ...base, ...flow, steps: 20, seed: undefined, network: own, policy: { name: 'sada', tolerance: 0 } }
  const alone = (await sample({ ...given, latents, shape: [members * tokens, channels] })).trace.members
  for (const [layout, shape, values] of [
    ['tokens', [members, tokens, channels], latents],
    ['channels-first', [members, channels, 2, 8], transposed],
  ] as const) {
    const { trace } = await sample({ ...given, latents: values, shape, layout })
    // Where no criterion was measured, there is nothing to say.
    assert.ok(trace.members.every(({ steps }) => steps.every((s) => 'unstableTokens' in s === 'criterion' in s)))
    assert.not.match(JSON.stringify(await sample({ ...given, policy: 'none', latents: values, shape, layout })), 'unstableTokens')
    const shares = new Set<number>()
    const measured = trace.members.flatMap(({ steps }, b) =>
      steps.filter((s) => s.criterion !== undefined).map((s) => ({ b, ...s })),
    )
    for (const { b, step, criterion, unstableTokens } of measured) {
      const criteria = alone.slice(b * tokens, (b + 1) * tokens).map(({ steps: each }) => each[step].criterion!)
      assert.is(unstableTokens, criteria.filter((c) => c >= 0).length / tokens, `step ${step}`)
      // Sums of the same float32 products in another order.
      const size = criteria.reduce((sum, c) => sum + Math.abs(c), 0) / tokens
      assert.ok(Math.abs(criterion! - criteria.reduce((sum, c) => sum + c, 0) / tokens) <= 1e-5 * size, `step ${step}`)
      shares.add(unstableTokens!)
    }
    assert.ok(shares.size >= 3, [...shares].join())
  }
})

test('with record a run has a recording, fit for JSON, that repeats it; without it has none', async () => {
  const recorded = await sample({ ...base, record: true })
  assert.not('recording' in (await sample(base)))
  const recording: unknown = JSON.parse(JSON.stringify(recorded.recording))
  const replayed = await sample({ ...base, policy: { name: 'replay', recording } })
  assert.equal(replayed.latents, recorded.latents)
  const actions = ({ trace }: typeof recorded) => trace.members.map(({ steps }) => steps.map(({ action }) => action))
  assert.equal(actions(replayed), actions(recorded))
  assert.ok(actions(recorded).flat().includes('extrapolate'))
})

test('bad input is an error that names it', async () => {
  const attempts: [Record<string, unknown>, string, RegExp][] = [
    [{ shape: undefined }, 'INVALID_ARGUMENT', /"shape"/],
    [{ shape: [2] }, 'INVALID_ARGUMENT', /"shape"/],
    [{ shape: [2, 0] }, 'INVALID_ARGUMENT', /"shape"/],
    [{ shape: [2, -1, 8, 8] }, 'INVALID_ARGUMENT', /"shape"/],
    [{ shape: [2 ** 20, 2 ** 20] }, 'INVALID_ARGUMENT', /2147483647/],
    [{ seed: undefined }, 'INVALID_ARGUMENT', /"latents"/],
    [{ seed: -5 }, 'INVALID_ARGUMENT', /"seed"/],
    [{ seed: [1, 2, 3] }, 'INVALID_ARGUMENT', /"seed" .* array of 2/],
    [{ seed: [1, 0.5] }, 'INVALID_ARGUMENT', /"seed"/],
    [{ seed: -5n }, 'INVALID_ARGUMENT', /received -5n/],
    [{ shape: ['2', 256n] }, 'INVALID_ARGUMENT', /received \["2", 256n\]/],
    [{ shape: [2, Symbol('x')] }, 'INVALID_ARGUMENT', /Symbol\(x\)/],
    [{ ...flow, sigmas: [1, '0.5'] }, 'INVALID_SCHEDULE', /received "0\.5"/],
    [{ scheduler: null }, 'INVALID_ARGUMENT', /"scheduler" .* received null/],
    [{ scheduler: [] }, 'INVALID_ARGUMENT', /"scheduler" .* received an array of length 0/],
    [{ scheduler: { _class_name: 5n } }, 'INVALID_ARGUMENT', /is for 5n/],
    [{ scheduler: { ...scheduler, beta_start: [5n] } }, 'INVALID_SCHEDULE', /received an array of length 1/],
    [{ policy: { name: 'sada', preset: Symbol('x') } }, 'INVALID_ARGUMENT', /"policy\.preset"/],
    [{ seed: Object.assign(new Array(2), { 0: 1 }) }, 'INVALID_ARGUMENT', /"seed" .* received undefined/],
    [{ shape: Object.assign(new Array(3), { 0: 2, 2: 256 }) }, 'INVALID_ARGUMENT', /"shape"/],
    [{ prediction: 'sample' }, 'UNKNOWN_NAME', /Unknown option "prediction"/],
    [{ stpes: 9 }, 'UNKNOWN_NAME', /Did you mean "steps"/],
    [{ latents: new Float32Array(512) }, 'INVALID_ARGUMENT', /exactly one/],
    [{ seed: undefined, latents: new Float32Array(0) }, 'INVALID_ARGUMENT', /length 512/],
    [{ seed: undefined, latents: new Float32Array(511) }, 'INVALID_ARGUMENT', /length 512/],
    [{ seed: undefined, latents: new Float32Array(512).fill(NaN, 7, 8) }, 'INVALID_ARGUMENT', /NaN at index 7/],
    [{ steps: 0 }, 'INVALID_ARGUMENT', /"steps"/],
    [{ steps: 1001 }, 'INVALID_ARGUMENT', /"steps"/],
    [{ steps: '20' }, 'INVALID_ARGUMENT', /"steps"/],
    [{ network: undefined }, 'INVALID_ARGUMENT', /"network"/],
    [{ layout: 'nchw' }, 'INVALID_ARGUMENT', /"layout"/],
    [{ layout: 'tokens' }, 'INVALID_ARGUMENT', /"shape"/],
    [{ layout: 'channels-first', shape: [2, 16, 16] }, 'INVALID_ARGUMENT', /"shape"/],
    [{ policy: 'sadda' }, 'UNKNOWN_NAME', /Did you mean "sada"/],
    [{ scheduler: '{"_class_name": "Euler' }, 'INVALID_SCHEDULE', /line 1/],
    [
      { scheduler: { _class_name: 'DPMSolverMultistepScheduler', algorithm_type: 'sde-dpmsolver' } },
      'INVALID_SCHEDULE',
      /"sde-dpmsolver", which is not supported/,
    ],
  ]
  for (const [change, code, message] of attempts) {
    const error = await rejection({ ...base, ...change })
    assert.match(error.message, message)
    assert.is(error.code, code, error.message)
    const planned = await sampleMemory({ ...base, ...change }).catch((e: unknown) => e as SadaError)
    assert.is((planned as SadaError).message, error.message, 'sampleMemory says the same')
  }
})

test('arrays of another realm are as good as any, and a proxy of one is named', async () => {
  const foreign = (values: Float32Array) => runInNewContext('Float32Array.from(values)', { values }) as Float32Array
  const latents = new TorchGenerator(1).randn(512)
  const own = { ...base, seed: undefined, latents }
  const there: NetworkFunction = async (input) => foreign(await network(input))
  const expected = (await sample(own)).latents
  assert.equal((await sample({ ...own, latents: foreign(latents), network: there })).latents, expected)
  const shared = (values: Float32Array) =>
    runInNewContext('{ const a = new Float32Array(new SharedArrayBuffer(4 * values.length)); a.set(values); a }', {
      values,
    }) as Float32Array
  assert.equal((await sample({ ...own, network: async (input) => shared(await network(input)) })).latents, expected)
  const proxy = new Proxy(latents, {})
  assert.is((await rejection({ ...own, latents: proxy })).argument, 'latents')
  assert.match((await rejection({ ...own, network: () => proxy })).message, /of length 512 at step 0, received a proxy\.$/)
})

test('listeners that a network leaves on its signal end with its run', async () => {
  const before: number[] = []
  const listening: NetworkFunction = (input) => {
    if (input.step === 0) before.push(getEventListeners(input.signal, 'abort').length)
    input.signal.addEventListener('abort', () => {})
    return network(input)
  }
  for (let k = 0; k < 3; k++) await sample({ ...base, steps: 2, network: listening })
  assert.equal(before, [0, 0, 0])
})

test('nothing is left behind, whether a run ends or fails', async () => {
  await sample(base)
  await rejection({
    ...base,
    network: () => {
      throw new Error('no')
    },
  })
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 5)
  await sample({ ...base, signal: controller.signal, network: () => new Promise<never>(() => {}) }).catch(() => {})
  const { workspaces, tensors, bytes, jobs } = loadAddon().counters()
  assert.equal([workspaces, tensors, bytes, jobs], [0, 0, 0, 0])
})

test('a diffusers file is taken as it is, and what it says beyond is warned of', async () => {
  const warnings: string[] = []
  const listen = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', listen)
  const text =
    '{"_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.42.1", "lambda_min_clipped": -Infinity, "flavour": "vanilla"}'
  await sample({ ...base, scheduler: text, steps: 2 })
  await new Promise(setImmediate)
  process.off('warning', listen)
  assert.is(warnings.length, 1)
  assert.match(warnings[0], 'flavour')
})

const flow = { scheduler: configs['flow-euler'], steps: undefined, network: mixtureNetwork('flow-euler') }

for (const [name, change] of [
  [
    'more steps than the schedule has timesteps',
    { scheduler: { ...scheduler, timestep_spacing: 'linspace', num_train_timesteps: 20 }, steps: 150 },
  ],
  ['levels that repeat', { ...flow, sigmas: [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1] }],
  [
    'levels that repeat, one skip',
    {
      ...flow,
      sigmas: [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1],
      policy: { name: 'sada', tolerance: 10, maxConsecutive: 1 },
    },
  ],
] as const) {
  test(`${name}: finite, with skips, and a trace that is fit for JSON`, async () => {
    const { latents, trace } = await sample({ ...base, ...change })
    assert.ok(latents.every(Number.isFinite))
    assert.ok(trace.members[0].nfe < trace.steps)
    assert.equal(JSON.parse(JSON.stringify(trace)), trace)
  })
}

test('every-n keeps to its schedule where computed steps lie at one level', async () => {
  const sigmas = [1, 0.9, 0.8, 0.7, 0.6, ...Array<number>(9).fill(0.5), 0.4, 0.3, 0.2, 0.1]
  for (const order of [1, 2, 3]) {
    const { trace } = await sample({ ...base, ...flow, sigmas, policy: { name: 'every-n', n: 3, warmup: 3, order } })
    for (const { steps } of trace.members)
      steps.forEach(({ action }, i) => assert.is(action === 'run', i < 3 || i >= 16 || i % 3 === 0, `order ${order}, step ${i}`))
  }
})

test.run()
