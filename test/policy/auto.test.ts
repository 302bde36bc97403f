import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../ts/index.ts'
import { psnr } from '../../ts/metrics/psnr.ts'

// Targets that time decides are in auto.serial.test.ts.

test('pictures of the bundled model come out at the PSNR that was asked for, to a few decibels', async () => {
  const prompts = JSON.parse(readFileSync('models/avatar/prompts.json', 'utf8')) as { full: string[] }
  const pipeline = await load('avatar')
  for (const scheduler of ['flow-euler', 'dpm++', 'euler']) {
    const call = { prompt: prompts.full[1], seed: 1001, scheduler, steps: 50, guidanceScale: 3 }
    const full = await pipeline.generate({ ...call, policy: 'none' })
    const { latents, trace } = await pipeline.generate({ ...call, policy: { name: 'auto', target: { psnrDb: 40 } } })
    const reached = psnr(latents, full.latents)
    // In the median of 32 pictures it is off by 2.4 to 2.7 (bench/results/targets.json), here by 2.1 at most.
    assert.ok(Math.abs(reached - 40) < 4, `${scheduler}: ${reached} dB`)
    assert.is(trace.members[0].steps.at(-1)!.action, 'extrapolate')
  }
  await pipeline.dispose()
})

test.run()
