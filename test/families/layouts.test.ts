import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type FamilySettings, type GenerateOptions, type SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { fixture } from '../support/engines.ts'
import { familyFolder, relativeError } from '../support/families.ts'

// One little model, made of formulas, in the layouts of different exporters (test/fixtures/layouts/make.py).

const layouts = join(__dirname, '../fixtures/layouts')
const scratch = mkdtempSync(join(tmpdir(), 'sada-layouts-'))
test.after(() => rmSync(scratch, { recursive: true }))

async function latentsOf(
  folder: string,
  options: Partial<GenerateOptions> = {},
  settings: FamilySettings = {},
): Promise<Float32Array> {
  const pipeline = await load(folder, { threads: 1, ...settings })
  try {
    return (await pipeline.generate({ prompt: 'a cat', steps: 4, seed: 3, policy: 'none', ...options })).latents
  } finally {
    await pipeline.dispose()
  }
}

test('old and new names, times of rank 0 and 1, whole and real ones, 32 and 64 bits: the same latents', async () => {
  const expected = await latentsOf(join(layouts, 'optimum'))
  assert.is(expected.length, 4 * 4 * 4)
  for (const name of ['diffusers-onnx', 'scalar-time', 'scalar-whole-time'])
    assert.equal(await latentsOf(join(layouts, name)), expected, name)
  // Eleven bits of float16 in each of four steps.
  assert.ok(relativeError(await latentsOf(join(layouts, 'half')), expected) < 2e-3)
})

test('one step is the formula, worked by hand', async () => {
  const text = readFileSync(join(layouts, 'optimum/scheduler/scheduler_config.json'), 'utf8')
  const { config } = parseSchedulerConfig(text, 'dpm++')
  const { levels, timesteps } = createSchedule(config, { steps: 1 })
  const { alpha, sigma } = levels[0]
  const said = (ids: number[]) => ids.reduce((sum, id) => sum + id, 0) / ids.length / 1000
  // start, a, cat, end, and padding with end; the empty prompt is start and ends.
  const [withWords, without] = [said([2, 0, 1, 3, 3, 3, 3, 3]), said([2, 3, 3, 3, 3, 3, 3, 3])]
  const guided = without + 3 * (withWords - without)
  const noise = new TorchGenerator(3).randn(64)
  const expected = noise.map((x) => (x - sigma * (0.1 * x + timesteps[0] / 1000 + 0.01 * guided)) / alpha)
  const latents = await latentsOf(join(layouts, 'optimum'), { steps: 1, guidanceScale: 3 })
  assert.ok(relativeError(latents, expected) < 1e-5, String(relativeError(latents, expected)))
})

test('pictures: the first channels over the scaling factor; encoding one and going nowhere gives it back', async () => {
  const pipeline = await load(join(layouts, 'diffusers-onnx'), { threads: 1 })
  const { images, latents } = await pipeline.generate({ prompt: 'a', width: 6, height: 4, steps: 2, policy: 'none' })
  assert.equal([images[0].width, images[0].height, latents.length], [6, 4, 4 * 3 * 2])
  images[0].data.forEach((value, k) => {
    const [c, pixel] = [k % 3, Math.floor(k / 3)]
    const latent = latents[c * 6 + Math.floor(Math.floor(pixel / 6) / 2) * 3 + Math.floor((pixel % 6) / 2)]
    const level = Math.min(255, Math.max(0, Math.round((latent / 0.5 / 2 + 0.5) * 255)))
    assert.ok(Math.abs(value - level) <= 1)
  })
  // A black mask keeps all of the picture, whatever the network does.
  const data = Uint8Array.from(
    { length: 6 * 4 * 3 },
    (_, k) => (Math.floor((Math.floor(k / 3) % 6) / 2) * 50 + Math.floor(k / 36) * 25) % 256,
  )
  const mask = { width: 6, height: 4, data: new Uint8Array(24) }
  const kept = await pipeline.generate({
    prompt: 'a',
    init: { width: 6, height: 4, data },
    mask,
    strength: 1,
    steps: 3,
    policy: 'none',
  })
  kept.images[0].data.forEach((value, k) => assert.ok(Math.abs(value - data[k]) <= 1, `${k}: ${value} ${data[k]}`))
  await pipeline.dispose()
})

interface Damage {
  readonly change?: (folder: string) => void
  readonly settings?: FamilySettings
}

/** What loading a damaged copy of a layout says. */
async function refusal({ change = () => {}, settings }: Damage, from = 'optimum'): Promise<SadaError> {
  const folder = join(scratch, 'copy')
  rmSync(folder, { recursive: true, force: true })
  cpSync(join(layouts, from), folder, { recursive: true })
  change(folder)
  const error: unknown = await load(folder, { threads: 1, ...settings }).then(
    async (pipeline) => pipeline.dispose(),
    (e: unknown) => e,
  )
  const { engines, sessions } = loadAddon().counters()
  assert.equal([engines, sessions], [0, 0], 'something is left behind')
  return error as SadaError
}

