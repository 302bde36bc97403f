import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type Pipeline } from '../../ts/index.ts'
import { failure } from '../support/failure.ts'

let pipeline: Pipeline
test.before(async () => {
  pipeline = await load('avatar')
})
test.after(() => pipeline.dispose())

const robot: GenerateOptions = { prompt: 'a teal robot with round eyes', seed: 7, steps: 6 }

test('256 calls may be in progress: one more is refused until one of them has ended', async () => {
  const controllers = Array.from({ length: 256 }, () => new AbortController())
  const runs = controllers.map(({ signal }) => pipeline.generate({ ...robot, signal }).catch((e: unknown) => e))
  assert.is((await failure(pipeline.generate(robot))).code, 'QUEUE_FULL')
  controllers[0].abort()
  assert.is(await runs[0], controllers[0].signal.reason)
  const another = new AbortController()
  const admitted = pipeline.generate({ ...robot, signal: another.signal }).catch((e: unknown) => e)
  for (const each of [...controllers, another]) each.abort()
  assert.is(await admitted, another.signal.reason)
  await Promise.all(runs)
})

test('many calls at once are no leak of listeners', async () => {
  const warnings: Error[] = []
  const listen = (warning: Error): number => warnings.push(warning)
  process.on('warning', listen)
  await Promise.all(Array.from({ length: 12 }, () => pipeline.generate({ ...robot, steps: 1 })))
  await new Promise(setImmediate)
  process.off('warning', listen)
  assert.equal(warnings, [])
})

test.run()
