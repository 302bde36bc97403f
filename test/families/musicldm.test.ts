import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type Pipeline, type SadaError } from '../../ts/index.ts'
import { familyFolder } from '../support/families.ts'

// How long sounds are, counted by hand from the fixture's configuration: a vocoder that makes 4 · 2 samples of each frame, 16 000 a second, and an
// autoencoder that halves the frames once. What the sounds are is in recorded.test.ts.

let pipeline: Pipeline
test.before(async () => {
  pipeline = await load(familyFolder('musicldm'), { threads: 1 })
})
test.after(() => pipeline.dispose())

const sound = async (seconds?: number): Promise<number> => {
  const { audio } = await pipeline.generate({ prompt: 'a piano', steps: 1, policy: 'none', seconds })
  assert.is(audio[0].sampleRate, 16_000)
  return audio[0].samples.length
}

test('what the model is made for: 16 latents, two frames each, eight samples each', async () => {
  assert.equal(pipeline.sound, { sampleRate: 16_000, seconds: 256 / 16_000 })
  assert.equal([pipeline.defaults.steps, pipeline.defaults.guidanceScale], [200, 2])
  assert.is(await sound(), 256)
})

test('as many samples as the seconds have, rounded down, from one latent on', async () => {
  for (const [seconds, samples] of [
    [0.001, 16],
    [0.0015, 24],
    [0.03, 480],
    [0.0321, 513],
  ])
    assert.is(await sound(seconds), samples, `${seconds} s`)
})

test('less than a latent, or more than ten minutes, is no length', async () => {
  for (const seconds of [0, -1, 0.0009, 600.001, Infinity, NaN]) {
    const error = (await sound(seconds).catch((each: unknown) => each)) as SadaError
    assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', 'seconds'], `${seconds} s: ${error.message}`)
  }
})

test.run()
