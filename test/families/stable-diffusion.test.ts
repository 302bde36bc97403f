import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type Pipeline } from '../../ts/index.ts'
import { assertPicture, familyFolder, optionsOf, recordedCases, relativeError } from '../support/families.ts'

let pipeline: Pipeline
test.before(async () => {
  pipeline = await load(familyFolder('sd2'), { threads: 1 })
})
test.after(() => pipeline.dispose())

for (const recorded of recordedCases('sd2')) {
  test(`${recorded.name}: latents and picture are what diffusers gives`, async () => {
    const { latents, images } = await pipeline.generate(optionsOf(recorded))
    // Two engines, a few steps of float32.
    const error = relativeError(latents, recorded.final.data)
    assert.ok(error < 1e-4, `relative error ${error}`)
    const length = images[0].data.length
    images.forEach(({ data }, b) => assertPicture(data, recorded.image, b * length))
  })
}

test.run()
