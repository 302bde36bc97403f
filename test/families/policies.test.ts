import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type Pipeline } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { expectQuoted } from '../support/counted-memory.ts'
import { familyFolder } from '../support/families.ts'

// Acceleration on every family: the same policies on the same loop, whatever the network is.

const prompts = ['a photo of the cat', 'the dog on the road', 'an old house at night']
const edges = { width: 32, height: 32, data: Uint8Array.from({ length: 32 * 32 }, (_, k) => (k % 7 === 0 ? 255 : 0)) }

const CALLS: Record<string, Partial<GenerateOptions>> = {
  sd2: { width: 32, height: 32, guidanceScale: 5 },
  sdxl: { width: 32, height: 32, guidanceScale: 5 },
  'sd2-controlnet': { width: 32, height: 32, guidanceScale: 5, control: { image: edges, strength: 0.8 } },
  sd3: { width: 32, height: 32, maxSequenceLength: 16, guidanceScale: 5 },
  pixart: { width: 32, height: 32, maxSequenceLength: 16, guidanceScale: 5 },
  flux: { width: 32, height: 32, maxSequenceLength: 16 },
  musicldm: { seconds: 0.03, guidanceScale: 2 },
}
const SKIPPING = { name: 'every-n', n: 3, order: 1, warmup: 2, tail: 1 }
// Random networks turn their output over from step to step: at the tolerance of trained ones nothing would be skipped.
const SADA = { name: 'sada', tolerance: 0.5 }

test('a ControlNet is led by one picture, or by one for each that is made, as alone', async () => {
  const pipeline = await load(familyFolder('sd2-controlnet'), { threads: 1 })
  const images = [edges, { ...edges, data: edges.data.map((value) => 255 - value) }]
  const call = (prompt: string[], image: (typeof edges)[] | typeof edges, seed: number[]) =>
    pipeline.generate({ ...CALLS['sd2-controlnet'], prompt, seed, steps: 4, control: { image, strength: 0.8 } })
  const both = await call(prompts.slice(0, 2), images, [1, 2])
  const alone = await Promise.all([0, 1].map((k) => call([prompts[k]], images[k], [1 + k])))
  const length = both.latents.length / 2
  for (const k of [0, 1]) assert.equal(both.latents.subarray(k * length, (k + 1) * length), alone[k].latents)
  const same = await call(prompts.slice(0, 2), edges, [1, 2])
  assert.equal(same.latents.subarray(0, length), alone[0].latents)
  assert.not.equal(same.latents.subarray(length), alone[1].latents)
  await pipeline.dispose()
})

test('a ControlNet of members that do not follow each other: each is what it is alone, and nothing is allocated that was not quoted', async () => {
  const pipeline = await load(familyFolder('sd2-controlnet'), { threads: 1 })
  const call = { ...CALLS['sd2-controlnet'], steps: 20, policy: { ...SADA, tolerance: 0.3 } }
  const seed = [4, 5, 6]
  const { result } = await expectQuoted(pipeline, { ...call, prompt: prompts, seed })
  const [first, second, third] = result.trace.members.map(({ steps }) => steps.map(({ action }) => action === 'run'))
  assert.ok(first.some((runs, step) => runs && !second[step] && third[step]))
  const alone = await Promise.all(prompts.map((prompt, b) => pipeline.generate({ ...call, prompt, seed: seed[b] })))
  assert.equal(result.latents, Float32Array.from(alone.flatMap(({ latents }) => [...latents])))
  await pipeline.dispose()
})

test('a run that ends early is the beginning of the whole one, also where a ControlNet leads a part of it', async () => {
  const pipeline = await load(familyFolder('sdxl-controlnet'), { threads: 1 })
  const call = {
    ...CALLS.sdxl,
    prompt: prompts[0],
    steps: 8,
    policy: 'none',
    control: { image: edges, start: 0.1, end: 0.4 },
  } as const
  let half: Float32Array | undefined
  await pipeline.generate({ ...call, onStep: ({ step, state }) => (step === 3 ? (half = state()) : undefined) })
  const { latents, trace } = await pipeline.generate({ ...call, denoisingEnd: 0.5 })
  assert.is(trace.steps, 4)
  assert.equal(latents, half)
  assert.not.equal((await pipeline.generate({ ...call, denoisingEnd: 0.5, control: undefined })).latents, half)
  await pipeline.dispose()
})

