import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, SadaError, type GenerateOptions, type Pipeline } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { floats } from '../support/mixture.ts'

interface Trajectory {
  prompt: string
  seed: number
  steps: number
  guidance_scale: number
  schedulers: Record<string, { latents: string }>
}
const trajectory = JSON.parse(readFileSync(join(__dirname, '../fixtures/model/trajectory.json'), 'utf8')) as Trajectory

let pipeline: Pipeline
test.before(async () => {
  pipeline = await load('avatar')
})
test.after(() => pipeline.dispose())

async function rejection(promise: Promise<unknown>): Promise<SadaError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.instance(error, SadaError)
  return error as SadaError
}

const robot: GenerateOptions = { prompt: 'a teal robot with round eyes', seed: 7, steps: 6 }

for (const scheduler of Object.keys(trajectory.schedulers)) {
  test(`${scheduler}: a whole run is what PyTorch and diffusers give`, async () => {
    const { prompt, seed, steps, guidance_scale: guidanceScale } = trajectory
    const { latents } = await pipeline.generate({ prompt, seed, steps, guidanceScale, scheduler, policy: 'none' })
    const expected = floats(trajectory.schedulers[scheduler].latents)
    const worst = latents.reduce((most, value, k) => Math.max(most, Math.abs(value - expected[k])), 0)
    // Twelve steps of float32 rounding in two engines; pictures span −1 … 1.
    assert.ok(worst <= 5e-5, `differs by ${worst}`)
  })
}

test('pictures are 8-bit RGB and become PNG files', async () => {
  const { images, latents } = await pipeline.generate(robot)
  const [picture] = images
  assert.equal([picture.width, picture.height, picture.data.length], [64, 64, 64 * 64 * 3])
  picture.data.forEach((value, k) => {
    const sample = latents[(k % 3) * 4096 + Math.floor(k / 3)]
    assert.is(value, Math.min(255, Math.max(0, Math.round((sample + 1) * 127.5))))
  })
  const { decode } = await import('fast-png')
  const decoded = decode(await picture.png({ prompt: 'a robot' }))
  assert.equal([...decoded.data], [...picture.data])
  assert.is(decoded.text?.prompt, 'a robot')
})

for (const policy of ['none', 'sada', { name: 'sada', preset: 'poster' }, 'every-n'] as const) {
  test(`${JSON.stringify(policy)}: the same call gives the same bytes, also among concurrent ones`, async () => {
    const calls: GenerateOptions[] = [['a kid', 'a lime robot'], ['a kid'], ['a lime robot']].map((prompt, seed) => ({
      prompt,
      seed,
      steps: 10,
      policy,
      scheduler: 'dpm++',
    }))
    const serial: Float32Array[] = []
    for (const call of calls) serial.push((await pipeline.generate(call)).latents)
    const concurrent = await Promise.all(calls.map((call) => pipeline.generate(call)))
    concurrent.forEach(({ latents }, k) => assert.equal(latents, serial[k]))
  })
}

test('a member of a batch is, bit for bit, what it is alone', async () => {
  const prompts = ['a teal robot', 'a kid with ginger bun hair', 'a smiling toon person']
  const options = { steps: 20, policy: { name: 'sada', tolerance: 6e-3 } }
  const batch = await pipeline.generate({ ...options, prompt: prompts, seed: [5, 6, 7] })
  for (const [b, prompt] of prompts.entries()) {
    const alone = await pipeline.generate({ ...options, prompt, seed: 5 + b })
    assert.equal(batch.latents.slice(b * 12288, (b + 1) * 12288), alone.latents)
    assert.is(batch.trace.members[b].nfe, alone.trace.members[0].nfe)
  }
})

test('a pruned pass that keeps all tokens is the full pass, bit for bit; one that keeps fewer says how many', async () => {
  // Every step after the third is unstable by decree: nothing may be skipped, everything may be pruned.
  const pruned = { name: 'sada', preset: 'poster', warmup: 3, maxConsecutive: 0, lagrangeNodes: 0, tail: 0 }
  const full = await pipeline.generate({ ...robot, policy: 'none' })
  const all = await pipeline.generate({ ...robot, policy: { ...pruned, fullAbove: 0 } })
  assert.equal(all.latents, full.latents)
})

test('where the criterion says unstable, passes are pruned to a bucket of tokens', async () => {
  const policy = { name: 'sada', unstable: 1000 }
  const prompt = ['a kid', 'a robot', 'a toon person', 'a lime robot']
  const { trace } = await pipeline.generate({ prompt, seed: 3, steps: 30, scheduler: 'euler', policy })
  const passes = trace.members.flatMap(({ steps }) => steps).filter(({ action }) => action === 'prune')
  assert.ok(passes.length > 0)
  for (const { step, keptTokens } of passes) {
    assert.ok([16, 32, 48].includes(keptTokens!), String(keptTokens))
    // Not within twice the warm-up, nor where a skip would be too much whatever the criterion says.
    assert.ok(step >= 8, String(step))
  }
  const strict = await pipeline.generate({
    prompt: prompt.slice(0, 2),
    seed: 3,
    steps: 30,
    scheduler: 'euler',
    policy: { ...policy, tolerance: 1e-6 },
  })
  for (const { steps } of strict.trace.members) assert.ok(steps.every(({ action }) => action === 'run'))
})

