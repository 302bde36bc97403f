import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../ts/index.ts'
import { psnr } from '../../ts/metrics/psnr.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import type { NetworkFunction } from '../../ts/sampler/callback-network.ts'
import { LENGTH, mixtureNetwork, runInJs } from '../support/run.ts'

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

test('a run whose first measurement alone has ended it says how little its PSNR is worth', async () => {
  // The exact denoiser of N(0, 1/4): near pure noise its clean sample is next to nothing, and so are the errors of predicting it.
  const gaussian: NetworkFunction = ({ sample, alpha, sigma }) =>
    sample.map((x) => (x - (alpha * alpha * x) / (alpha * alpha + 4 * sigma * sigma)) / sigma)
  const made = async (network: NetworkFunction) => {
    const call = { scheduler: 'dpm++', latents: [new TorchGenerator(3).randn(LENGTH)], network } as const
    const full = await runInJs({ ...call, policy: 'none' })
    const { latents, trace } = await runInJs({ ...call, policy: { name: 'auto', target: { psnrDb: 40 } } })
    return { psnr: psnr(latents, full.latents), runs: trace.members[0].nfe, warnings: trace.warnings }
  }
  const far = await made(gaussian)
  assert.ok(far.psnr < 20 && far.runs === 3, JSON.stringify(far))
  assert.match(
    far.warnings?.join() ?? '',
    /^After 3 network runs the rest was predicted, .* the PSNR may be far below its target\.$/,
  )
  const near = await made(mixtureNetwork('dpm++'))
  assert.ok(near.psnr > 30 && near.runs > 3 && near.warnings === undefined, JSON.stringify(near))
})

test.run()
