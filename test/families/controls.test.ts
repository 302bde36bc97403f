import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type Pipeline, type Pixels } from '../../ts/index.ts'
import { familyFolder } from '../support/families.ts'

// When ControlNets count, and for whom. What diffusers makes of them is in recorded.test.ts.

const picture = (factor: number): Pixels => ({
  width: 32,
  height: 32,
  data: Uint8Array.from({ length: 1024 }, (_, k) => (k * factor) % 256),
})
const image = picture(37)

const running = (family: string, settings: { stages?: boolean } = {}) => {
  let pipeline: Pipeline
  test.before(async () => void (pipeline = await load(familyFolder(family), { threads: 1, ...settings })))
  test.after(() => pipeline.dispose())
  return async (options: Partial<GenerateOptions>): Promise<Float32Array> => {
    const call = { prompt: 'a cat', seed: 3, steps: 8, width: 32, height: 32, policy: 'none' } as const
    return (await pipeline.generate({ ...call, ...options })).latents
  }
}

for (const stages of [true, false]) {
  const latentsOf = running('sd2-controlnet', { stages })
  const how = stages ? 'in stages' : 'whole'

  test(`${how}: without a picture the network is as it is with ones that count nothing`, async () => {
    const none = await latentsOf({ steps: 3 })
    assert.equal(await latentsOf({ steps: 3, control: { image, strength: 0 } }), none)
    assert.not.equal(await latentsOf({ steps: 3, control: { image } }), none)
  })

  test(`${how}: each member is led by its own picture, with guidance as without, or all by one`, async () => {
    const [prompt, images] = [
      ['a cat', 'the dog', 'a road'],
      [image, picture(11), picture(5)],
    ]
    for (const guidanceScale of [1, 4]) {
      const call = { steps: 2, guidanceScale }
      const alone = async (images: readonly Pixels[]): Promise<number[]> => {
        const all: number[] = []
        for (const [b, each] of images.entries())
          all.push(...(await latentsOf({ ...call, prompt: prompt[b], seed: [b], control: { image: each } })))
        return all
      }
      const batch = { ...call, prompt, seed: [0, 1, 2] }
      assert.equal([...(await latentsOf({ ...batch, control: { image: images } }))], await alone(images))
      assert.equal([...(await latentsOf({ ...batch, control: { image } }))], await alone([image, image, image]))
    }
  })
}

const latentsOfXl = running('sdxl-controlnet')

test('a run that ends early is led as the beginning of the whole one is', async () => {
  const half = { denoisingEnd: 0.5 }
  const [led, free] = [await latentsOfXl({ ...half, control: { image } }), await latentsOfXl(half)]
  assert.not.equal(led, free)
  // The whole one has eight steps, four of which are made.
  assert.equal(await latentsOfXl({ ...half, control: { image, end: 0.5 } }), led)
  assert.equal(await latentsOfXl({ ...half, control: { image, start: 0.5 } }), free)
  assert.equal(await latentsOfXl({ ...half, control: { image, end: 0.51 } }), led)
  for (const control of [
    { image, end: 0.49 },
    { image, start: 0.01 },
  ]) {
    const made = await latentsOfXl({ ...half, control })
    for (const other of [led, free]) assert.not.equal(made, other)
  }
})

test.run()
