import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkControls, type ControlNet } from '../../ts/families/controlnet.ts'
import type { Control } from '../../ts/families/family.ts'
import { load, type GenerateOptions, type SadaError } from '../../ts/index.ts'
import { familyFolder } from '../support/families.ts'

// What diffusers makes of ControlNets is in recorded.test.ts, whom they lead and when in policies.test.ts.

const image = { width: 32, height: 32, data: Uint8Array.from({ length: 1024 }, (_, k) => (k * 37) % 256) }

for (const stages of [true, false]) {
  test(`${stages ? 'in stages' : 'whole'}: without a picture the network is as it is with ones that count nothing`, async () => {
    const pipeline = await load(familyFolder('sd2-controlnet'), { threads: 1, stages })
    const latentsOf = async (options: Partial<GenerateOptions>): Promise<Float32Array> => {
      const call = { prompt: 'a cat', seed: 3, steps: 3, width: 32, height: 32, policy: 'none' } as const
      return (await pipeline.generate({ ...call, ...options })).latents
    }
    const none = await latentsOf({})
    assert.equal(await latentsOf({ control: { image, strength: 0 } }), none)
    assert.not.equal(await latentsOf({ control: { image } }), none)
    await pipeline.dispose()
  })
}

test('one prompt with several seeds: what there is one of is that of all pictures, and lists have one for each', async () => {
  const pipeline = await load(familyFolder('sd2-controlnet'), { threads: 1 })
  const other = { ...image, data: image.data.map((value) => 255 - value) }
  const mask = { ...image, data: image.data.map((_, k) => (k % 32 < 16 ? 0 : 255)) }
  const call = { seed: [3, 4], steps: 3, guidanceScale: 5, width: 32, height: 32, init: image, mask }
  for (const each of [
    { negativePrompt: 'a dog', control: { image } },
    { negativePrompt: ['a dog', 'a cow'], control: { image: [image, other] } },
  ]) {
    const options = { ...call, ...each, prompt: ['a cat', 'a cat'] }
    const { latents } = await pipeline.generate({ ...options, prompt: 'a cat' })
    assert.equal(latents, (await pipeline.generate(options)).latents)
    assert.equal(await pipeline.memory({ ...options, prompt: 'a cat' }), await pipeline.memory(options))
  }
  const error = await pipeline
    .generate({ ...call, prompt: 'a cat', negativePrompt: ['a dog'] })
    .catch((e: unknown) => e as SadaError)
  assert.is((error as SadaError).argument, 'negativePrompt')
  await pipeline.dispose()
})

test('one for each ControlNet at most, and no more than one step can add up', () => {
  const controls = (count: number): Control[] => Array<Control>(count).fill({ images: [image] })
  const nets = (count: number) => Array<ControlNet>(count)
  for (const [count, most] of [
    [2, 2],
    [8, 8],
    [9, 8],
  ]) {
    assert.not.throws(() => checkControls(controls(most), nets(count), 1))
    assert.throws(
      () => checkControls(controls(most + 1), nets(count), 1),
      ({ message }: SadaError) => message.includes(`at most ${most} pictures`),
    )
  }
})

test('shares of a run are numbers, and nothing that JavaScript would make one of', () => {
  const refused = (given: object): string | undefined => {
    try {
      checkControls([{ images: [image], ...given }], Array<ControlNet>(1), 1)
      return undefined
    } catch (error) {
      return (error as SadaError).argument
    }
  }
  for (const none of [null, '0.5', true, [0.5], NaN])
    for (const option of ['strength', 'start', 'end'])
      assert.is(refused({ [option]: none }), `control.${option}`, `${option}: ${JSON.stringify(none)}`)
  for (const given of [{}, { start: undefined, end: undefined }, { start: 0, end: 1 }, { start: 0.2, end: 0.5 }])
    assert.is(refused(given), undefined)
})

test.run()
