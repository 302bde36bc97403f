import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadFamily } from '../../ts/families/index.ts'
import type { FamilySettings, GenerateOptions } from '../../ts/index.ts'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import type { NetworkFile, OpenDeviceEngine } from '../../ts/plan/device-engine.ts'
import { Pipeline } from '../../ts/pipeline/pipeline.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { familyFolder } from '../support/families.ts'

// The sizes that engines on a GPU are made for, counted by hand: rows are 1, 2 and twice the pictures, sides of latents half of the pixels.

type Sizes = readonly [input: string, smallest: string, usual: string, largest: string][]

const engineSizes = { pictures: 3, width: [32, 64], height: [32, 48] } as const
async function profilesOf(family: string, stage: string, settings: FamilySettings = { stages: false }): Promise<Sizes[]> {
  const files = await filesForEngines(familyFolder(family), { engineSizes, ...settings })
  const { profiles } = files.find((file) => file.stage === stage)!
  return profiles.map((inputs) =>
    inputs.map(({ input, smallest, usual, largest }) => [input, String(smallest), String(usual), String(largest)]),
  )
}

const WHOLE: [family: string, stage: string, sizes: Sizes][] = [
  // A latent of one pixel each way is decoded for previews and at the edges of tiles; own pictures of 32 × 32 pixels.
  ['sd2', 'vae_decoder', [['latent_sample', '1,4,1,1', '1,4,16,16', '1,4,24,32']]],
  ['sd2', 'vae_encoder', [['sample', '1,3,2,2', '1,3,32,32', '1,3,48,64']]],
  // The latents, the mask and the latents of what is kept.
  [
    'sd2-inpainting',
    'unet',
    [
      ['sample', '1,9,16,16', '2,9,16,16', '6,9,24,32'],
      ['timestep', '1', '1', '1'],
      ['encoder_hidden_states', '1,77,32', '2,77,32', '6,77,32'],
    ],
  ],
  [
    'sd2-controlnet',
    'controlnet_1',
    [
      ['sample', '1,4,16,16', '2,4,16,16', '6,4,24,32'],
      ['timestep', '1', '1', '1'],
      ['encoder_hidden_states', '1,77,32', '2,77,32', '6,77,32'],
      ['controlnet_cond', '1,3,32,32', '2,3,32,32', '6,3,48,64'],
      ['conditioning_scale', '1', '1', '1'],
    ],
  ],
  // Its own pictures are larger than the largest asked for.
  [
    'flux',
    'transformer',
    [
      ['hidden_states', '1,64,16', '2,192,16', '6,192,16'],
      ['encoder_hidden_states', '1,1,32', '2,512,32', '6,512,32'],
      ['pooled_projections', '1,24', '2,24', '6,24'],
      ['timestep', '1', '2', '6'],
      ['img_ids', '64,3', '192,3', '192,3'],
      ['txt_ids', '1,3', '512,3', '512,3'],
      ['guidance', '1', '2', '6'],
    ],
  ],
  // 77 tokens of CLIP, then 1 to 256 of T5.
  [
    'sd3',
    'transformer',
    [
      ['hidden_states', '1,16,16,16', '2,16,16,16', '6,16,24,32'],
      ['encoder_hidden_states', '1,78,64', '2,333,64', '6,333,64'],
      ['pooled_projections', '1,56', '2,56', '6,56'],
      ['timestep', '1', '2', '6'],
    ],
  ],
  [
    'pixart',
    'transformer',
    [
      ['hidden_states', '1,4,16,16', '2,4,24,32', '6,4,24,32'],
      ['encoder_hidden_states', '1,1,32', '2,120,32', '6,120,32'],
      ['encoder_attention_mask', '1,1', '2,120', '6,120'],
      ['timestep', '1', '2', '6'],
      ['resolution', '1,2', '2,2', '6,2'],
      ['aspect_ratio', '1,1', '2,1', '6,1'],
    ],
  ],
]
for (const [family, stage, sizes] of WHOLE) {
  test(`${family}: what ${stage} will see`, async () => {
    assert.equal(await profilesOf(family, stage), [sizes])
  })
}

test('a UNet that ControlNets lead: after each halving what they add is of half the size', async () => {
  const [profile] = await profilesOf('sd2-controlnet', 'unet')
  assert.equal(
    profile.filter(([input]) => input.includes('residual')).map(([, smallest, , largest]) => [smallest, largest]),
    [
      ['1,16,16,16', '6,16,24,32'],
      ['1,16,16,16', '6,16,24,32'],
      ['1,16,8,8', '6,16,12,16'],
      ['1,24,8,8', '6,24,12,16'],
      ['1,24,8,8', '6,24,12,16'],
    ],
  )
})

