import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { expectQuoted } from '../support/counted-memory.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'

/** The plan of a run's memory on a GPU (emulated): what is quoted is what is allocated there; half precision is the CPU's. */

if (!hasEmulatedGpu()) {
  test.skip('the memory of runs on an emulated GPU', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu
  const batch = { prompt: ['a kid', 'a fox', 'a robot'], seed: [1, 2, 3], steps: 5 }
  const freeBytes = async (): Promise<number> => (await loadAddon().gpus(emulatedGpu)).gpus[0].freeBytes

  for (const policy of [{ name: 'sada', unstable: 1000, tolerance: 1e-4 }, 'first-block-cache'] as const) {
    test(`${JSON.stringify(policy)}: what is quoted is what is allocated, and what the driver says is gone`, async () => {
      const pipeline = await load('avatar', { device: 'cuda' })
      const free = await freeBytes()
      let least = Infinity
      const options = { ...batch, policy }
      const { quote } = await expectQuoted(pipeline, options)
      assert.is(quote.device, 'cuda:0')
      assert.ok(quote.parts.scratch > 0 && quote.host.pinned > 0 && quote.host.copies > 0)
      const gone: Promise<number>[] = []
      await pipeline.generate({ ...options, onStep: () => void gone.push(freeBytes()) })
      for (const each of gone) least = Math.min(least, await each)
      assert.ok(free - least <= quote.bytes, `${free - least} of ${quote.bytes} quoted`)
      assert.is(await freeBytes(), free)
      await pipeline.dispose()
    })
  }

  test('what is remembered in half precision is the same bits as on the CPU', async () => {
    const latents: Float32Array[] = []
    for (const device of ['cpu', 'cuda'] as const) {
      const pipeline = await load('avatar', { device })
      const options = { prompt: ['a kid', 'a fox'], seed: [1, 2], steps: 8, policy: { name: 'deepcache', interval: 3 } }
      const skipping = { ...options, policy: { name: 'every-n', n: 2, warmup: 2 } }
      for (const each of [options, skipping]) {
        const { bytes } = await pipeline.memory(each)
        const { trace, ...made } = await pipeline.generate({ ...each, memory: { budget: bytes - 1 } })
        assert.match(trace.warnings![0], /float16/)
        latents.push(made.latents)
      }
      await pipeline.dispose()
    }
    assert.equal(latents[2], latents[0])
    assert.equal(latents[3], latents[1])
  })
}

test.run()
