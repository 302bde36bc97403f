import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tensorRtEngine } from '../../ts/engines/stages.ts'
import { loadFamily } from '../../ts/families/index.ts'
import type { FamilySettings } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { DenoisingLoop } from '../../ts/sampler/loop.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { familyFolder } from '../support/families.ts'
import { engineSizes, prepare } from '../support/family-engines.ts'
import { pruning } from '../support/pruning.ts'
import { hasTensorRtDouble, tensorRtDouble } from '../support/tensorrt-double.ts'

/** Passes on a part of the tokens with the stages on TensorRT (its double), against ONNX Runtime on the CPU. */

const onTensorRt = { device: 'cuda', engine: 'tensorrt' } as const

if (!hasTensorRtDouble()) {
  test.skip('pruned passes on TensorRT’s double', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu
  process.env.SADA_TENSORRT_PATH = tensorRtDouble

  for (const family of ['sd2', 'sdxl', 'flux']) {
    test(`${family}: pruned passes of every bucket of tokens, as on the CPU`, async () => {
      const folder = familyFolder(family)
      const size = [16, 24] as const
      await prepare(folder, size, { engineSizes: engineSizes(size) })
      const sampled = async (settings: FamilySettings, window: readonly [number, number]) => {
        const family = await loadFamily(folder, { threads: 1, ...settings }, settings.device && tensorRtEngine())
        const workspace = new (loadAddon().Workspace)(family.gpu)
        const { signal } = new AbortController()
        try {
          const more = { width: 48, height: 32, maxSequenceLength: family.name === 'flux' ? 16 : undefined }
          const request = {
            ...more,
            prompts: ['a', 'b'],
            seed: [1, 2],
            steps: 4,
            guidance: 1,
            scheduler: family.defaults.scheduler,
          }
          const { solver, network, latents } = await family.begin(request, workspace, signal)
          const policy = pruning({ maxKept: tokens, window, seed: 0, fullAbove: 1 })
          return await new DenoisingLoop({ solver, network, policy, workspace, latents, signal }).run()
        } finally {
          workspace.dispose()
          await Promise.all([family.engine.dispose(), family.device?.engine.dispose()])
        }
      }
      const tokens = family === 'sd2' ? 16 * 24 : 8 * 12
      const seen = new Set<number>()
      // One token of each window is kept, and the unstable ones.
      for (const window of [
        [0, 0],
        [2, 2],
        [1, 2],
      ] as const) {
        const cpu = await sampled({}, window)
        const gpu = await sampled({ ...onTensorRt, engineSizes: engineSizes(size) }, window)
        assert.equal(gpu.latents, cpu.latents)
        for (const { steps } of gpu.trace.members) for (const { keptTokens } of steps) seen.add((keptTokens ?? tokens) / tokens)
      }
      assert.ok(seen.size > 2, `of the buckets only ${[...seen].join(', ')} of the tokens were seen`)
    })
  }
}

test.run()