test('over 32 prompts decisions differ between prompts and between members of a batch', async () => {
  const { short } = JSON.parse(readFileSync(join(__dirname, '../../models/avatar/prompts.json'), 'utf8')) as { short: string[] }
  const patterns = new Set<string>()
  let differingBatches = 0
  for (let from = 0; from < 32; from += 8) {
    const { trace } = await pipeline.generate({
      prompt: short.slice(from, from + 8),
      seed: from,
      steps: 20,
      guidanceScale: 1,
      policy: { name: 'sada', tolerance: 6e-3 },
    })
    const members = trace.members.map(({ steps }) => steps.map(({ action }) => action).join())
    if (new Set(members).size > 1) differingBatches++
    for (const member of members) patterns.add(member)
  }
  assert.is(differingBatches, 4)
  assert.ok(patterns.size >= 8, `${patterns.size} patterns`)
})

test('stream yields every step and then the result; leaving it ends the run', async () => {
  const types: string[] = []
  for await (const event of pipeline.stream(robot)) types.push(event.type)
  assert.equal(types, [...Array<string>(6).fill('step'), 'result'])
  let made = 0
  const long = { ...robot, steps: 1000, onStep: () => made++ }
  for await (const event of pipeline.stream(long)) if (event.type === 'step' && event.step === 1) break
  assert.ok(made < 500, `${made} steps`)
  // The engine's thread may be within an operator, and holds the run's memory until it has left that.
  for (let waited = 0; loadAddon().counters().workspaces > 0 && waited < 5000; waited += 5)
    await new Promise((resolve) => setTimeout(resolve, 5))
  assert.is(loadAddon().counters().workspaces, 0)
})

test('stream reads its options when it is called, as generate does', async () => {
  const own = { ...robot, prompt: [robot.prompt as string], steps: 2 }
  const stream = pipeline.stream(own)
  own.prompt[0] = 'a person'
  own.steps = 5
  const events = []
  for await (const event of stream) events.push(event)
  const last = events.at(-1)!
  const { images } = await pipeline.generate({ ...robot, steps: 2 })
  assert.equal([events.length, last.type === 'result' && last.images[0].data], [3, images[0].data])
})

test('abort rejects with the reason; the next run with the same seed is what a fresh one gives', async () => {
  const before = await pipeline.generate(robot)
  const controller = new AbortController()
  const reason = new Error('enough')
  const run = pipeline.generate({
    ...robot,
    steps: 1000,
    signal: controller.signal,
    onStep: ({ step }) => step === 2 && controller.abort(reason),
  })
  assert.is(await run.catch((e: unknown) => e), reason)
  assert.is(await pipeline.generate({ ...robot, signal: AbortSignal.abort(reason) }).catch((e: unknown) => e), reason)
  assert.equal((await pipeline.generate(robot)).latents, before.latents)
})

test('bad input is an error that names it, and loses nothing', async () => {
  const before = await pipeline.generate(robot)
  const attempts: [Partial<Record<keyof GenerateOptions, unknown>>, string, RegExp][] = [
    [{ prompt: 7 }, 'INVALID_ARGUMENT', /"prompt"/],
    [{ prompt: [] }, 'INVALID_ARGUMENT', /"prompt"/],
    [{ prompt: 'a, '.repeat(41) }, 'PROMPT_TOO_LONG', /82 words .* reads 40/],
    [{ steps: 0 }, 'INVALID_ARGUMENT', /"steps" .* 1 to 1000, received 0/],
    [{ steps: 1001 }, 'INVALID_ARGUMENT', /"steps"/],
    [{ steps: 2.5 }, 'INVALID_ARGUMENT', /"steps"/],
    [{ guidanceScale: -1 }, 'INVALID_ARGUMENT', /"guidanceScale"/],
    [{ guidanceScale: NaN }, 'INVALID_ARGUMENT', /"guidanceScale"/],
    [{ seed: -1 }, 'INVALID_ARGUMENT', /seed/],
    [{ seed: 2n ** 64n }, 'INVALID_ARGUMENT', /seed/],
    [{ seed: [] }, 'INVALID_ARGUMENT', /"seed"/],
    [{ prompt: ['a kid'], seed: [1, 2] }, 'INVALID_ARGUMENT', /"seed"/],
    [{ scheduler: 'eular' }, 'UNKNOWN_NAME', /Did you mean "euler"/],
    [{ policy: 'sadda' }, 'UNKNOWN_NAME', /Did you mean "sada"/],
    [{ policy: { name: 'sada', tolerence: 1 } }, 'UNKNOWN_NAME', /Did you mean "tolerance"/],
    [{ scheduler: { _class_name: 'DDIMScheduler' } }, 'INVALID_ARGUMENT', /"DDIMScheduler".*"_class_name"/],
    [{ scheduler: '{"_class_name": "Euler' }, 'INVALID_SCHEDULE', /line 1/],
    [{ polcy: 'none' } as object, 'UNKNOWN_NAME', /Unknown option "polcy"\. Did you mean "policy"/],
    [{ guidance: 7 } as object, 'UNKNOWN_NAME', /Did you mean "guidanceScale"/],
    [{ width: 64 }, 'INVALID_ARGUMENT', /"width" .*does not take it/],
  ]
  for (const [change, code, message] of attempts) {
    const error = await rejection(pipeline.generate({ ...robot, ...change } as GenerateOptions))
    assert.is(
      error.code,
      code,
      JSON.stringify(change, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)),
    )
    assert.match(error.message, message)
  }
  assert.equal((await pipeline.generate(robot)).latents, before.latents)
})

