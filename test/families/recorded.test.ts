import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Folder } from '../../ts/families/folder.ts'
import { TextTokenizer } from '../../ts/families/tokenizers.ts'
import { load, type GenerateOptions, type Pipeline } from '../../ts/index.ts'
import { assertPicture, familyFolder, optionsOf, recordedCases, relativeError } from '../support/families.ts'

// Every family against diffusers' own pipelines on the same weights: final latents, and the pictures or sounds made of them.

const UNETS = ['sd2', 'sd2-inpainting', 'sdxl', 'sd2-controlnet', 'sdxl-controlnet', 'musicldm']
const TRANSFORMERS = ['sd3', 'pixart', 'pixart-sigma', 'flux', 'flux-schnell']
const FAMILIES = [...UNETS, ...TRANSFORMERS]
const inStages = (family: string): boolean =>
  ['unet', 'transformer'].some((role) => existsSync(join(familyFolder(family), role, 'plan.json')))

for (const family of FAMILIES) {
  for (const stages of inStages(family) ? [false, true] : [false]) {
    let pipeline: Pipeline
    for (const recorded of recordedCases(family).filter(({ without }) => without === undefined)) {
      test(`${family}${stages ? ' in stages' : ''}, ${recorded.name}: what diffusers gives`, async () => {
        pipeline ??= await load(familyFolder(family), { threads: 1, stages })
        const { latents, images, audio } = await pipeline.generate(optionsOf(recorded))
        // Two engines, a few steps of float32.
        const error = relativeError(latents, recorded.final.data)
        assert.ok(error < 1e-4, `relative error ${error}`)
        assert.equal([images.length, audio.length], recorded.audio ? [0, 1] : [recorded.final.shape[0], 0])
        images.forEach(({ data }, b) => assertPicture(data, recorded.image, b * data.length))
        for (const { samples, sampleRate } of audio) {
          assert.is(sampleRate, 16_000)
          assert.ok(relativeError(samples, recorded.audio.data) < 1e-3)
        }
      })
    }
    test.after(() => pipeline.dispose())
  }
}

test('sd3 without T5: zeros in place of what it says, as in diffusers', async () => {
  const [recorded] = recordedCases('sd3').filter(({ without }) => without !== undefined)
  const folder = mkdtempSync(join(tmpdir(), 'sada-sd3-'))
  cpSync(familyFolder('sd3'), folder, { recursive: true })
  for (const part of recorded.without as string[]) rmSync(join(folder, part), { recursive: true })
  const pipeline = await load(folder, { threads: 1 })
  const { latents } = await pipeline.generate(optionsOf(recorded))
  await pipeline.dispose()
  rmSync(folder, { recursive: true })
  const error = relativeError(latents, recorded.final.data)
  assert.ok(error < 1e-4, `relative error ${error}`)
})

test('flux: a tokenizer of fewer than 512 tokens says how many of a prompt are read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-flux-'))
  cpSync(familyFolder('flux'), folder, { recursive: true })
  const settings = join(folder, 'tokenizer_2/tokenizer_config.json')
  const own = JSON.parse(readFileSync(settings, 'utf8')) as object
  const call = { prompt: 'the cat and the dog', steps: 1, width: 32, height: 32, policy: 'none' } as const
  const made = async (length: number, maxSequenceLength?: number) => {
    writeFileSync(settings, JSON.stringify({ ...own, model_max_length: length }))
    const pipeline = await load(folder, { threads: 1 })
    const { latents } = await pipeline.generate({ ...call, maxSequenceLength })
    await pipeline.dispose()
    return latents
  }
  const asked = await made(512, 24)
  assert.equal(await made(24), asked)
  assert.equal(await made(4096), await made(512))
  assert.not.equal(await made(512), asked)
  rmSync(folder, { recursive: true })
})

test('sd3: sides are whole patches, no further than the network knows positions', async () => {
  const pipeline = await load(familyFolder('sd3'), { threads: 1 })
  const call = { prompt: 'a cat', steps: 1, guidanceScale: 1, maxSequenceLength: 16, height: 16 }
  assert.is((await pipeline.generate({ ...call, width: 96 })).images[0].width, 96)
  for (const [width, said] of [
    [100, /"width" to be at most 96/],
    [34, /"width" to be a multiple of 4/],
  ] as const)
    assert.match(String(await pipeline.generate({ ...call, width }).catch((e: unknown) => e)), said)
  await pipeline.dispose()
})

