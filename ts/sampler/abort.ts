import type { SadaErrorDetails } from '../errors.ts'
import { asSadaError } from '../native/load.ts'

/** A signal that never fires, for runs without one. */
export const never: AbortSignal = new AbortController().signal

/** What a user's callback threw, on its way to the caller. */
class Thrown extends Error {}

/** A user's callback, as something to wait for: as long as its promise takes, or until the signal fires. What it throws rejects, for `rejectionOf`. */
export function awaited<T>(callback: (event: T) => unknown, signal: AbortSignal): (event: T) => unknown {
  return async (event) => {
    try {
      const pending = callback(event)
      if (pending !== undefined) await orAborted(Promise.resolve(pending), signal)
    } catch (error) {
      throw new Thrown('', { cause: error })
    }
  }
}

/** Whether an error of a run is the caller's own: what a callback threw, or the signal's reason. */
export function isOfCaller(error: unknown, signal: AbortSignal | undefined): boolean {
  return error instanceof Thrown || (signal?.aborted === true && error === signal.reason)
}

/** What a call rejects with: the caller's own errors as they are, whatever `code` they have; else a `SadaError`. */
export function rejectionOf(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!isOfCaller(error, signal)) return asSadaError(error)
  return error instanceof Thrown ? error.cause : error
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it fires, whatever `work` does. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal === never) return work
  // Nobody waits for it any more: an error of it is no unhandled one, which would end the process.
  work.catch(() => {})
  signal.throwIfAborted()
  let stop = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** What a job of the addon's gives. Rejects with the signal's reason, at once, when it fires, which ends the job too; else with a `SadaError`. */
export async function finished<T>(
  job: { readonly done: Promise<T>; abort(): void },
  signal: AbortSignal,
  details: SadaErrorDetails,
): Promise<T> {
  try {
    return await orAborted(job.done, signal)
  } catch (error) {
    job.abort()
    signal.throwIfAborted()
    throw asSadaError(error, details)
  }
}
