import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type FamilySettings, type GenerateOptions, type Pixels } from '../../ts/index.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { familyFolder } from '../support/families.ts'

// Exporters that left the number of channels free, too: diffusers' convert_stable_diffusion_checkpoint_to_onnx.py (the "onnx" branches of
// Stable Diffusion 1, which have no config.json), and Optimum's first versions. The same latents come out as where the files say it.

const layouts = join(__dirname, '../fixtures/layouts')
const folder = mkdtempSync(join(tmpdir(), 'sada-free-'))
test.after(() => rmSync(folder, { recursive: true }))

/** Makes every size of `channels` behind a batch in a file one without a value: Dimension { dim_value } becomes Dimension { dim_param: '' }, as long. */
function free(file: string, channels: number, batch = 'batch'): void {
  const path = join(folder, file)
  const bytes = readFileSync(path)
  const [said, unsaid] = [
    [8, channels],
    [0x12, 0],
  ].map((size) => Buffer.from([...Buffer.from(batch), 0x0a, 2, ...size]))
  assert.ok(bytes.includes(said), `${file} has no size ${channels}`)
  for (let at = bytes.indexOf(said); at >= 0; at = bytes.indexOf(said, at)) unsaid.copy(bytes, at)
  writeFileSync(path, bytes)
}

async function latentsOf(options: Partial<GenerateOptions>, settings: FamilySettings = {}): Promise<Float32Array> {
  const pipeline = await load(folder, { threads: 1, ...settings })
  try {
    return (await pipeline.generate({ prompt: 'a cat', steps: 3, seed: 3, policy: 'none', ...options })).latents
  } finally {
    await pipeline.dispose()
  }
}

const picture = (channels: number, width: number, height: number): Pixels => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * channels }, (_, k) => (k * 37) % 256),
})

for (const [layout, encoded] of [
  ['diffusers-onnx', 4],
  ['optimum', 8],
] as const) {
  test(`${layout}: latents of four channels, and what is encoded of a picture, where only the class of the autoencoder says so`, async () => {
    cpSync(join(layouts, layout), folder, { recursive: true })
    const init = picture(3, 8, 8)
    const expected = [await latentsOf({}), await latentsOf({ init })]
    for (const part of ['unet', 'vae_decoder']) free(`${part}/model.onnx`, 4)
    for (const channels of [encoded, 3]) free('vae_encoder/model.onnx', channels)
    for (const part of ['vae_decoder', 'vae_encoder']) {
      const path = join(folder, part, 'config.json')
      const config = JSON.parse(readFileSync(path, 'utf8')) as object
      writeFileSync(path, JSON.stringify({ ...config, latent_channels: undefined }))
    }
    assert.equal([await latentsOf({}), await latentsOf({ init })], expected)
    const files = await filesForEngines(folder, {})
    const channels = files.map(({ stage, profiles }) => [stage, profiles[0].map(({ usual }) => usual[1])[0]])
    assert.equal(Object.fromEntries(channels), { unet: 4, vae_decoder: 4, vae_encoder: 3 })
  })
}

test('a network for inpainting whose channels its configuration alone says', async () => {
  cpSync(familyFolder('sd2-inpainting'), folder, { recursive: true })
  const options = { init: picture(3, 32, 32), mask: picture(1, 32, 32) }
  const expected = await latentsOf(options, { stages: false })
  free('unet/model.onnx', 9, 'rows')
  assert.equal(await latentsOf(options, { stages: false }), expected)
})

test.run()
