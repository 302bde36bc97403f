import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type Pipeline, type SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { familyFolder, optionsOf, recordedCases } from '../support/families.ts'
import { engineSizes, prepare, SCALE } from '../support/family-engines.ts'
import { hasTensorRtDouble, tensorRtDouble } from '../support/tensorrt-double.ts'

/** Folders in the layout of diffusers with their networks on TensorRT (its double), against ONNX Runtime on the CPU. */

type Settings = NonNullable<Parameters<typeof load>[1]>
const onTensorRt = { device: 'cuda', engine: 'tensorrt' } as const
/** 0.03 s at 16 kHz, 8 samples of sound to each frame of the spectrogram, 16 bands. */
const SOUND = [60 / SCALE, 16 / SCALE] as const

async function withPipeline<T>(folder: string, settings: Settings, work: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await load(folder, { threads: 1, ...settings })
  try {
    return await work(pipeline)
  } finally {
    await pipeline.dispose()
  }
}

interface Case {
  readonly family: string
  /** Of the recorded calls. */
  readonly name: string
  readonly stages?: boolean
  readonly options?: Partial<GenerateOptions>
  /** Which of the folder's files run on the GPU. */
  readonly on: RegExp
}

const UNET = /^(unet\..+|vae_decoder|vae_encoder)$/
const cases: Case[] = [
  { family: 'sd2', name: 'dpm++ epsilon, guidance 7.5', on: UNET },
  { family: 'sd2', name: 'dpm++ epsilon, guidance 7.5', stages: false, on: /^(unet|vae_decoder|vae_encoder)$/ },
  { family: 'sd2', name: 'inpainting, dpm++ epsilon', on: UNET },
  { family: 'sd2-inpainting', name: 'euler epsilon, strength 0.7, guidance 5', on: UNET },
  { family: 'sdxl', name: 'euler epsilon, guidance 5', options: { policy: 'deepcache' }, on: UNET },
  { family: 'sd2-controlnet', name: 'euler epsilon, two', on: /^(unet\..+|controlnet(_1)?|vae_decoder|vae_encoder)$/ },
  {
    family: 'flux',
    name: '',
    options: { policy: 'first-block-cache', steps: 8 },
    on: /^(transformer\..+|vae_decoder|vae_encoder)$/,
  },
  { family: 'flux', name: '', stages: false, on: /^(transformer|vae_decoder|vae_encoder)$/ },
  { family: 'sd3', name: 'euler, guidance 7', on: /^(transformer\..+|vae_decoder|vae_encoder)$/ },
  { family: 'sd3', name: 'image-to-image', stages: false, on: /^(transformer|vae_decoder|vae_encoder)$/ },
  { family: 'pixart', name: 'dpm++ epsilon, guidance 4.5', on: /^(transformer\..+|vae_decoder|vae_encoder)$/ },
  { family: 'pixart-sigma', name: 'euler epsilon, guidance 1', stages: false, on: /^(transformer|vae_decoder|vae_encoder)$/ },
  { family: 'musicldm', name: 'dpm++ epsilon, guidance 2, 0.03 s', on: /^(unet\..+|vae_decoder|vae_encoder|vocoder)$/ },
]

if (!hasTensorRtDouble()) {
  test.skip('folders of diffusers on TensorRT’s double', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu
  process.env.SADA_TENSORRT_PATH = tensorRtDouble

  for (const { family, name, stages, options: more, on } of cases) {
    test(`${family}${stages === false ? ', whole' : ''}, ${name} ${JSON.stringify(more ?? {})}: what ONNX Runtime gives`, async () => {
      const folder = familyFolder(family)
      const recorded = recordedCases(family).find((each) => each.name.startsWith(name))!
      const options = { ...optionsOf(recorded), ...more }
      const size = family === 'musicldm' ? SOUND : ([recorded.height / SCALE, recorded.width / SCALE] as const)
      const sizes = family === 'musicldm' ? { seconds: [0.03, 0.03] as [number, number] } : engineSizes(size)
      const settings = { stages, engineSizes: sizes }
      const files = await prepare(folder, size, settings)
      for (const file of files) assert.match(file, on)
      const cpu = await withPipeline(folder, { stages }, (pipeline) => pipeline.generate(options))
      const gpu = await withPipeline(folder, { ...settings, ...onTensorRt }, async (pipeline) => {
        // All of them: nothing was built (the double builds nothing).
        assert.is(loadAddon().counters().engines, 2)
        return pipeline.generate(options)
      })
      const decided = ({ trace }: typeof gpu) =>
        trace.members.map(({ steps }) => steps.map(({ action, keptTokens }) => [action, keptTokens]))
      assert.equal(decided(gpu), decided(cpu))
      assert.equal(gpu.latents, cpu.latents)
      assert.equal(gpu.images[0]?.data, cpu.images[0]?.data)
      assert.equal(gpu.audio[0]?.samples, cpu.audio[0]?.samples)
    })
  }

  test('sizes and pictures that engines were not made for are refused before anything runs', async () => {
    const size = [16, 24] as const
    const settings = { engineSizes: engineSizes(size) }
    await prepare(familyFolder('sd2'), size, settings)
    await withPipeline(familyFolder('sd2'), { ...settings, ...onTensorRt }, async (pipeline) => {
      const call = { steps: 2, prompt: 'a', width: 48, height: 32, guidanceScale: 5 }
      const refusals: [Partial<GenerateOptions>, string, RegExp][] = [
        [{ width: 32 }, 'width', /from 48 to 48, .* received 32.*engineSizes/],
        [{ height: 64 }, 'height', /from 32 to 32, .* received 64/],
        [{ prompt: ['a', 'b', 'c'] }, 'prompt', /at most 2 prompts.* received 3/],
      ]
      for (const [change, argument, words] of refusals) {
        const error = await pipeline.generate({ ...call, ...change }).then(
          () => assert.unreachable() as never,
          (e: SadaError) => e,
        )
        assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', argument], error.message)
        assert.match(error.message, words)
      }
      // Without guidance a picture takes one row.
      await pipeline.generate({ ...call, prompt: ['a', 'b', 'c', 'd'], guidanceScale: 1 })
    })
  })

  test('what is no range of sizes is refused at load', async () => {
    const bad: [object, string][] = [
      [{ pictures: 0 }, 'engineSizes.pictures'],
      [{ width: [64, 32] }, 'engineSizes.width'],
      [{ height: [33, 64] }, 'engineSizes.height'],
    ]
    for (const [engineSizes, argument] of bad) {
      const error = await filesForEngines(familyFolder('sd2'), { engineSizes }).then(
        () => assert.unreachable() as never,
        (e: SadaError) => e,
      )
      assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', argument])
    }
  })
}

test.run()
