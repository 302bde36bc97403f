import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Folder } from '../../ts/families/folder.ts'
import { TextTokenizer } from '../../ts/families/tokenizers.ts'
import { load, type Pipeline } from '../../ts/index.ts'
import { assertPicture, familyFolder, optionsOf, recordedCases, relativeError } from '../support/families.ts'

// Every family against diffusers' own pipelines on the same weights: final latents, and the pictures or sounds made of them.

const FAMILIES = ['sd2', 'sd2-inpainting', 'sdxl', 'sd2-controlnet', 'sdxl-controlnet', 'flux', 'flux-schnell', 'musicldm']
const inStages = (family: string): boolean =>
  ['unet', 'transformer'].some((role) => existsSync(join(familyFolder(family), role, 'plan.json')))

for (const family of FAMILIES) {
  for (const stages of inStages(family) ? [false, true] : [false]) {
    let pipeline: Pipeline
    for (const recorded of recordedCases(family)) {
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
