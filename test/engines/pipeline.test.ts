import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { during } from '../support/environment.ts'
import { filledCache, newCache } from '../support/filled-cache.ts'
import { hasTensorRtDouble, tensorRtDouble } from '../support/tensorrt-double.ts'
import { failure } from '../support/failure.ts'

/** Whole pictures with the network on TensorRT (its double) and everything else on a GPU (emulated), against the CPU. */

const onTensorRt = { device: 'cuda', engine: 'tensorrt' } as const
const options = { prompt: ['a teal robot with round eyes', 'a kid'], seed: [1, 2], steps: 10 }
if (!hasTensorRtDouble()) {
  test.skip('pictures on TensorRT’s double', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu
  process.env.SADA_TENSORRT_PATH = tensorRtDouble

  const cases: Partial<GenerateOptions>[] = [
    { policy: 'none', guidanceScale: 1 },
    { policy: 'sada', scheduler: 'flow-euler' },
    // Pruned passes: every bucket of tokens.
    { policy: { name: 'sada', unstable: 1000, tolerance: 1e-4 }, scheduler: 'dpm++' },
    // Partial passes: stages left out.
    { policy: 'first-block-cache', scheduler: 'dpm++' },
  ]
  for (const each of cases) {
    test(`${JSON.stringify(each)}: the bits and decisions of the CPU`, async () => {
      await filledCache()
      const results = []
      for (const settings of [{}, onTensorRt]) {
        const pipeline = await load('avatar', settings)
        results.push(await pipeline.generate({ ...options, ...each }))
        await pipeline.dispose()
      }
      const [cpu, gpu] = results
      assert.equal(gpu.latents, cpu.latents)
      const actions = ({ trace }: typeof cpu) =>
        trace.members.map(({ steps }) => steps.map(({ action, keptTokens }) => [action, keptTokens]))
      assert.equal(actions(gpu), actions(cpu))
      assert.is(cpu.trace.graphs, undefined)
      assert.ok(gpu.trace.graphs!.launched > 0, JSON.stringify(gpu.trace.graphs))
    })
  }

  test('passes that cannot be recorded are enqueued, with the same bits; the trace says so once', async () => {
    await filledCache()
    const cpu = await load('avatar')
    const expected = await cpu.generate({ ...options, policy: 'none' })
    await cpu.dispose()
    const pipeline = await load('avatar', onTensorRt)
    const { latents, trace } = await during({ SADA_EMULATED_FAIL: 'instantiate' }, () =>
      pipeline.generate({ ...options, policy: 'none' }),
    )
    await pipeline.dispose()
    assert.equal(latents, expected.latents)
    assert.is(trace.graphs, undefined)
    assert.is(trace.warnings?.length, 1)
    assert.match(
      trace.warnings![0],
      /^The network's passes were enqueued command by command: Recording a CUDA graph failed: out of memory/,
    )
  })

  test('an engine that is not kept is built; the double says that it builds nothing', async () => {
    const { sources, cache } = await filledCache()
    await cache.forget(sources[2].description)
    const error = await failure(load('avatar', onTensorRt))
    assert.is(error.code, 'BACKEND_UNAVAILABLE')
    assert.match(error.message, 'the double builds nothing')
    assert.is(error.stage, sources[2].description.stage)
  })

  test('a kept engine that the library refuses is deleted and built again', async () => {
    const { sources, cache } = await newCache()
    const { description } = sources[0]
    await cache.obtain(description, () => Promise.resolve(Buffer.from('of another driver')))
    assert.match((await failure(load('avatar', onTensorRt))).message, 'the double builds nothing')
    assert.is(await cache.read(description), undefined)
  })

  test('TensorRT without a GPU, and engines that are none, are refused with what to ask for', async () => {
    const error = await failure(load('avatar', { engine: 'tensorrt' }))
    assert.is(error.code, 'BACKEND_UNAVAILABLE')
    assert.match(error.message, '"device"')
    assert.is((await failure(load('avatar', { engine: 'tensor' as 'tensorrt' }))).code, 'INVALID_ARGUMENT')
  })

  test('a failure in the middle of a run, and an abort, end that run alone; nothing is left', async () => {
    const before = loadAddon().counters()
    await filledCache()
    const pipeline = await load('avatar', onTensorRt)
    const whole = await pipeline.generate(options)
    process.env.SADA_DOUBLE_FAIL = 'enqueue:7' // of the second pass; from its end on there are graphs
    const error = await failure(pipeline.generate({ ...options, policy: 'none' }))
    Reflect.deleteProperty(process.env, 'SADA_DOUBLE_FAIL')
    assert.is(error.code, 'NETWORK_FAILED')
    assert.is(error.step, 1)
    const stop = new AbortController()
    const onStep = ({ step }: { step: number }): void => {
      if (step === 3) stop.abort(new Error('enough'))
    }
    assert.is((await failure(pipeline.generate({ ...options, signal: stop.signal, onStep }))).message, 'enough')
    assert.equal((await pipeline.generate(options)).latents, whole.latents)
    await pipeline.dispose()
    const after = loadAddon().counters()
    assert.equal(
      [after.workspaces, after.engines, after.sessions, after.bytes],
      [before.workspaces, before.engines, before.sessions, before.bytes],
    )
  })
}

test.run()
