import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { familyFolder } from '../support/families.ts'
import { field, initializer, integers, model, node, tensor, value } from '../support/onnx.ts'

// What a configuration says of its model and the model contradicts is said at load, not after the sampling.

const scratch = mkdtempSync(join(tmpdir(), 'sada-configurations-'))
test.after(() => rmSync(scratch, { recursive: true }))

/** What loading says of a family's folder with other files. */
async function refusal(family: string, change: (folder: string) => void): Promise<SadaError> {
  const folder = join(scratch, family)
  cpSync(familyFolder(family), folder, { recursive: true })
  try {
    change(folder)
    const failure: unknown = await load(folder, { threads: 1 }).then(
      (pipeline) => pipeline.dispose(),
      (error: unknown) => error,
    )
    const { engines, sessions } = loadAddon().counters()
    assert.equal([engines, sessions], [0, 0], 'something is left behind')
    return failure as SadaError
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Sets one value of a configuration; undefined takes it out. */
const set = (file: string, key: string, to: unknown) => (folder: string) => {
  const path = join(folder, file, 'config.json')
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), [key]: to }))
}
const without = (file: string) => (folder: string) => rmSync(join(folder, file, 'config.json'))

for (const family of ['sd2', 'sdxl', 'sd3', 'pixart', 'flux', 'musicldm']) {
  test(`${family}: a decoder of another scale than its configuration says`, async () => {
    for (const change of [without('vae_decoder'), set('vae_decoder', 'block_out_channels', Array(4).fill(8))]) {
      const error = await refusal(family, change)
      assert.is(error?.code, 'IO_MISMATCH', error?.message)
      assert.match(error.message, /vae_decoder.*expected pictures of 8 × 8 .* "block_out_channels" .* the file has 2 × 2\./)
    }
  })
}

test('a shift of the latents is followed where diffusers follows it', async () => {
  for (const [family, follows] of Object.entries({ sd2: false, sdxl: false, pixart: false, sd3: true, flux: true })) {
    const folder = join(scratch, family)
    const made = async (shift: number) => {
      cpSync(familyFolder(family), folder, { recursive: true })
      set('vae_decoder', 'shift_factor', shift)(folder)
      const pipeline = await load(folder, { threads: 1 })
      const { images } = await pipeline.generate({ prompt: 'a cat', steps: 1, width: 32, height: 32, policy: 'none' })
      await pipeline.dispose()
      rmSync(folder, { recursive: true })
      return images[0].data
    }
    assert.is(Buffer.compare(await made(0), await made(5)) !== 0, follows, family)
  }
})

