import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, SadaError, type GenerateOptions, type GenerateStep, type Pipeline } from '../../ts/index.ts'
import { findGpu } from '../../ts/native/gpu.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { during } from '../support/environment.ts'

/** Faults that the emulated GPU is told to have; it reads the environment at each call. */

const options = { prompt: 'a teal robot with round eyes', seed: 5, steps: 6, policy: 'none' } as const
const failure = (pipeline: Pipeline, more: Partial<GenerateOptions> = {}): Promise<SadaError> =>
  pipeline.generate({ ...options, ...more }).then(
    () => assert.unreachable() as never,
    (error: SadaError) => error,
  )

if (!hasEmulatedGpu()) {
  test.skip('faults of an emulated GPU', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu

  test('a lost device is an error at every launch where it can happen; the pipeline then refuses, the process goes on', async () => {
    const healthy = await load('avatar', { device: 'cuda' })
    const expected = (await healthy.generate(options)).latents
    await healthy.dispose()
    const before = loadAddon().counters()
    for (const launch of [1, 2, 5]) {
      const pipeline = await load('avatar', { device: 'cuda' })
      const error = await during({ SADA_EMULATED_LOST_AFTER: String(launch) }, () => failure(pipeline))
      assert.is(error.code, 'DEVICE_LOST', `${launch}: ${error.message}`)
      // The GPU works again, but this pipeline has seen it fail.
      assert.is(await failure(pipeline), error)
      await pipeline.dispose()
      assert.is((await failure(pipeline)).code, 'DISPOSED')
    }
    const after = loadAddon().counters()
    for (const name of ['workspaces', 'bytes', 'engines', 'sessions', 'jobs'] as const) assert.is(after[name], before[name], name)
    const again = await load('avatar', { device: 'cuda' })
    assert.equal((await again.generate(options)).latents, expected)
    await again.dispose()
  })

  test('what cannot be read of a lost GPU inside onStep is DEVICE_LOST too', async () => {
    for (const read of ['state', 'denoised'] as const) {
      const [pipeline, other] = [await load('avatar', { device: 'cuda' }), await load('avatar', { device: 'cuda' })]
      const onStep = (event: GenerateStep): Promise<unknown> =>
        during({ SADA_EMULATED_LOST_AFTER: '1' }, async () => [await failure(other), event[read]()])
      const error = await failure(pipeline, { onStep })
      assert.instance(error, SadaError)
      assert.is(error.code, 'DEVICE_LOST')
      await Promise.all([pipeline.dispose(), other.dispose()])
    }
  })

  test('a full GPU is OUT_OF_MEMORY, and the same pipeline works when there is room', async () => {
    const pipeline = await load('avatar', { device: 'cuda' })
    const expected = (await pipeline.generate(options)).latents
    for (const bytes of [1, 100_000, 1_000_000]) {
      const error = await during({ SADA_EMULATED_MEMORY: String(bytes) }, () => failure(pipeline))
      assert.is(error.code, 'OUT_OF_MEMORY', `${bytes}: ${error.message}`)
      assert.equal((await pipeline.generate(options)).latents, expected)
    }
    await pipeline.dispose()
  })

  const cases: [settings: Record<string, string>, reason: RegExp][] = [
    [{ SADA_EMULATED_DRIVER: '0' }, /no driver was found/],
    [{ SADA_EMULATED_DRIVER: '11080' }, /serves CUDA 11\.8, the library is built with 13\.0/],
    [{ SADA_EMULATED_DEVICES: '0' }, /no .*(GPU|device)/i],
    [{ SADA_EMULATED_CAPABILITY: '6.1' }, /GPU 0 \(.*6\.1\): .+/],
  ]
  for (const [settings, reason] of cases) {
    test(`${JSON.stringify(settings)}: auto takes the CPU, cuda is refused, both with the reason`, async () => {
      await during(settings, async () => {
        const found = await findGpu()
        assert.is(found.gpu, undefined)
        assert.match((found as { reason: string }).reason, reason)
        const pipeline = await load('avatar', { device: 'auto' })
        assert.is((await pipeline.generate(options)).images.length, 1)
        assert.match(pipeline.device.reason!, reason)
        await pipeline.dispose()
        const refused = await load('avatar', { device: 'cuda' }).then(
          () => assert.unreachable() as never,
          (error: SadaError) => error,
        )
        assert.is(refused.code, 'BACKEND_UNAVAILABLE')
        assert.match(refused.message, reason)
      })
    })
  }
}

test.run()
