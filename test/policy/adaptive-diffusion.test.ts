import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import { isSkip, testNeverAndDefault, testRecorded } from '../support/rivals.ts'
import { LENGTH, runInJs } from '../support/run.ts'

testRecorded('adaptive-diffusion')
testNeverAndDefault('adaptive-diffusion', { maxConsecutive: 0 })
testNeverAndDefault('adaptive-diffusion', { threshold: 0 })

test('adaptive-diffusion: the trace has how unevenly the lengths of steps change, from the third on; a skip follows where that is at most 0', async () => {
  const states = [new TorchGenerator(1).randn(LENGTH)]
  const spec = { scheduler: 'flow-euler', policy: 'adaptive-diffusion', latents: [states[0]] } as const
  const { steps } = (await runInJs({ ...spec, onStep: ({ state }) => states.push(state()) })).trace.members[0]
  const lengths = steps.map((_, i) => states[i].reduce((sum, x, k) => sum + Math.abs(states[i + 1][k] - x), 0) / LENGTH)
  for (const [i, { criterion }] of steps.entries()) {
    if (i < 2) assert.is(criterion, undefined)
    else {
      const [d, d1, d2] = [lengths[i], lengths[i - 1], lengths[i - 2]]
      const expected = Math.abs((d + d2) / 2 - d1) - 0.01 * d1
      // Means of float32 differences.
      assert.ok(Math.abs(criterion! - expected) <= 1e-5 * d1, `step ${i}: ${criterion}, ${expected}`)
      if (i < 49 && isSkip(steps[i + 1])) assert.ok(criterion! <= 0)
    }
  }
})

test.run()
