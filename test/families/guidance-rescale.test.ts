import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RescaledNetwork } from '../../ts/families/guidance-rescale.ts'
import { loadFamily } from '../../ts/families/index.ts'
import { load, type GenerateOptions, type Pipeline } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import type { Workspace } from '../../ts/native/types.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import type { Network, NetworkCall } from '../../ts/sampler/network.ts'
import { familyFolder, relativeError } from '../support/families.ts'

// What diffusers makes of rescaled guidance is in recorded.test.ts, of square pictures; here is the formula, by hand, on one step.

const folder = familyFolder('sd2')
let pipeline: Pipeline
test.before(async () => void (pipeline = await load(folder, { threads: 1 })))
test.after(() => pipeline.dispose())

const LENGTH = 4 * 16 * 24
const latentsOf = async (options: Partial<GenerateOptions>): Promise<Float32Array> => {
  const call = { prompt: ['a cat', 'the dog'], seed: [1, 2], scheduler: 'dpm++', steps: 1, policy: 'none' } as const
  return (await pipeline.generate({ ...call, width: 48, height: 32, ...options })).latents
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, each) => sum + each, 0) / values.length
  return Math.sqrt(values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length)
}

test('each member’s guided output gets, by a share, the deviation of the one with the prompt, over all of its values', async () => {
  const text = readFileSync(join(folder, 'scheduler/scheduler_config.json'), 'utf8')
  const schedule = createSchedule(parseSchedulerConfig(text, 'dpm++').config, { steps: 1 })
  assert.is(schedule.prediction, 'epsilon')
  const { alpha, sigma } = schedule.levels[0]
  const share = 0.7
  const [given, guided, rescaled] = [
    await latentsOf({ guidanceScale: 1 }),
    await latentsOf({ guidanceScale: 9 }),
    await latentsOf({ guidanceScale: 9, guidanceRescale: share }),
  ]
  for (const b of [0, 1]) {
    const x = new TorchGenerator(1 + b).randn(LENGTH)
    const outputOf = (latents: Float32Array) => [...x].map((each, k) => (each - alpha * latents[b * LENGTH + k]) / sigma)
    const output = outputOf(guided)
    const factor = (share * deviation(outputOf(given))) / deviation(output) + (1 - share)
    assert.ok(factor < 0.9, `nothing to bring back: ${factor}`)
    const error = relativeError(
      outputOf(rescaled),
      output.map((each) => factor * each),
    )
    // The output is what is left of the difference of two float32 numbers.
    assert.ok(error < 1e-5, `${b}: ${error}`)
  }
})

test('without guidance there is nothing to bring back', async () => {
  assert.equal(await latentsOf({ guidanceScale: 1, guidanceRescale: 0.7 }), await latentsOf({ guidanceScale: 1 }))
})

test('an output without any spread, for which there is no factor, stays as it is', async () => {
  const slice = { tensor: 0, offset: 0 }
  const output = { row: { cond: 2, uncond: -1 }, buffers: { cond: slice, uncond: slice } }
  const network = { guidance: 2, evaluate: () => Promise.resolve([output]) } as unknown as Network
  const workspace = { read: (_tensor: number, _offset: number, into: Float32Array) => into.fill(3) } as unknown as Workspace
  const [{ row }] = await new RescaledNetwork(network, workspace, 4, 0.7).evaluate({} as NetworkCall)
  assert.equal(row, output.row)
})

test('what a network can is the same where its guidance is rescaled', async () => {
  const family = await loadFamily(folder, { threads: 1 })
  const begun = async (guidanceRescale: number) => {
    const workspace = new (loadAddon().Workspace)()
    const request = { prompts: ['a'], seed: 1, steps: 2, guidance: 5, scheduler: 'dpm++', width: 48, height: 32, guidanceRescale }
    const { network } = await family.begin(request, workspace, new AbortController().signal)
    workspace.dispose()
    const { guidance, canPrune, tokens, stages, reusable } = network
    return { guidance, canPrune, layout: tokens?.layout, stages, reusable }
  }
  const plain = await begun(0)
  assert.ok(plain.canPrune)
  assert.equal(await begun(0.7), plain)
  await family.engine.dispose()
})

test.run()
