import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import type { PolicySpec } from '../../ts/policy/index.ts'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'
import { LENGTH, runInJs } from '../support/run.ts'

testRecorded('spectrum')
testNeverAndDefault('spectrum', { window: 1, growth: 0 })
testNeverAndDefault('spectrum', { stop: 0 })

test('spectrum: steps beyond the axis of the fit are announced', async () => {
  const warningsOf = async (policy: PolicySpec) =>
    (await runInJs({ scheduler: 'euler', policy, latents: [new TorchGenerator(1).randn(LENGTH)], steps: 60 })).trace.warnings
  assert.match((await warningsOf('spectrum'))![0], 'set span to 60')
  assert.is(await warningsOf({ name: 'spectrum', span: 60 }), undefined)
})

test.run()