test('sounds of 0.02 to 0.05 s at 16 kHz, 8 samples to a frame and 2 frames to a latent: 40 to 100 frames of 16 bands', async () => {
  const settings = { stages: false, engineSizes: { pictures: 1, seconds: [0.02, 0.05] } } as const
  assert.equal(await profilesOf('musicldm', 'vocoder', settings), [[['spectrogram', '1,40,16', '1,40,16', '1,100,16']]])
  const [[sample]] = await profilesOf('musicldm', 'unet', settings)
  assert.equal(sample, ['sample', '1,4,20,8', '2,4,20,8', '2,4,50,8'])
})

test('a stage of tokens has a profile for each share of them that is kept, one of all has one', async () => {
  const profiles = await profilesOf('flux', 'transformer.double', {})
  assert.equal(
    profiles.map(([tokens, text]) => [tokens[1], tokens[2], tokens[3], text[3]]),
    [16, 32, 48, 64].map((kept) => [`1,${kept},32`, `2,${3 * kept},32`, `6,${3 * kept},32`, '6,512,32']),
  )
  assert.is((await profilesOf('flux', 'transformer.head', {})).length, 1)
})

test('where nothing is asked for engines are made for the own size of a model and for two pictures', async () => {
  const files = await filesForEngines(familyFolder('sd2'), { stages: false })
  const [sample] = files.find(({ stage }) => stage === 'unet')!.profiles[0]
  assert.equal([sample.smallest, sample.usual, sample.largest].map(String), ['1,4,16,16', '2,4,16,16', '4,4,16,16'])
})

/** ONNX Runtime on the CPU in the place of an engine that serves the sizes of its profiles alone. */
const compiled: OpenDeviceEngine = () => {
  const engine = new (loadAddon().Engine)({ library: findOnnxRuntime() })
  const load = async ({ file }: NetworkFile): Promise<number> => (await file.load(engine, { threads: 1 })).session
  return Promise.resolve({ engine, onGpu: true, compiles: true, load })
}

test('a family says what working memory the engine of its networks needs', async () => {
  for (const name of ['sd2', 'sd3']) {
    const open: OpenDeviceEngine = async (gpu) => ({ ...(await compiled(gpu))!, activationBytes: 12_345 })
    const family = await loadFamily(familyFolder(name), { threads: 1, engineSizes }, open)
    assert.is(family.device?.activationBytes, 12_345, name)
    await new Pipeline(family).dispose()
  }
})

test('sizes, prompts and lengths that compiled engines were not made for are refused', async () => {
  const flux = mkdtempSync(join(tmpdir(), 'sada-flux-'))
  cpSync(familyFolder('flux'), flux, { recursive: true })
  const path = join(flux, 'tokenizer_2/tokenizer_config.json')
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), model_max_length: 24 }))
  for (const [folder, most] of [
    [flux, 24],
    [familyFolder('sd3'), 256],
    [familyFolder('pixart'), 120],
  ] as const) {
    const pipeline = new Pipeline(await loadFamily(folder, { threads: 1, engineSizes }, compiled))
    const call = { prompt: 'a cat', width: 32, height: 32, steps: 1, policy: 'none' } as const
    const said = (options: Partial<GenerateOptions>): Promise<string> =>
      pipeline.memory({ ...call, ...options }).then(
        () => 'fits',
        (error: Error) => error.message,
      )
    assert.is(await said({ maxSequenceLength: most }), 'fits')
    assert.match(
      await said({ maxSequenceLength: most + 1 }),
      new RegExp(`"maxSequenceLength" to be at most ${most}, for which the engines`),
    )
    assert.is(await said({ width: 64, height: 48 }), 'fits')
    assert.match(await said({ width: 28 }), /"width" to be from 32 to 64, for which .* received 28/)
    assert.match(await said({ height: 52 }), /"height" to be from 32 to 48/)
    const prompt = (count: number): string[] => Array<string>(count).fill('a cat')
    const each = folder === flux ? 1 : 2
    assert.is(await said({ prompt: prompt(6 / each) }), 'fits')
    assert.match(await said({ prompt: prompt(6 / each + 1) }), new RegExp(`at most ${6 / each} prompts`))
    await pipeline.dispose()
  }
  rmSync(flux, { recursive: true })
})

test.run()
