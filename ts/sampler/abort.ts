/** A signal that never fires, for runs without one. */
export const never: AbortSignal = new AbortController().signal

/** A user's callback, as something to wait for: as long as its promise takes, or until the signal fires. What it throws rejects. */
export function awaited<T>(callback: (event: T) => unknown, signal: AbortSignal): (event: T) => unknown {
  return (event) => {
    const pending = callback(event)
    return pending === undefined ? undefined : orAborted(Promise.resolve(pending), signal)
  }
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
