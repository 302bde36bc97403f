import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SadaError } from '../../ts/errors.ts'
import { sampleMemory } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { sample, type SampleOptions } from '../../ts/sampler/sample.ts'
import { failure } from '../support/failure.ts'

/** The plan of a run's memory: what is quoted is what is allocated, and a budget holds. */

const scheduler = { _class_name: 'FlowMatchEulerDiscreteScheduler' }
const counted = (): number => {
  const { bytes, scratchBytes } = loadAddon().counters()
  return bytes + scratchBytes
}

/** A network that notes the largest allocation it sees. */
function watched(options: Partial<SampleOptions>): { options: SampleOptions; most: () => number } {
  const before = counted()
  let most = 0
  return {
    most: () => most,
    options: {
      scheduler,
      steps: 12,
      shape: [2, 4, 16, 16],
      seed: 1,
      network: ({ sample: x, sigma }) => {
        most = Math.max(most, counted() - before)
        return x.map((value, k) => value * sigma + Math.sin(k))
      },
      ...options,
    },
  }
}

const policies = [
  'none',
  'sada',
  'every-n',
  'sada/poster',
  'sada-reference',
  'taylorseer',
  'hicache',
  'resilphase',
  'easycache',
  'magcache',
  'spectrum',
] as const

for (const policy of policies) {
  test(`${policy}: what is quoted is what is allocated, to the byte`, async () => {
    // 257 × 1 is no multiple of the alignment.
    for (const extra of [{}, { shape: [3, 257] }, { shape: [1, 4, 16, 16], layout: 'channels-first' as const }]) {
      const run = watched({ policy, ...extra })
      const before = counted()
      const quote = await sampleMemory(run.options)
      assert.is(counted(), before, 'quoting allocates nothing')
      await sample(run.options)
      assert.is(run.most(), quote.bytes)
      assert.is(quote.device, 'cpu')
      assert.is(
        Object.values(quote.parts).reduce((sum, part) => sum + part),
        quote.bytes,
      )
    }
  })

  test(`${policy}: within a budget of what is left of it, the run keeps the budget and says what it gave up`, async () => {
    const { options } = watched({ policy })
    const whole = await sampleMemory(options)
    const least = await smallest(options)
    for (const budget of [whole.bytes, whole.bytes - 1, least]) {
      if (budget < least) continue
      const run = watched({ policy, memory: { budget } })
      const quote = await sampleMemory(run.options)
      const { trace, latents } = await sample(run.options)
      assert.ok(run.most() <= budget, `${run.most()} of ${budget}`)
      assert.is(run.most(), quote.bytes)
      assert.equal((trace.warnings ?? []).slice(0, quote.warnings.length), quote.warnings)
      assert.is(quote.warnings.length > 0, budget < whole.bytes)
      assert.ok(latents.every(Number.isFinite))
    }
  })
}

for (const policy of ['taylorseer', 'resilphase']) {
  test(`${policy}: at the least, it remembers one output`, async () => {
    const { options } = watched({ policy: { name: policy, order: 2 } })
    const { warnings } = await sampleMemory({ ...options, memory: { budget: await smallest(options) } })
    assert.match(warnings.at(-1)!, /"order" is 0 instead of 1/)
  })
}

/** What a run takes at the least, as the refusal of a budget of nothing says. */
async function smallest(options: SampleOptions): Promise<number> {
  const refusal = await sampleMemory({ ...options, memory: { budget: 0 } }).then(
    () => assert.unreachable() as never,
    (error: SadaError) => error,
  )
  assert.is(refusal.code, 'INVALID_ARGUMENT')
  assert.is(refusal.argument, 'memory.budget')
  return Number(/at least (\d+)/.exec(refusal.message)![1])
}

test('the least budget is enough, a byte less is refused, and nothing is allocated for it', async () => {
  const { options } = watched({ policy: 'sada' })
  const least = await smallest(options)
  assert.is((await sampleMemory({ ...options, memory: { budget: least } })).bytes, least)
  const before = counted()
  for (const call of [sample, sampleMemory]) {
    await call({ ...options, memory: { budget: least - 1 } }).then(
      () => assert.unreachable(),
      (error: SadaError) => assert.match(error.message, `at least ${least}`),
    )
  }
  assert.is(counted(), before)
})

