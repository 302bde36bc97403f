import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type Pipeline } from '../../ts/index.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { familyFolder, relativeError } from '../support/families.ts'
import { field, initializer, integers, model, node, shape, tensor, value } from '../support/onnx.ts'

// SDXL's refiner has the second text encoder alone, and is told five sizes: the original's, the crop's, and how pleasing the picture is.

/** One number for each size that the network is told. */
const WEIGHTS = [0.01, 0.02, 0.04, 0.08, 0.16]
/** A network whose noise is everywhere the sum of the weighted sizes and the mean of the text. */
const network = model([
  initializer(tensor('weights', [5, 1], field(9, Buffer.from(Float32Array.from(WEIGHTS).buffer)))),
  initializer(shape('everywhere', [-1, 1, 1, 1])),
  node('MatMul', { inputs: ['time_ids', 'weights'], outputs: ['weighted'] }),
  node('Reshape', { inputs: ['weighted', 'everywhere'], outputs: ['sizes'] }),
  node('ReduceMean', { inputs: ['encoder_hidden_states'], outputs: ['mean'], attributes: [integers('axes', [1, 2])] }),
  node('Reshape', { inputs: ['mean', 'everywhere'], outputs: ['text'] }),
  node('Sub', { inputs: ['sample', 'sample'], outputs: ['none'] }),
  node('Add', { inputs: ['none', 'sizes'], outputs: ['told'] }),
  node('Add', { inputs: ['told', 'text'], outputs: ['out_sample'] }),
  value(11, 'sample', [-1, 4, -1, -1]),
  value(11, 'timestep', [1]),
  value(11, 'encoder_hidden_states', [-1, -1, 32]),
  value(11, 'text_embeds', [-1, 32]),
  value(11, 'time_ids', [-1, 5]),
  value(12, 'out_sample', [-1, 4, -1, -1]),
])

const folder = mkdtempSync(join(tmpdir(), 'sada-refiner-'))
let pipeline: Pipeline
test.before(async () => {
  cpSync(familyFolder('sdxl'), folder, { recursive: true })
  for (const part of ['text_encoder', 'tokenizer', 'unet/plan.json']) rmSync(join(folder, part), { recursive: true })
  writeFileSync(join(folder, 'unet/model.onnx'), network)
  pipeline = await load(folder, { threads: 1 })
})
test.after(async () => {
  await pipeline.dispose()
  rmSync(folder, { recursive: true })
})
const call = { prompt: 'a cat', scheduler: 'dpm++', steps: 1, guidanceScale: 3, width: 32, height: 16, policy: 'none' } as const
const latentsOf = async (options: Partial<GenerateOptions>): Promise<Float32Array> =>
  (await pipeline.generate({ ...call, ...options })).latents

test('what the refiner is told, by hand: negative sizes count each by itself, with a crop of their own', async () => {
  const text = readFileSync(join(folder, 'scheduler/scheduler_config.json'), 'utf8')
  const { alpha, sigma } = createSchedule(parseSchedulerConfig(text, 'dpm++').config, { steps: 1 }).levels[0]
  const plain = await latentsOf({})
  const noise = (sizes: readonly number[]): number => sizes.reduce((sum, each, k) => sum + WEIGHTS[k] * each, 0)
  const guided = (given: readonly number[], withheld: readonly number[]): number =>
    noise([...withheld, 2.5]) + 3 * (noise([...given, 6]) - noise([...withheld, 2.5]))
  const own = guided([16, 32, 0, 0], [16, 32, 0, 0])
  const cases: [Partial<GenerateOptions>, number][] = [
    [{ originalSize: [64, 80] }, guided([64, 80, 0, 0], [64, 80, 0, 0])],
    [{ cropTopLeft: [4, 8] }, guided([16, 32, 4, 8], [16, 32, 0, 0])],
    [{ negativeOriginalSize: [8, 24] }, guided([16, 32, 0, 0], [8, 24, 0, 0])],
    [{ negativeCropTopLeft: [1, 2], targetSize: [5, 5], negativeTargetSize: [6, 6] }, guided([16, 32, 0, 0], [16, 32, 1, 2])],
  ]
  for (const [options, expected] of cases) {
    const change = (await latentsOf(options)).map((each, k) => each - plain[k])
    const wanted = change.map(() => (-sigma * (expected - own)) / alpha)
    // Differences of float32 numbers of some hundreds.
    assert.ok(relativeError(change, wanted) < 1e-4, `${JSON.stringify(options)}: ${change[0]}, by hand ${wanted[0]}`)
  }
})

test('where a run begins in the middle of another, nothing says how much of it is left but "denoisingStart"', async () => {
  const picture = { width: 32, height: 16, data: Uint8Array.from({ length: 512 }, (_, k) => (k * 7) % 256) }
  for (const init of [picture, { latents: Float32Array.from({ length: 4 * 16 * 8 }, (_, k) => Math.sin(k)) }]) {
    const begun = { init, denoisingStart: 0.5, steps: 4 }
    const expected = await latentsOf(begun)
    for (const strength of [0.25, 1]) assert.equal(await latentsOf({ ...begun, strength }), expected)
  }
})

test('a guided output that is the same everywhere has no spread to bring back, and stays as it is', async () => {
  assert.equal(await latentsOf({ guidanceRescale: 0.7 }), await latentsOf({}))
})

test('the only text encoder reads the prompt, whatever the second one is', async () => {
  const plain = await latentsOf({ negativePrompt: 'blurry' })
  const others = { secondPrompt: 'the dog', negativeSecondPrompt: 'road' }
  assert.equal(await latentsOf({ negativePrompt: 'blurry', ...others }), plain)
  assert.not.equal(await latentsOf({ negativePrompt: 'blurry', prompt: 'the dog' }), plain)
  assert.not.equal(await latentsOf({ negativePrompt: 'road' }), plain)
})

test.run()
