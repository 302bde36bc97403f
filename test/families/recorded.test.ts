import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type Pipeline } from '../../ts/index.ts'
import { assertPicture, familyFolder, optionsOf, recordedCases, relativeError } from '../support/families.ts'

// Every family against diffusers' own pipelines on the same weights: final latents, and the pictures or sounds made of them.

/** Recorded calls of what is not supported (docs/families.md). */
const UNSUPPORTED = ['a prompt for each encoder', 'guidance rescaled']

for (const family of ['sd2', 'sdxl', 'sd2-controlnet', 'sdxl-controlnet', 'flux', 'flux-schnell']) {
  let pipeline: Pipeline
  for (const recorded of recordedCases(family).filter(({ name }) => !UNSUPPORTED.includes(name))) {
    test(`${family}, ${recorded.name}: latents and picture are what diffusers gives`, async () => {
      pipeline ??= await load(familyFolder(family), { threads: 1 })
      const { latents, images } = await pipeline.generate(optionsOf(recorded))
      // Two engines, a few steps of float32.
      const error = relativeError(latents, recorded.final.data)
      assert.ok(error < 1e-4, `relative error ${error}`)
      const length = images[0].data.length
      images.forEach(({ data }, b) => assertPicture(data, recorded.image, b * length))
    })
  }
  test.after(() => pipeline.dispose())
}

let music: Pipeline
for (const recorded of recordedCases('musicldm')) {
  test(`musicldm, ${recorded.name}: latents and sound are what diffusers gives`, async () => {
    music ??= await load(familyFolder('musicldm'), { threads: 1 })
    const { latents, images, audio } = await music.generate(optionsOf(recorded))
    assert.ok(relativeError(latents, recorded.final.data) < 1e-4)
    assert.equal(images, [])
    assert.is(audio[0].sampleRate, 16_000)
    const error = relativeError(audio[0].samples, recorded.audio.data)
    assert.ok(error < 1e-3, `relative error ${error}`)
  })
}
test.after(() => music.dispose())

test.run()