test('words the model does not know are named', async () => {
  const { unknownWords } = await pipeline.generate({ ...robot, steps: 1, prompt: 'an orange robot with wings, wings and fur' })
  assert.equal(unknownWords, ['wings', 'and', 'fur'])
  const strange = await pipeline.generate({ ...robot, steps: 1, prompt: 'a Émile robot, 日本 🤖 2 robot’s' })
  assert.equal(strange.unknownWords, ['s', 'émile', '日本', '🤖', '2'])
})

test('dispose ends runs in progress with DISPOSED, twice is once, and nothing is left behind', async () => {
  const own = await load('avatar', { threads: 1 })
  const baseline = loadAddon().counters()
  const runs = [own.generate({ ...robot, steps: 1000 }), own.generate({ ...robot, steps: 1000 })]
  await new Promise((resolve) => setTimeout(resolve, 50))
  const codes = Promise.all(runs.map(async (run) => (await rejection(run)).code))
  await Promise.all([own.dispose(), own.dispose()])
  assert.equal(await codes, ['DISPOSED', 'DISPOSED'])
  assert.is((await rejection(own.generate(robot))).code, 'DISPOSED')
  const after = loadAddon().counters()
  assert.is(after.engines, baseline.engines - 1)
  assert.is(after.sessions, baseline.sessions - 6)
  assert.equal([after.workspaces, after.tensors, after.jobs], [0, 0, 0])
})

test('what onStep throws, also later, ends the run with it, with a preview and in a stream too', async () => {
  const mine = new Error('mine')
  const onStep = async (): Promise<void> => {
    await new Promise(setImmediate)
    throw mine
  }
  const stream = async (): Promise<void> => {
    for await (const event of pipeline.stream({ ...robot, onStep })) assert.not.equal(event.type, 'result')
  }
  for (const run of [pipeline.generate({ ...robot, onStep }), pipeline.generate({ ...robot, preview: 2, onStep }), stream()])
    assert.is(await run.catch((e: unknown) => e), mine)
})

test('abort rejects at once, also while onStep waits for something', async () => {
  const reason = new Error('enough')
  for (const preview of [undefined, 1]) {
    const controller = new AbortController()
    const onStep = (): Promise<never> => (setTimeout(() => controller.abort(reason), 5), new Promise<never>(() => {}))
    const run = pipeline.generate({ ...robot, preview, signal: controller.signal, onStep })
    assert.is(await run.catch((e: unknown) => e), reason)
  }
})

test('denoised() and state() are refused once the callback is over, also where it threw', async () => {
  let late: (() => unknown) | undefined
  const onStep: GenerateOptions['onStep'] = ({ denoised }) => {
    late = denoised
    throw new Error('mine')
  }
  await pipeline.generate({ ...robot, onStep }).catch(() => {})
  assert.throws(late!, (error: unknown) => (error as SadaError).code === 'INVALID_ARGUMENT')
  for await (const event of pipeline.stream({ ...robot, steps: 2 })) assert.not.ok('denoised' in event)
})

test("a model's defaults and schedulers can be passed on as they are, and a configuration as its text", async () => {
  const { defaults, schedulers } = pipeline
  assert.equal(schedulers, ['flow-euler', 'dpm++', 'euler', 'dpm++-sde', 'euler-ancestral'])
  const { trace } = await pipeline.generate({ ...defaults, prompt: robot.prompt, steps: 2 })
  assert.equal([trace.scheduler, trace.guidance], [defaults.scheduler, defaults.guidanceScale])
  const warnings: string[] = []
  const listen = ({ message }: Error): number => warnings.push(message)
  process.on('warning', listen)
  const text = '{"_class_name": "EulerDiscreteScheduler", "lambda_min_clipped": -Infinity, "use_karras_sigma": true}'
  assert.is((await pipeline.generate({ ...robot, scheduler: text })).trace.scheduler, 'euler')
  await new Promise(setImmediate)
  process.off('warning', listen)
  assert.match(warnings.join(), /^scheduler_config.json: the field "use_karras_sigma" .* Did you mean "use_karras_sigmas"\?$/)
})

test.run()
