import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'
import { LENGTH, runInJs } from '../support/run.ts'

testRecorded('taylorseer')
testNeverAndDefault('taylorseer', { interval: 1 })

test('taylorseer: an order that a run never reaches is announced', async () => {
  // Runs at 0, 1, 2, 8, 14: differences of order 1 at 2, of order 2 at 8, of order 3 at 14.
  const traceOf = async (order: number) => {
    const policy = { name: 'taylorseer', order }
    return (await runInJs({ scheduler: 'euler', policy, steps: 20, latents: [new TorchGenerator(1).randn(LENGTH)] })).trace
  }
  const { members, warnings } = await traceOf(4)
  assert.is(members[0].nfe, 5)
  assert.equal(warnings, ['Order 4 is never reached in 20 steps: 3 is.'])
  assert.is((await traceOf(3)).warnings, undefined)
})

test.run()
