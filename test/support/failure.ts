import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'

/** What work rejects with; it has to. */
export const failure = (work: Promise<unknown>): Promise<SadaError> =>
  work.then(
    () => assert.unreachable('no failure') as never,
    (error: SadaError) => error,
  )
