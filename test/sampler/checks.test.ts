import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SadaError } from '../../ts/errors.ts'
import { load, sample } from '../../ts/index.ts'

const options = {
  scheduler: { _class_name: 'EulerDiscreteScheduler' },
  steps: 2,
  shape: [1, 4],
  seed: 1,
  network: ({ sample }: { sample: Float32Array }) => Promise.resolve(sample),
}
const refusal = (call: () => Promise<unknown>): Promise<SadaError> =>
  call().then(
    () => assert.unreachable() as never,
    (error: unknown) => error as SadaError,
  )

test('what is no object of options, no signal or no callback is refused by name, before anything runs', async () => {
  const pipeline = await load('avatar')
  const calls = [
    (given: unknown) => sample(given as never),
    (given: unknown) => pipeline.generate(given as never),
    async (given: unknown) => {
      for await (const event of pipeline.stream(given as never)) assert.unreachable(event.type)
    },
  ]
  for (const call of calls) {
    for (const bad of [undefined, null, 7, 'x']) assert.is((await refusal(() => call(bad))).argument, 'options')
    const whole = { ...options, prompt: 'a robot', shape: call === calls[0] ? options.shape : undefined }
    for (const bad of [7, {}, null]) {
      const error = await refusal(() => call({ ...whole, signal: bad }))
      assert.instance(error, SadaError)
      assert.is(error.argument, 'signal')
      assert.is((await refusal(() => call({ ...whole, onStep: bad }))).argument, 'onStep')
    }
  }
  await pipeline.dispose()
  assert.is((await refusal(() => load('avatar', null as never))).argument, 'settings')
})

test.run()
