import { getEventListeners } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, sample, SadaError } from '../../ts/index.ts'
import { awaited, finished, isOfCaller, orAborted, rejectionOf } from '../../ts/sampler/abort.ts'
import { configs, mixtureNetwork } from '../support/run.ts'

test('work that fails after its signal fired, before or while it was waited for, is no unhandled rejection', async () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', note)
  const enough = new Error('enough')
  for (const isBefore of [true, false]) {
    const stop = new AbortController()
    if (isBefore) stop.abort(enough)
    let fail: (error: Error) => void = () => {}
    const work = new Promise<never>((_, reject) => (fail = reject))
    const waiting = orAborted(work, stop.signal).then(
      () => assert.unreachable(),
      (error: unknown) => error,
    )
    stop.abort(enough)
    assert.is(await waiting, enough)
    fail(new Error('The run was aborted.'))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  process.off('unhandledRejection', note)
  assert.equal(unhandled, [])
})

test('a job that a signal or its own failure ends is told to; what it rejects with is the reason, or says where it failed', async () => {
  const [aborted, lost] = ['ABORTED', 'DEVICE_LOST'].map((code) => Object.assign(new Error('gone'), { code }))
  for (const [isStopped, error] of [
    [true, aborted],
    [false, lost],
  ] as const) {
    const stop = new AbortController()
    let fail: (error: Error) => void = () => {}
    let told = 0
    const job = { done: new Promise<never>((_, reject) => (fail = reject)), abort: () => told++ }
    const waiting = finished(job, stop.signal, { step: 3, stage: 'unet' }).then(
      () => assert.unreachable(),
      (rejection: unknown) => rejection,
    )
    if (isStopped) stop.abort(aborted)
    else fail(error)
    const rejection = await waiting
    assert.is(told, 1)
    if (isStopped) assert.is(rejection, aborted)
    else assert.equal((({ code, step, stage }) => [code, step, stage])(rejection as SadaError), ['DEVICE_LOST', 3, 'unet'])
  }
  assert.is(await finished({ done: Promise.resolve(7), abort: assert.unreachable }, new AbortController().signal, {}), 7)
})

test("a signal's reason and what onStep throws come as they are, also with a code that is one of this package's", async () => {
  const pipeline = await load('avatar')
  const own = { scheduler: configs['dpm++'], shape: [1, 4, 8, 8], seed: 1, steps: 3, network: mixtureNetwork('dpm++') }
  for (const code of ['ABORTED', 'INTERNAL', 'DEVICE_LOST'])
    for (const call of [
      (given: object) => sample({ ...own, ...given }),
      (given: object) => pipeline.generate({ prompt: 'a robot', steps: 3, ...given }),
    ]) {
      const error = Object.assign(new Error('mine'), { code })
      const stop = new AbortController()
      const fail = (): never => {
        throw error
      }
      for (const given of [{ onStep: fail }, { signal: stop.signal, onStep: () => stop.abort(error) }])
        assert.is(await call(given).catch((e: unknown) => e), error, code)
    }
  // Nor does a GPU that another pipeline lost end this one.
  const lost = new SadaError('DEVICE_LOST', 'elsewhere')
  const stop = new AbortController()
  const call = { prompt: 'a robot', steps: 3, signal: stop.signal, onStep: () => stop.abort(lost) }
  assert.is(await pipeline.generate(call).catch((e: unknown) => e), lost)
  assert.is((await pipeline.generate({ prompt: 'a robot', steps: 1 })).images.length, 1)
  await pipeline.dispose()
})

test('a callback’s promise is waited for, and no longer than until the signal fires', async () => {
  const stop = new AbortController()
  let isDone = false
  await awaited(async () => {
    await new Promise((resolve) => setTimeout(resolve, 10))
    isDone = true
  }, stop.signal)(0)
  assert.ok(isDone)
  const reason = new Error('enough')
  const waiting = awaited(() => new Promise(() => {}), stop.signal)(0) as Promise<void>
  stop.abort(reason)
  const error = await waiting.catch((e: unknown) => e)
  assert.is(rejectionOf(error, stop.signal), reason)
})

test('an error is the caller’s own where a callback threw it, or where it is the reason of a signal that has fired', async () => {
  const [before, after] = [new AbortController(), new AbortController()]
  const reason = new Error('enough')
  after.abort(reason)
  const thrown = await (awaited(() => Promise.reject(reason), before.signal)(0) as Promise<void>).catch((e: unknown) => e)
  for (const signal of [undefined, before.signal, after.signal]) {
    assert.ok(isOfCaller(thrown, signal))
    assert.not.ok(isOfCaller(new Error('enough'), signal))
    // A signal that has not fired has no reason, also not that one.
    assert.not.ok(isOfCaller(undefined, signal))
  }
  assert.equal([isOfCaller(reason, before.signal), isOfCaller(reason, after.signal)], [false, true])
})

test('a signal keeps nothing of work that is done', async () => {
  const { signal } = new AbortController()
  await orAborted(Promise.resolve(), signal)
  await orAborted(Promise.reject(new Error('failed')), signal).catch(() => {})
  assert.is(getEventListeners(signal, 'abort').length, 0)
})

test.run()