for (const [family, given] of Object.entries(CALLS)) {
  let pipeline: Pipeline
  const generate = async (options: Partial<GenerateOptions>) => {
    pipeline ??= await load(familyFolder(family), { threads: 1 })
    return pipeline.generate({ ...given, prompt: prompts[0], seed: 1, steps: 12, ...options })
  }

  test(`${family}: sada skips, members decide for themselves, and a member of a batch is what it is alone`, async () => {
    const options = { steps: 20, policy: SADA }
    const batch = await generate({ ...options, prompt: prompts, seed: [1, 2, 3] })
    const runs = batch.trace.members.map(({ nfe }) => nfe)
    assert.ok(Math.min(...runs) < 20, `network runs ${runs.join(', ')}`)
    const length = batch.latents.length / 3
    for (const [b, prompt] of prompts.entries()) {
      const alone = await generate({ ...options, prompt, seed: 1 + b })
      const part = batch.latents.subarray(b * length, (b + 1) * length)
      const actions = (k: typeof alone, m: number) => k.trace.members[m].steps.map(({ action }) => action).join()
      assert.is(actions(batch, b), actions(alone, 0))
      assert.equal(part, alone.latents)
    }
  })

  test(`${family}: calls in between, concurrent ones and aborted ones change nothing`, async () => {
    const first = await generate({ policy: SKIPPING })
    assert.is(first.trace.members[0].nfe < 12, true)
    await generate({ policy: 'none', prompt: prompts[1], seed: 9 })
    const controller = new AbortController()
    const reason = new Error('enough')
    const aborted = generate({
      policy: SKIPPING,
      prompt: prompts[2],
      signal: controller.signal,
      onStep: ({ step }) => step === 3 && controller.abort(reason),
    })
    assert.is(await aborted.catch((error: unknown) => error), reason)
    const again = await Promise.all([
      generate({ policy: SKIPPING }),
      generate({ policy: SADA, seed: 4 }),
      generate({ policy: SKIPPING }),
    ])
    assert.equal(again[0].latents, first.latents)
    assert.equal(again[2].latents, first.latents)
    assert.equal(again[0].images[0]?.data, first.images[0]?.data)
    assert.equal(again[0].audio[0]?.samples, first.audio[0]?.samples)
  })

  test(`${family}: a policy that filters the sample as a map knows how it lies`, async () => {
    const { trace } = await generate({ policy: { name: 'seacache', threshold: 100 } })
    // Nothing but the caps makes it run: the first and last step, and after two skips.
    assert.is(trace.members[0].steps.map(({ action }) => (action === 'run' ? 'R' : '-')).join(''), 'R--R--R--R-R')
  })

  test(`${family}: stages are left out where a policy reuses features; without stages that is refused`, async () => {
    const policy = { name: 'deepcache', interval: 2 }
    const { trace, latents } = await generate({ policy })
    const partial = trace.members[0].steps.filter(({ action }) => action === 'partial')
    assert.ok(partial.length >= 4, `${partial.length} partial passes`)
    assert.ok(latents.every(Number.isFinite))
    const whole = await load(familyFolder(family), { threads: 1, stages: false })
    const error: any = await whole.generate({ ...given, prompt: prompts[0], steps: 4, policy }).catch((e: unknown) => e)
    await whole.dispose()
    assert.is(error.code, 'UNSUPPORTED', error.message)
  })

  test(`${family}: what is quoted is what is allocated`, async () => {
    for (const options of [{ policy: SADA, prompt: prompts, seed: [1, 2, 3] }, { policy: { name: 'deepcache', interval: 2 } }])
      await expectQuoted(pipeline, { ...given, prompt: prompts[0], seed: 1, steps: 8, ...options })
  })

  test(`${family}: nothing is left behind`, async () => {
    await pipeline.dispose()
    const { workspaces, tensors, jobs, sessions } = loadAddon().counters()
    assert.equal([workspaces, tensors, jobs, sessions], [0, 0, 0, 0])
  })
}

test.run()
