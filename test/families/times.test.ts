import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../ts/index.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { relativeError } from '../support/families.ts'

// What networks are told of times between two whole ones, on a model made of formulas (test/fixtures/layouts/make.py) whose noise is
// 0.1·sample + time/1000 + 0.01·(mean of the text states).

const layouts = join(__dirname, '../fixtures/layouts')

for (const [layout, told] of [
  ['scalar-whole-time', Math.trunc],
  ['diffusers-onnx', Math.trunc],
  ['scalar-time', (time: number) => time],
  ['optimum', (time: number) => time],
] as const) {
  test(`${layout}: ${told === Math.trunc ? 'what is behind the point is cut off' : 'all of it'}, as in diffusers`, async () => {
    const own = JSON.parse(readFileSync(join(layouts, layout, 'scheduler/scheduler_config.json'), 'utf8')) as object
    const scheduler = { ...own, _class_name: 'EulerDiscreteScheduler', timestep_spacing: 'linspace' }
    const { timesteps, sigmas, initNoiseSigma } = createSchedule(parseSchedulerConfig(scheduler).config, { steps: 5 })
    assert.equal([...timesteps], [999, 749.25, 499.5, 249.75, 0])
    // Start, a, cat, end, and padding with end.
    const text = [2, 0, 1, 3, 3, 3, 3, 3].reduce((sum, id) => sum + id, 0) / 8 / 1000
    let x = [...new TorchGenerator(3).randn(64)].map((each) => each * initNoiseSigma)
    for (const [i, time] of timesteps.entries())
      x = x.map(
        (each) =>
          each + (sigmas[i + 1] - sigmas[i]) * ((0.1 * each) / Math.sqrt(sigmas[i] ** 2 + 1) + told(time) / 1000 + 0.01 * text),
      )
    const pipeline = await load(join(layouts, layout), { threads: 1 })
    const { latents } = await pipeline.generate({
      prompt: 'a cat',
      scheduler,
      steps: 5,
      seed: 3,
      guidanceScale: 1,
      policy: 'none',
    })
    await pipeline.dispose()
    // Five steps of float32.
    assert.ok(relativeError(latents, x) < 1e-5, String(relativeError(latents, x)))
  })
}

test.run()