test('sd3: text encoders that are not of the width that the network takes are refused at load', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-sd3-'))
  cpSync(familyFolder('sd3'), folder, { recursive: true })
  cpSync(join(familyFolder('flux'), 'text_encoder_2'), join(folder, 'text_encoder_3'), { recursive: true })
  const error = await load(folder, { threads: 1 }).catch((e: unknown) => e)
  rmSync(folder, { recursive: true })
  assert.match(String(error), /text encoders with 64 features.*ones with 24, 32, 32/)
})

test('pixart: a network that is told half of a size, or of no mask, is refused at load', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-pixart-'))
  const graph = join(folder, 'transformer/model.onnx')
  const changes: [from: string, to: string, said: RegExp][] = [
    ['aspect_ratio', 'aspect_rati0', /no input but .*resolution/],
    ['encoder_attention_mask', 'encoder_attention_task', /an input encoder_attention_mask/],
  ]
  for (const [from, to, said] of changes) {
    cpSync(familyFolder('pixart'), folder, { recursive: true })
    writeFileSync(graph, Buffer.from(readFileSync(graph).toString('latin1').replaceAll(from, to), 'latin1'))
    const error = await load(folder, { threads: 1, stages: false }).catch((e: unknown) => e)
    assert.match(String(error), said)
  }
  rmSync(folder, { recursive: true })
})

test('pixart: capitals and blanks around a prompt are nothing to it, and what is read of it is what was asked for', async () => {
  const call = { steps: 2, width: 32, height: 32, policy: 'none' } as const
  for (const [family, length] of [
    ['pixart', 120],
    ['pixart-sigma', 300],
  ] as const) {
    const pipeline = await load(familyFolder(family), { threads: 1 })
    const { latents } = await pipeline.generate({ ...call, prompt: 'the dog on the road' })
    assert.equal((await pipeline.generate({ ...call, prompt: '  The DOG on the road\n' })).latents, latents)
    const words = 'the cat and the dog '.repeat(40)
    const [dropped, more] = [
      await pipeline.generate({ ...call, prompt: words }),
      await pipeline.generate({ ...call, prompt: words, maxSequenceLength: length - 20 }),
    ].map(({ droppedTokens }) => droppedTokens[0])
    assert.ok(dropped > 0, `${dropped} tokens dropped`)
    assert.is(more, dropped + 20)
    await pipeline.dispose()
  }
})

test('sdxl: from noise negative sizes count together, with a crop of their own; from a picture each by itself, with the crop of the others', async () => {
  const pipeline = await load(familyFolder('sdxl'), { threads: 1 })
  const own = [32, 32] as const
  const init = { width: 32, height: 32, data: Uint8Array.from({ length: 1024 }, (_, k) => (k * 7) % 256) }
  const [noise, picture] = [undefined, init].map((from) => async (sizes: Partial<GenerateOptions>) => {
    const start = from ? { init: from } : { width: 32, height: 32 }
    return (await pipeline.generate({ prompt: 'a cat', steps: 2, policy: 'none', ...start, ...sizes })).latents
  })
  const [original, target] = [{ negativeOriginalSize: [16, 16] }, { negativeTargetSize: own }] as const
  const crop = { negativeCropTopLeft: [1, 2] } as const
  assert.equal(await noise(original), await noise({}))
  assert.not.equal(await noise({ ...original, ...target }), await noise({}))
  assert.not.equal(await noise({ ...original, ...target, ...crop }), await noise({ ...original, ...target }))
  const told = await picture(original)
  assert.equal(told, await picture({ ...original, ...target, ...crop }))
  assert.not.equal(told, await picture({}))
  const cut = { cropTopLeft: [4, 8] } as const
  assert.equal(await picture({ ...cut, negativeOriginalSize: own, ...target }), await picture(cut))
  assert.not.equal(await noise({ ...cut, negativeOriginalSize: own, ...target }), await noise(cut))
  await pipeline.dispose()
})

