import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { load, type GenerateOptions, type Pipeline } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { during } from '../support/environment.ts'

/** Whole pictures with tensors, steps and token moves on a GPU (emulated), and the network beside it, against the CPU backend. */

const prompt = ['a teal robot with round eyes', 'a kid']
const options = { prompt, seed: [1, 2], steps: 10 }

async function onBoth<T>(work: (pipeline: Pipeline) => Promise<T>): Promise<[cpu: T, gpu: T]> {
  const results: T[] = []
  for (const device of ['cpu', 'cuda'] as const) {
    const pipeline = await load('avatar', { device })
    try {
      results.push(await work(pipeline))
    } finally {
      await pipeline.dispose()
    }
  }
  return results as [T, T]
}

if (!hasEmulatedGpu()) {
  test.skip('pictures on an emulated GPU', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu

  test('the library says what it is, and which GPUs it has', async () => {
    const report = await loadAddon().gpus(emulatedGpu)
    assert.is(report.reason, undefined)
    assert.ok(report.gpus.length >= 1)
    assert.match(report.gpus[0].computeCapability, /^\d+\.\d$/)
    assert.ok(report.gpus[0].freeBytes <= report.gpus[0].totalBytes)
  })

  test('of several GPUs all are looked at, or the one that is asked for alone', async () => {
    await during({ SADA_EMULATED_DEVICES: '3' }, async () => {
      const indices = async (index?: number) => (await loadAddon().gpus(emulatedGpu, index)).gpus.map((each) => each.index)
      assert.equal([await indices(), await indices(1)], [[0, 1, 2], [1]])
      const missing = await loadAddon().gpus(emulatedGpu, 3)
      assert.equal([missing.gpus, missing.reason], [[], 'there is no GPU 3; found 3'])
    })
  })

  const cases: Partial<GenerateOptions>[] = [
    { policy: 'none' },
    { policy: 'sada' },
    { policy: 'sada', guidanceScale: 1 },
    // Pruned passes: scores per token, gathers and scatters.
    { policy: { name: 'sada', unstable: 1000, tolerance: 1e-4 } },
    { policy: { name: 'sada', preset: 'poster' } },
    // Partial passes: features compared and predicted on the device.
    { policy: 'first-block-cache' },
    { policy: 'deepcache' },
  ]
  for (const scheduler of ['flow-euler', 'dpm++', 'euler', 'euler-ancestral']) {
    // Every policy under one solver, the others in their defaults: an emulated kernel takes a thousand times as long as a real one.
    for (const each of scheduler === 'dpm++' ? cases : [{}]) {
      test(`${scheduler}, ${JSON.stringify(each)}: the same bits and decisions as on the CPU`, async () => {
        const [cpu, gpu] = await onBoth((pipeline) => pipeline.generate({ ...options, scheduler, ...each }))
        assert.equal(gpu.latents, cpu.latents)
        for (const [b, { steps }] of gpu.trace.members.entries()) {
          const numbers = ({ action, criterion, error, keptTokens }: (typeof steps)[number]) => [
            action,
            criterion,
            error,
            keptTokens,
          ]
          assert.equal(steps.map(numbers), cpu.trace.members[b].steps.map(numbers))
        }
      })
    }
  }

  test('concurrent runs on one GPU do not meet', async () => {
    const pipeline = await load('avatar', { device: 'cuda' })
    const alone = await pipeline.generate(options)
    const others = await Promise.all([1, 2, 3].map((seed) => pipeline.generate({ ...options, seed })))
    const again = await Promise.all([pipeline.generate(options), pipeline.generate({ ...options, seed: 9 })])
    assert.equal(again[0].latents, alone.latents)
    assert.not.equal(others[0].latents, others[1].latents)
    await pipeline.dispose()
  })

  test('nothing is left on the GPU: after runs, aborts and failures', async () => {
    const before = loadAddon().counters()
    const pipeline = await load('avatar', { device: 'cuda' })
    await pipeline.generate(options)
    const stop = new AbortController()
    await pipeline
      .generate({ ...options, signal: stop.signal, onStep: ({ step }) => step === 3 && stop.abort(new Error('enough')) })
      .then(
        () => assert.unreachable() as never,
        (error: Error) => assert.is(error.message, 'enough'),
      )
    await pipeline.dispose()
    const after = loadAddon().counters()
    assert.is(after.workspaces, before.workspaces)
    assert.is(after.bytes, before.bytes)
  })

  test('a workspace on a GPU takes no memory of the caller, and says so', () => {
    const workspace = new (loadAddon().Workspace)({ library: emulatedGpu, index: 0 })
    assert.is(workspace.inlineElements, 0)
    const slice = { tensor: new Float32Array(4), offset: 0 }
    try {
      void workspace.step(4, [{ inputs: [slice], rows: [{ inputs: [0], weights: [1] }], sums: [] }])
      assert.unreachable()
    } catch (error) {
      assert.is((error as SadaError).code, 'INVALID_ARGUMENT')
    }
    workspace.dispose()
  })

  test('a GPU that is not there is an error with the reason', async () => {
    const refusal = (device: string): Promise<SadaError> =>
      load('avatar', { device: device as 'cuda' }).then(
        () => assert.unreachable() as never,
        (error: SadaError) => error,
      )
    assert.is((await refusal('cuda:99')).code, 'BACKEND_UNAVAILABLE')
    assert.match((await refusal('cuda:99')).message, '99')
    for (const bad of ['gpu', 'cuda:', 'cuda:-1', '']) assert.is((await refusal(bad)).code, 'INVALID_ARGUMENT')
    try {
      new (loadAddon().Workspace)({ library: emulatedGpu, index: 99 })
      assert.unreachable()
    } catch (error) {
      assert.ok(['BACKEND_UNAVAILABLE', 'INTERNAL'].includes((error as SadaError).code), (error as SadaError).code)
    }
  })

  test('a library that is none, or another version, is refused with the loader’s words', async () => {
    const refusal = await loadAddon()
      .gpus('/nonexistent/libsada_cuda.so')
      .then(
        () => assert.unreachable() as never,
        (error: SadaError) => error,
      )
    assert.is(refusal.code, 'BACKEND_UNAVAILABLE')
    const other = await loadAddon()
      .gpus(join(__dirname, '../../prebuilt', `${process.platform}-${process.arch}`, 'sada.node'))
      .then(
        () => assert.unreachable() as never,
        (error: SadaError) => error,
      )
    assert.match(other.message, 'not the GPU library')
  })

  test('a tensor larger than the GPU is OUT_OF_MEMORY; the next run works', async () => {
    const workspace = new (loadAddon().Workspace)({ library: emulatedGpu, index: 0 })
    try {
      for (let k = 0; k < 64; k++) workspace.allocate(2 ** 38)
      assert.unreachable()
    } catch (error) {
      assert.is((error as SadaError).code, 'OUT_OF_MEMORY')
    }
    workspace.dispose()
    const pipeline = await load('avatar', { device: 'cuda' })
    assert.is((await pipeline.generate({ ...options, steps: 2 })).images.length, 2)
    await pipeline.dispose()
  })
}

test.run()