const edit = (file: string, change: (value: Record<string, any>) => void) => (folder: string) => {
  const path = join(folder, file)
  const value = JSON.parse(readFileSync(path, 'utf8'))
  change(value)
  writeFileSync(path, JSON.stringify(value))
}

const REFUSALS: [string, Damage, string, RegExp][] = [
  ['no index', { change: (f) => rmSync(join(f, 'model_index.json')) }, 'MODEL_NOT_FOUND', /"family"/],
  [
    'another pipeline',
    { change: edit('model_index.json', (v) => (v._class_name = 'KandinskyPipeline')) },
    'UNSUPPORTED',
    /Kandinsky/,
  ],
  ['no class', { change: edit('model_index.json', (v) => (v._class_name = {})) }, 'MANIFEST_INVALID', /_class_name/],
  [
    'no network',
    { change: (f) => rmSync(join(f, 'unet'), { recursive: true }) },
    'MODEL_NOT_FOUND',
    /unet.model\.onnx does not exist/,
  ],
  ['no decoder', { change: (f) => rmSync(join(f, 'vae_decoder/model.onnx')) }, 'MODEL_NOT_FOUND', /vae_decoder/],
  ['no scheduler', { change: (f) => rmSync(join(f, 'scheduler'), { recursive: true }) }, 'MODEL_NOT_FOUND', /scheduler_config/],
  ['no tokenizer', { change: (f) => rmSync(join(f, 'tokenizer'), { recursive: true }) }, 'MODEL_NOT_FOUND', /tokenizer/],
  [
    'another model in its place',
    { change: (f) => cpSync(fixture('add_matmul'), join(f, 'unet/model.onnx')) },
    'IO_MISMATCH',
    /expected an input sample; the file has/,
  ],
  [
    'a picture too many channels',
    { change: (f) => cpSync(join(f, 'vae_decoder/model.onnx'), join(f, 'unet/model.onnx')) },
    'IO_MISMATCH',
    /unet/,
  ],
  ['an empty file', { change: (f) => truncateSync(join(f, 'unet/model.onnx'), 0) }, 'MODEL_CORRUPT', /empty/],
  ['a cut file', { change: (f) => truncateSync(join(f, 'unet/model.onnx'), 300) }, 'MODEL_CORRUPT', /unet/],
  ['half a JSON', { change: (f) => truncateSync(join(f, 'unet/config.json'), 3) }, 'MANIFEST_INVALID', /unet.config\.json/],
  [
    'ids without embeddings',
    { change: edit('text_encoder/config.json', (v) => (v.vocab_size = 3)) },
    'TOKENIZER_INVALID',
    /up to 3/,
  ],
  [
    'prompts longer than what the text encoder has positions for',
    { change: edit('text_encoder/config.json', (v) => (v.max_position_embeddings = 3)) },
    'TOKENIZER_INVALID',
    /"model_max_length".*positions for 3/,
  ],
  [
    'a library beside the network',
    { change: (f) => writeFileSync(join(f, 'unet/custom.so'), '') },
    'UNTRUSTED_CODE',
    /custom\.so/,
  ],
  [
    'a schedule that is none',
    { change: edit('scheduler/scheduler_config.json', (v) => (v.beta_start = -1)) },
    'INVALID_SCHEDULE',
    /beta_start/,
  ],
  ['a path out of the folder', { settings: { paths: { unet: '../optimum/unet' } } }, 'PATH_ESCAPE', /leads out/],
  ['a family that is none', { settings: { family: 'sd' as never } }, 'UNKNOWN_NAME', /stable-diffusion/],
  ['a link out of the folder', { change: (f) => linkedOut(f) }, 'PATH_UNSAFE', /"linksInto"/],
]

function linkedOut(folder: string): void {
  const store = join(scratch, 'store')
  mkdirSync(store, { recursive: true })
  renameSync(join(folder, 'unet/model.onnx'), join(store, 'blob'))
  symlinkSync(join(store, 'blob'), join(folder, 'unet/model.onnx'))
}

for (const [name, damage, code, message] of REFUSALS) {
  test(`${name}: ${code} at load`, async () => {
    const error = await refusal(damage)
    assert.is(error?.code, code, error?.message)
    assert.match(error.message, message)
  })
}

test('a decoder of pictures in place of that of spectrograms, a vocoder faster than any: refused at load', async () => {
  const decoder = join(familyFolder('sd2'), 'vae_decoder')
  const pictures = await refusal(
    { change: (f) => cpSync(decoder, join(f, 'vae_decoder'), { recursive: true }) },
    '../families/musicldm',
  )
  assert.is(pictures?.code, 'IO_MISMATCH')
  assert.match(pictures.message, /size 1 along axis 1 .* decodes/)
  const rate = await refusal({ change: edit('vocoder/config.json', (v) => (v.sampling_rate = 1e30)) }, '../families/musicldm')
  assert.is(rate?.code, 'MANIFEST_INVALID')
  assert.match(rate.message, /sampling_rate/)
})