test('a history in float16 changes the result by no more than its rounding allows', async () => {
  const { options } = watched({ policy: { name: 'every-n', n: 3, warmup: 3 }, steps: 30 })
  const { bytes } = await sampleMemory(options)
  const { storage, warnings } = await sampleMemory({ ...options, memory: { budget: bytes - 1 } })
  // Nothing is said of stages, which this network has none of.
  assert.equal(storage, { history: 'float16', features: 'float32' })
  assert.equal(warnings, [`Memory budget of ${bytes - 1} bytes: the policy's history is kept in float16.`])
  const [whole, half] = [await sample(options), await sample({ ...options, memory: { budget: bytes - 1 } })]
  assert.is(half.trace.warnings![0], warnings[0])
  const largest = Math.max(...whole.latents.map(Math.abs))
  const error = Math.max(...whole.latents.map((value, k) => Math.abs(value - half.latents[k])))
  // Weights of the interpolation add up to less than 3, rounding to half a unit of 11 bits, over some twenty skips.
  assert.ok(error > 0 && error < 3 * 20 * 2 ** -12 * largest, `${error} of ${largest}`)
})

test('budgets that are none are refused', async () => {
  const { options } = watched({})
  const misspelt = sampleMemory({ ...options, memory: { bugdet: 5 } as SampleOptions['memory'] })
  assert.match(String(await misspelt.catch((error: unknown) => error)), /Did you mean "budget"/)
  const none = [{ budget: -1 }, { budget: NaN }, { budget: '1' }, 7, null, [], [5], new Map(), new Date(), () => {}]
  for (const memory of none as unknown as SampleOptions['memory'][]) {
    await sampleMemory({ ...options, memory }).then(
      () => assert.unreachable(),
      (error: SadaError) => {
        assert.is(error.code, 'INVALID_ARGUMENT')
        assert.match(error.argument!, /^memory/)
      },
    )
  }
})

test('a budget is read of an object of any class and realm; without one there is none', async () => {
  const { options } = watched({})
  const whole = await sampleMemory(options)
  class Settings {
    readonly budget = undefined
  }
  for (const memory of [{}, Object.create(null), new Settings(), runInNewContext('({})')] as SampleOptions['memory'][])
    assert.equal(await sampleMemory({ ...options, memory }), whole)
  const foreign = sampleMemory({ ...options, memory: runInNewContext('({ budget: 0 })') as SampleOptions['memory'] })
  assert.is(await foreign.catch((error: SadaError) => error.argument), 'memory.budget')
})

test('of the largest run there is, planning allocates nothing in JavaScript either', async () => {
  const { options } = watched({ shape: [1, 2 ** 31 - 1] })
  const before = process.memoryUsage().arrayBuffers
  assert.ok((await sampleMemory(options)).bytes > 2 ** 33)
  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20)
})

/** While it works, there is no memory for arrays of so many numbers or bytes. */
async function without<T>(length: number, work: () => Promise<T>): Promise<T> {
  const [floats, bytes] = [globalThis.Float32Array, Uint8Array.prototype.slice]
  const fail = (): never => new ArrayBuffer(Number.MAX_SAFE_INTEGER) as never
  globalThis.Float32Array = new Proxy(floats, {
    construct: (target, given: [number]) => (given[0] === length ? fail() : Reflect.construct(target, given)),
  })
  Uint8Array.prototype.slice = function (...range) {
    return this.length === length ? fail() : bytes.apply(this, range)
  }
  try {
    return await work()
  } finally {
    globalThis.Float32Array = floats
    Uint8Array.prototype.slice = bytes
  }
}

test('an array that JavaScript has no memory for is OUT_OF_MEMORY, whichever it is; what a callback has none for is its own', async () => {
  const { options } = watched({ shape: [1, 4, 16, 16], steps: 3 })
  const latents = new Float32Array(1024)
  for (const given of [options, { ...options, seed: undefined, latents }]) {
    const error = await without(1024, () => failure(sample(given)))
    assert.is(error.code, 'OUT_OF_MEMORY')
    assert.match(error.message, /no memory for an array/)
    assert.instance(error.cause, RangeError)
  }
  const onStep = () => new ArrayBuffer(Number.MAX_SAFE_INTEGER)
  const own: unknown = await failure(sample({ ...options, onStep }))
  assert.ok(own instanceof RangeError && !(own instanceof SadaError))
})

test.run()
