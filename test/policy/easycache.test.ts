import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'
import { LENGTH, runInJs } from '../support/run.ts'

testRecorded('easycache')
testNeverAndDefault('easycache', { threshold: 0 })

test('easycache: reusing output − input of a network that predicts noise is announced with its factor', async () => {
  const run = (scheduler: 'flow-euler' | 'dpm++' | 'euler', warmup: number, prediction?: 'sample') =>
    runInJs({ scheduler, prediction, policy: { name: 'easycache', warmup }, latents: [new TorchGenerator(1).randn(LENGTH)] })
  // σ/α at step 10 as diffusers' schedulers have it, `sigmas[10]`: 4.2975 and 4.6917.
  for (const [scheduler, factor] of [
    ['dpm++', '4.3'],
    ['euler', '4.7'],
  ] as const) {
    const { trace } = await run(scheduler, 10)
    assert.match(trace.warnings![0], `into x0 ${factor} times over at step 10`)
    assert.is((await run(scheduler, 45)).trace.warnings, undefined)
    assert.is((await run(scheduler, 1000)).trace.warnings!.length, 1)
    assert.is((await run(scheduler, 10, 'sample')).trace.warnings, undefined)
  }
  assert.is((await run('flow-euler', 10)).trace.warnings, undefined)
})

test.run()
