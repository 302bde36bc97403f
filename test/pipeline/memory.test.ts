import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type Pipeline, type SadaError } from '../../ts/index.ts'
import { loadFamily } from '../../ts/families/index.ts'
import type { Family } from '../../ts/families/family.ts'
import { Pipeline as Pipe } from '../../ts/pipeline/pipeline.ts'
import { countedMemory, expectQuoted } from '../support/counted-memory.ts'
import { familyFolder } from '../support/families.ts'

/** `pipeline.memory`: the plan that a run's workspace is made from. */

let pipeline: Pipeline
test.before(async () => {
  pipeline = await load('avatar', { threads: 1 })
})
test.after(() => pipeline.dispose())

const prompt = ['a teal robot with round eyes', 'a kid', 'a fox']
// Of three members some run whose rows do not follow each other.
const batch = { prompt, seed: [1, 2, 3], steps: 10 }
const calls: GenerateOptions[] = [
  { prompt: 'a kid', steps: 4, policy: 'none' },
  { prompt: 'a kid', steps: 12, guidanceScale: 1 },
  { ...batch, policy: 'sada' },
  { ...batch, policy: { name: 'sada', unstable: 1000, tolerance: 1e-4 } }, // pruned passes
  { ...batch, policy: { name: 'sada', preset: 'poster' } },
  { ...batch, policy: 'sada-reference' },
  { ...batch, policy: 'first-block-cache' },
  { ...batch, policy: { name: 'dbcache', order: 2, warmup: 3, threshold: 0.5 } },
  { ...batch, policy: 'deepcache', guidanceScale: 1 },
  { ...batch, policy: 'teacache' },
  { ...batch, policy: 'dicache' },
  { ...batch, policy: { name: 'every-n', order: 3, warmup: 4, tail: 1 }, audit: 0.5 },
]

for (const options of calls) {
  test(`${JSON.stringify({ ...options, prompt: undefined })}: what is quoted is what is allocated`, async () => {
    const { quote } = await expectQuoted(pipeline, options)
    assert.is(quote.device, 'cpu')
    assert.equal(quote.host, { pinned: 0, copies: 0 })
    assert.equal(quote.warnings, [])
  })
}

test('a budget is kept, says what it took, and takes no more than it must', async () => {
  const options = { ...batch, policy: { name: 'dbcache', order: 2, warmup: 3, threshold: 0.5 } }
  const whole = await pipeline.memory(options)
  // Half of what is remembered of stages is one step away.
  const memory = { budget: whole.bytes - 1 }
  const { quote, result } = await expectQuoted(pipeline, { ...options, memory })
  assert.equal(quote.storage, { history: 'float32', features: 'bfloat16' })
  assert.is(quote.warnings.length, 1)
  assert.match(quote.warnings[0], `${memory.budget} bytes: outputs of stages are remembered in bfloat16`)
  assert.equal(result.trace.warnings?.slice(0, 1), quote.warnings)
  assert.ok(result.trace.members.some(({ steps }) => steps.some(({ action }) => action === 'partial')))

  const fewer = await expectQuoted(pipeline, { ...options, memory: { budget: quote.bytes - 1 } })
  assert.match(fewer.quote.warnings.at(-1)!, /"order" is 1 instead of 2/)
  assert.is(fewer.result.trace.options.order, 1)

  const refusal = await pipeline.memory({ ...options, memory: { budget: 1000 } }).then(
    () => assert.unreachable() as never,
    (error: SadaError) => error,
  )
  assert.equal([refusal.code, refusal.argument], ['INVALID_ARGUMENT', 'memory.budget'])
  const least = Number(/at least (\d+)/.exec(refusal.message)![1])
  assert.is((await pipeline.memory({ ...options, memory: { budget: least } })).bytes, least)
})

test('features in bfloat16 change a picture by no more than such a rounding can', async () => {
  const options: GenerateOptions = { prompt: 'a kid', steps: 10, policy: { name: 'deepcache', interval: 3 } }
  const { bytes } = await pipeline.memory(options)
  const whole = await pipeline.generate(options)
  const half = await pipeline.generate({ ...options, memory: { budget: bytes - 1 } })
  const worst = half.latents.reduce((most, value, k) => Math.max(most, Math.abs(value - whole.latents[k])), 0)
  // Features are rounded to half a unit of 8 bits, 0.2 %, at two of three steps; pictures span −1 … 1.
  assert.ok(worst > 0 && worst < 0.1, `differs by ${worst}`)
})

test('the memory of a run is given back before the autoencoder works', async () => {
  const before = countedMemory()
  const family = await loadFamily(familyFolder('sd2'), { threads: 1 })
  const begin: Family['begin'] = async (...given) => {
    const run = await family.begin(...given)
    const finish: typeof run.finish = (...made) => {
      assert.equal(countedMemory(), before)
      return run.finish(...made)
    }
    return { ...run, finish }
  }
  const watched = new Pipe(Object.create(family, { begin: { value: begin } }) as Family)
  let during = before.bytes
  const onStep = () => void (during = countedMemory().bytes)
  const { images } = await watched.generate({ prompt: 'a cat', steps: 2, width: 32, height: 32, onStep })
  assert.ok(during > before.bytes)
  assert.is(images.length, 1)
  await watched.dispose()
})

test('options are checked as for a run', async () => {
  const refused = (options: object): Promise<SadaError> =>
    pipeline.memory({ prompt: 'a kid', ...options }).then(
      () => assert.unreachable() as never,
      (error: SadaError) => error,
    )
  assert.is((await refused({ steps: 0 })).argument, 'steps')
  assert.is((await refused({ policy: 'sadda' })).code, 'UNKNOWN_NAME')
  assert.is((await refused({ memory: 'much' })).argument, 'memory')
})

test.run()
