import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { orAborted } from '../../ts/sampler/abort.ts'

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

test.run()