test('a ControlNet that reads a text of other features than the UNet', async () => {
  const outputs = [0, 1, 2, 3].map((k) => `down_block_res_sample_${k}`).concat('mid_block_res_sample')
  const net = model([
    ...outputs.map((each) => node('Identity', { inputs: ['sample'], outputs: [each] })),
    value(11, 'sample', [1, 4, 8, 8]),
    value(11, 'timestep', [1]),
    value(11, 'encoder_hidden_states', [1, 77, 24]),
    value(11, 'controlnet_cond', [1, 3, 16, 16]),
    ...outputs.map((each) => value(12, each, [1, 4, 8, 8])),
  ])
  const error = await refusal('sd2-controlnet', (folder) => writeFileSync(join(folder, 'controlnet/model.onnx'), net))
  assert.is(error?.code, 'IO_MISMATCH', error?.message)
  assert.match(error.message, /controlnet.*"encoder_hidden_states" to have size 32 along axis 2 \(the UNet's\).*\[1, 77, 24\]/)
})

test('a decoder of one size says its scale itself', async () => {
  const weights = initializer(tensor('weights', [4, 3, 4, 4], field(9, new Uint8Array(4 * 4 * 3 * 16))))
  const strides = integers('strides', [4, 4])
  const enlarge = node('ConvTranspose', { inputs: ['latent_sample', 'weights'], outputs: ['sample'], attributes: [strides] })
  const decoder = model([enlarge, weights, value(11, 'latent_sample', [1, 4, 16, 16]), value(12, 'sample', [1, 3, 64, 64])])
  const replace = (folder: string): void => writeFileSync(join(folder, 'vae_decoder/model.onnx'), decoder)
  const error = await refusal('sd2', replace)
  assert.is(error?.code, 'IO_MISMATCH', error?.message)
  assert.match(error.message, /"sample" to have size 32 along axis 2 .*"block_out_channels".*64, 64/)
  const fitting = set('vae_decoder', 'block_out_channels', [8, 8, 8])
  assert.is(await refusal('sd2', (folder) => (replace(folder), fitting(folder))), undefined)
})

test('a vocoder that makes more or fewer samples than its configuration says', async () => {
  for (const rates of [[4, 3], [4], undefined]) {
    const error = await refusal('musicldm', set('vocoder', 'upsample_rates', rates))
    assert.is(error?.code, 'IO_MISMATCH', error?.message)
    const product = rates?.reduce((a, b) => a * b) ?? 160
    assert.match(error.message, new RegExp(`vocoder.*expected ${product} samples for each .* "upsample_rates"`))
  }
  // Its own kernels, 9 and 4 samples wide, make two samples more than the frames have.
  const narrower = await refusal('musicldm', set('vocoder', 'upsample_kernel_sizes', [8, 4]))
  assert.is(narrower?.code, 'IO_MISMATCH', narrower?.message)
  assert.match(narrower.message, /expected 8 samples for each of 8 frames, as .* "upsample_kernel_sizes".*1,66/)
  for (const key of ['upsample_rates', 'upsample_kernel_sizes']) {
    for (const wrong of ['x', [4, 0], [1.5]]) {
      const error = await refusal('musicldm', set('vocoder', key, wrong))
      assert.is(error?.code, 'MANIFEST_INVALID', error?.message)
      assert.match(error.message, new RegExp(key))
    }
  }
})

test('sizes of a share of a latent', async () => {
  const parts = [
    ['sd2', 'unet'],
    ['sd2', 'vae_decoder'],
    ['sd3', 'transformer'],
    ['pixart', 'transformer'],
    ['musicldm', 'unet'],
  ] as const
  for (const [family, part] of parts) {
    const error = await refusal(family, set(part, 'sample_size', 1.5))
    assert.is(error?.code, 'MANIFEST_INVALID', `${family} ${part}: ${error?.message}`)
    assert.match(error.message, new RegExp(`${part}.*a whole number .* /sample_size`))
  }
})

test('the size of a picture of a UNet: 64 latents where nothing says it, 8192 pixels at most', async () => {
  const folder = join(scratch, 'sizes')
  for (const [given, size] of [
    [undefined, [128, 128]],
    [1, [2, 2]],
    [4096, [8192, 8192]],
    [
      [1, 4096],
      [8192, 2],
    ],
  ] as const) {
    cpSync(familyFolder('sd2'), folder, { recursive: true })
    set('unet', 'sample_size', given)(folder)
    const pipeline = await load(folder, { threads: 1 })
    assert.equal(pipeline.size, size)
    await pipeline.dispose()
  }
})

test('a pair for the size of the latents is height and width, as for StableDiffusionPipeline; two other values are none', async () => {
  const folder = join(scratch, 'pair')
  cpSync(familyFolder('sd2'), folder, { recursive: true })
  set('unet', 'sample_size', [8, 12])(folder)
  const pipeline = await load(folder, { threads: 1 })
  assert.equal(pipeline.size, [24, 16])
  const { images } = await pipeline.generate({ prompt: 'a cat', steps: 1, policy: 'none' })
  assert.equal([images[0].width, images[0].height], [24, 16])
  await pipeline.dispose()
  for (const wrong of [[8], [8, 8, 8], [8, 1.5], [0, 8], [8, 4097], ['8', 8], 0, 4097, '8']) {
    const error = await refusal('sd2', set('unet', 'sample_size', wrong))
    assert.is(error?.code, 'MANIFEST_INVALID', `${JSON.stringify(wrong)}: ${error?.message}`)
    assert.match(error.message, /unet.*a whole number from 1 to 4096, or a pair of them.*\/sample_size/)
  }
})

test('fields that diffusers follows and nothing here does', async () => {
  const fields = [
    ['sd2', 'unet', 'time_cond_proj_dim', 16],
    ['sd2', 'text_encoder', 'use_attention_mask', true],
    ['sd2-controlnet', 'controlnet', 'global_pool_conditions', true],
    ['sd2-controlnet', 'controlnet_1', 'global_pool_conditions', true],
    ['sdxl', 'unet', 'time_cond_proj_dim', 16],
    ['sdxl', 'vae_decoder', 'latents_mean', [0, 0, 0, 0.5]],
    ['sdxl', 'vae_decoder', 'latents_std', [2, 2, 2, 2]],
  ] as const
  for (const [family, part, field, value] of fields) {
    const error = await refusal(family, set(part, field, value))
    assert.is(error?.code, 'UNSUPPORTED', `${family} ${part}: ${error?.message}`)
    assert.ok(error.message.includes(join(part, 'config.json')), error.message)
    assert.match(error.message, new RegExp(`expected no "${field}", .* has ${JSON.stringify(value).replaceAll('[', '\\[')}`))
    for (const unset of [null, false]) assert.is(await refusal(family, set(part, field, unset)), undefined, `${family} ${field}`)
  }
})

test('tokens of other sizes than the plan cuts', async () => {
  for (const family of ['sd3', 'pixart']) {
    const error = await refusal(family, set('transformer', 'patch_size', 1))
    assert.is(error?.code, 'IO_MISMATCH', `${family}: ${error?.message}`)
    assert.match(error.message, /plan\.json: expected tokens of 1 × 1 latents, as "patch_size" .*; the file has 2 × 2\./)
  }
})

test.run()
