import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type GenerateResult } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { during } from '../support/environment.ts'
import { filledCache } from '../support/filled-cache.ts'
import { hasTensorRtDouble, tensorRtDouble } from '../support/tensorrt-double.ts'

/** Pictures whose decisions the (emulated) GPU makes, with the network on TensorRT's double, against the CPU: bits, decisions, measurements. */

const onTensorRt = { device: 'cuda', engine: 'tensorrt' } as const
// Loose enough for a model of this size to skip steps in so few.
const policy = { name: 'sada', prune: false, tolerance: 0.05 }
const options = { prompt: 'a teal robot with round eyes', seed: 1, steps: 12, policy }

const stepsOf = ({ trace }: GenerateResult) =>
  trace.members.map(({ nfe, steps }) => [nfe, ...steps.map(({ action, criterion, error }) => [action, criterion, error])])

async function generate(settings: object, given: GenerateOptions): Promise<GenerateResult> {
  const pipeline = await load('avatar', settings)
  try {
    return await pipeline.generate(given)
  } finally {
    await pipeline.dispose()
  }
}

if (!hasTensorRtDouble()) {
  test.skip('decisions on the device', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu
  process.env.SADA_TENSORRT_PATH = tensorRtDouble
  test.before(async () => {
    await filledCache()
  })

  const cases: Partial<GenerateOptions>[] = [
    { scheduler: 'flow-euler' },
    { scheduler: 'dpm++' },
    { scheduler: 'euler', guidanceScale: 1 },
    { scheduler: 'dpm++', guidanceScale: 7, policy: { ...policy, tolerance: 10, tail: 1 } },
    { scheduler: 'flow-euler', policy: { ...policy, tolerance: 1, maxConsecutive: 9, tail: 1 } },
  ]
  for (const each of cases) {
    test(`${JSON.stringify(each)}: the bits, decisions and measurements of the CPU`, async () => {
      const cpu = await generate({}, { ...options, ...each })
      const gpu = await generate(onTensorRt, { ...options, ...each })
      assert.equal(gpu.latents, cpu.latents)
      assert.equal(stepsOf(gpu), stepsOf(cpu))
      assert.is(cpu.trace.decidedOn, undefined)
      assert.is(gpu.trace.decidedOn, 'device')
      assert.equal(gpu.trace.graphs, { captured: 1, launched: 0 }, 'one graph for all steps')
      assert.ok(gpu.trace.members[0].nfe < gpu.trace.steps, 'some steps are skipped')
    })
  }

  test('who looks at every step sees what the CPU shows', async () => {
    const seen: unknown[][] = []
    for (const settings of [{}, onTensorRt]) {
      const events: unknown[] = []
      await generate(settings, {
        ...options,
        onStep: ({ step, members, state, denoised }) =>
          events.push([step, members.map(({ action, error }) => [action, error]), state(), denoised()]),
      })
      seen.push(events)
    }
    assert.is(seen[0].length, 12)
    assert.equal(seen[1], seen[0])
  })

  test('runs of other sizes in between do not keep one from being recorded', async () => {
    const cpu = await Promise.all([1, 7].map((guidanceScale) => generate({}, { ...options, guidanceScale })))
    const pipeline = await load('avatar', onTensorRt)
    // With guidance a pass has two rows. Who looks at every step waits for each, and the engine's thread makes those of both in turn.
    const onStep = (): void => {}
    const results = await Promise.all([1, 7].map((guidanceScale) => pipeline.generate({ ...options, guidanceScale, onStep })))
    await pipeline.dispose()
    for (const [k, { latents, trace }] of results.entries()) {
      assert.equal(latents, cpu[k].latents)
      assert.is(trace.decidedOn, 'device')
      assert.equal([trace.graphs, trace.warnings], [{ captured: 1, launched: 0 }, undefined])
    }
  })

  for (const call of ['conditionalHandle', 'beginCapture', 'instantiate', 'launchGraph']) {
    test(`where ${call} fails each step is asked for its decision: the same bits, and the trace says why`, async () => {
      const cpu = await generate({}, options)
      const gpu = await during({ SADA_EMULATED_FAIL: call }, () => generate(onTensorRt, options))
      assert.equal(gpu.latents, cpu.latents)
      assert.equal(stepsOf(gpu), stepsOf(cpu))
      assert.is(gpu.trace.decidedOn, 'device')
      assert.is(gpu.trace.warnings?.length, 1)
      assert.match(gpu.trace.warnings![0], /(Recording a step as|Launching) a CUDA graph failed/)
    })
  }

  test('runs that want a look at every step, several members and pruning are the loop’s', async () => {
    for (const each of [
      { audit: 1 },
      { record: true },
      { prompt: ['a', 'b'], seed: [1, 2] },
      { policy: 'sada' },
      { policy: { name: 'sada', preset: 'poster' } },
    ] as const) {
      const { trace } = await generate(onTensorRt, { ...options, steps: 5, ...each })
      assert.is(trace.decidedOn, undefined, JSON.stringify(each))
    }
  })

  test('an abort, a lost GPU and a failing engine end that run alone; nothing is left', async () => {
    const before = loadAddon().counters()
    const pipeline = await load('avatar', onTensorRt)
    const whole = await pipeline.generate(options)
    const failure = (given: Partial<GenerateOptions> = {}): Promise<{ code?: string; message: string }> =>
      pipeline.generate({ ...options, ...given }).then(
        () => assert.unreachable() as never,
        (error: Error) => error,
      )
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error('enough')), 20)
    assert.is((await failure({ signal: stop.signal, steps: 200 })).message, 'enough')
    const looking = new AbortController()
    const onStep = ({ step }: { step: number }): void => {
      if (step === 3) looking.abort(new Error('seen enough'))
    }
    assert.is((await failure({ signal: looking.signal, onStep })).message, 'seen enough')
    const engine = await during({ SADA_DOUBLE_FAIL: 'enqueue:2' }, () => failure())
    assert.is(engine.code, 'NETWORK_FAILED')
    assert.equal((await pipeline.generate(options)).latents, whole.latents)
    assert.is((await during({ SADA_EMULATED_LOST_AFTER: '40' }, () => failure())).code, 'DEVICE_LOST')
    await pipeline.dispose()
    assert.equal(loadAddon().counters(), before)
  })
}

test.run()
