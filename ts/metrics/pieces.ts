/** Work in pieces of some milliseconds at most: whoever does it can leave it after each. */
export type Pieces<T> = Generator<undefined, T, undefined>

/** Longest time that pieces may follow each other without letting the event loop turn, in milliseconds. */
const LONGEST_STRETCH_MS = 8

/** All of it at once. */
export function atOnce<T>(work: Pieces<T>): T {
  for (;;) {
    const piece = work.next()
    if (piece.done) return piece.value
  }
}

/** The same while others have the thread in between. Rejects with the signal's reason. */
export async function inTurns<T>(work: Pieces<T>, signal?: AbortSignal): Promise<T> {
  let lastTurn = performance.now()
  for (;;) {
    signal?.throwIfAborted()
    const piece = work.next()
    if (piece.done) return piece.value
    if (performance.now() - lastTurn <= LONGEST_STRETCH_MS) continue
    await new Promise(setImmediate)
    lastTurn = performance.now()
  }
}