test('sdxl: no negative prompt is zeros unless the folder says otherwise: the default of diffusers’ pipelines', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-sdxl-'))
  cpSync(familyFolder('sdxl'), folder, { recursive: true })
  const index = JSON.parse(readFileSync(join(folder, 'model_index.json'), 'utf8')) as object
  const made = async (forced: boolean | undefined, negativePrompt?: string) => {
    writeFileSync(join(folder, 'model_index.json'), JSON.stringify({ ...index, force_zeros_for_empty_prompt: forced }))
    const pipeline = await load(folder, { threads: 1 })
    const call = { prompt: 'a cat', negativePrompt, steps: 2, width: 16, height: 16, policy: 'none' } as const
    const { latents } = await pipeline.generate(call)
    await pipeline.dispose()
    return latents
  }
  const zeros = await made(true)
  assert.equal(await made(undefined), zeros)
  assert.equal(await made(false), await made(true, ''))
  assert.not.equal(await made(false), zeros)
  rmSync(folder, { recursive: true })
})

test('sdxl: tokens count as dropped where either encoder has no room for them', async () => {
  const pipeline = await load(familyFolder('sdxl'), { threads: 1 })
  const long = 'cat '.repeat(100)
  const dropped = async (prompt: string, secondPrompt?: string) =>
    (await pipeline.generate({ prompt, secondPrompt, steps: 1, width: 16, height: 16, policy: 'none' })).droppedTokens
  const both = await dropped(long)
  assert.ok(both[0] > 0)
  assert.equal([await dropped('a', long), await dropped(long, 'a'), await dropped('a', 'a')], [both, both, [0]])
  await pipeline.dispose()
})

test('steps and guidance where nothing is asked are those of diffusers’ pipelines, the size that of the network', async () => {
  const expected: Record<string, [steps: number, guidance: number, side: number]> = {
    sd2: [50, 7.5, 32],
    sdxl: [50, 5, 32],
    sd3: [28, 7, 32],
    flux: [28, 3.5, 256],
    'flux-schnell': [4, 1, 256],
    pixart: [20, 4.5, 256],
    musicldm: [200, 2, 0],
  }
  for (const [family, [steps, guidanceScale, side]] of Object.entries(expected)) {
    const pipeline = await load(familyFolder(family), { threads: 1 })
    const { defaults, size } = pipeline
    assert.equal([defaults.steps, defaults.guidanceScale, ...size], [steps, guidanceScale, side, side], family)
    await pipeline.dispose()
  }
})

test('guidance takes effect above 1, as in diffusers: below it there is none, and no negative prompt is read', async () => {
  for (const family of ['sd2', 'sdxl', 'sd3', 'pixart', 'musicldm']) {
    const pipeline = await load(familyFolder(family), { threads: 1 })
    const size = family === 'musicldm' ? {} : { width: 32, height: 32 }
    const latentsOf = async (guidanceScale: number, negativePrompt?: string) =>
      (await pipeline.generate({ prompt: 'a cat', guidanceScale, negativePrompt, steps: 2, policy: 'none', ...size })).latents
    const none = await latentsOf(1)
    for (const guidance of [0, 0.5]) assert.equal(await latentsOf(guidance, 'the dog'), none, `${family}, ${guidance}`)
    assert.not.equal(await latentsOf(1.5), none, family)
    await pipeline.dispose()
  }
})

const TOKENIZERS = [
  { ids: 'ids', prompt: 'prompt', tokenizer: 'tokenizer' },
  { ids: 'negative_ids', prompt: 'negative_prompt', tokenizer: 'tokenizer' },
  { ids: 'ids_2', prompt: 'prompt', tokenizer: 'tokenizer_2' },
]

test('tokenizers of the folders give the ids recorded with them', async () => {
  let compared = 0
  for (const family of FAMILIES) {
    const folder = await Folder.open(familyFolder(family))
    for (const recorded of recordedCases(family)) {
      for (const { ids, prompt, tokenizer } of TOKENIZERS.filter((each) => recorded[each.ids] !== undefined)) {
        const wanted = recorded[ids] as number[]
        assert.equal((await TextTokenizer.load(folder, tokenizer)).encode(recorded[prompt], wanted.length).ids, wanted)
        compared++
      }
    }
  }
  assert.ok(compared > 30)
})

test.run()