test('links may lead where the caller says; parts may lie elsewhere in the folder', async () => {
  const folder = join(scratch, 'linked')
  cpSync(join(layouts, 'optimum'), folder, { recursive: true })
  linkedOut(folder)
  const expected = await latentsOf(join(layouts, 'optimum'))
  assert.equal(await latentsOf(folder, {}, { linksInto: join(scratch, 'store') }), expected)
  renameSync(join(folder, 'vae_decoder'), join(folder, 'decoder'))
  renameSync(join(folder, 'text_encoder/model.onnx'), join(folder, 'text_encoder/clip.onnx'))
  rmSync(join(folder, 'model_index.json'))
  const settings = {
    linksInto: join(scratch, 'store'),
    family: 'stable-diffusion',
    paths: { vae_decoder: 'decoder', text_encoder: 'text_encoder/clip.onnx' },
  } as const
  assert.equal(await latentsOf(folder, {}, settings), expected)
})

test('options that do not fit are named before anything runs', async () => {
  const pipeline = await load(join(layouts, 'optimum'), { threads: 1 })
  const picture = { width: 8, height: 8, data: new Uint8Array(64) }
  const attempts: [Record<string, unknown>, RegExp][] = [
    [{ width: 7 }, /"width" .* multiple of 2/],
    [{ height: 0 }, /"height"/],
    [{ width: 1e9 }, /"width"/],
    [{ width: '4' }, /"width"/],
    [{ seconds: 3 }, /"seconds" .* does not take it/],
    [{ control: { image: picture } }, /"control" .* does not take it/],
    [{ trueGuidanceScale: 2 }, /"trueGuidanceScale"/],
    [{ mask: picture }, /"init"/],
    [{ init: picture, strength: 1.5 }, /"strength"/],
    [{ init: picture, strength: 0 }, /"strength"/],
    [{ init: picture, width: 4 }, /"init" .* 4×8 pixels/],
    [{ init: picture, width: 4, height: 16 }, /"init" .* 4×16 pixels/],
    [{ init: { width: 3, height: 1, data: new Uint8Array(2) } }, /"init"/],
    [{ init: new Uint8Array([1, 2, 3]) }, /"init" .* PNG/],
    [{ init: { latents: new Float32Array(3) } }, /"init\.latents" .* 64 values/],
    [{ init: { latents: Array(64).fill(0) } }, /"init\.latents" .* Float32Array/],
    [{ init: { latents: undefined } }, /"init\.latents" .* Float32Array/],
    [{ init: null }, /"init" .* received null/],
    [{ init: 'photo.png' }, /"init" .* received "photo\.png"/],
    [{ strength: 0.5 }, /"init" .* "strength"/],
    [{ negativePrompt: 7 }, /"negativePrompt"/],
    [{ negativePrompt: ['a', 'b'] }, /"negativePrompt" .* array of 1/],
    [{ prompt: ['a', 'b'], negativePrompt: ['a', 7] }, /"negativePrompt" .* array of 2/],
    [{ scheduler: 'flow-euler' }, /Known: dpm\+\+, euler/],
  ]
  for (const [options, message] of attempts) {
    const error: unknown = await pipeline.generate({ prompt: 'a', steps: 2, ...options }).catch((e: unknown) => e)
    assert.match((error as SadaError).message, message)
    assert.ok(['INVALID_ARGUMENT', 'UNKNOWN_NAME'].includes((error as SadaError).code))
  }
  const long = await pipeline.generate({ prompt: ['cat '.repeat(10), 'a'], steps: 1, policy: 'none' })
  assert.equal(long.droppedTokens, [4, 0])
  await pipeline.dispose()
})

test('controls that are none are named', async () => {
  const pipeline = await load(familyFolder('sd2-controlnet'), { threads: 1 })
  const image = { width: 32, height: 32, data: new Uint8Array(1024) }
  const attempts: [unknown, RegExp][] = [
    [null, /"control" .* received null/],
    ['edges.png', /"control" .* received "edges\.png"/],
    [[null], /"control" .* \{ image/],
    [{}, /"control\.image"/],
    [{ image, strength: '1' }, /"control\.strength"/],
    [{ image, end: 0 }, /"control\.end" to be a number above 0/],
    [{ image, start: 0.5, end: 0.5 }, /"control\.start" .* below "control\.end" \(0\.5\)/],
    [{ image: [] }, /"control\.image" to be one picture, or 1 /],
    [[{ image }, { image: [image, image] }], /"control\.image" to be one picture, or 1 .*received 2/],
    [{ image: [null] }, /"control\.image"/],
  ]
  for (const [control, message] of attempts) {
    const options = { prompt: 'a', steps: 2, control } as GenerateOptions
    const error: unknown = await pipeline.generate(options).catch((e: unknown) => e)
    assert.is((error as SadaError).code, 'INVALID_ARGUMENT')
    assert.match((error as SadaError).message, message)
  }
  await pipeline.dispose()
})

test.run()
