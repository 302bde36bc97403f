import { randomUUID } from 'node:crypto'
import { open, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'

const POLL_MS = 50
/** A lock that its owner has not touched for so long is nobody's: process ids come again, in containers at every start. */
const STALE_MS = 60_000

export interface Waiting {
  readonly signal?: AbortSignal
  /** Called once, where someone else has the lock. */
  readonly onWait?: () => void
}

/**
 * Waits until this process holds the lock file, and returns what ends that. A lock is taken over at once where its process on this machine
 * is gone, and where nobody has touched it for `staleMs`. Rejects with the signal's reason, or where the file cannot be made.
 */
export async function lockFile(
  path: string,
  { signal, onWait, staleMs = STALE_MS }: Waiting & { readonly staleMs?: number } = {},
): Promise<() => Promise<void>> {
  const content = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() })
  const [seen, takers] = [new Sighting(staleMs), new Sighting(staleMs)]
  for (let isTold = false; ;) {
    signal?.throwIfAborted()
    try {
      const file = await open(path, 'wx', 0o600)
      try {
        await file.writeFile(content)
      } catch (error) {
        await rm(path, { force: true }) // an empty lock would keep others waiting
        throw error
      } finally {
        await file.close()
      }
      return hold(path, content, staleMs)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const found = await seen.look(path)
    if (found.isStale) {
      await takeAway(path, found.content, content, takers)
      continue
    }
    if (!isTold) onWait?.()
    isTold = true
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** Touches the lock while it is held. */
function hold(path: string, content: string, staleMs: number): () => Promise<void> {
  const touch = (): void => {
    const now = new Date()
    utimes(path, now, now).catch(() => {}) // it may have been taken over
  }
  const timer = setInterval(touch, staleMs / 6)
  timer.unref()
  return () => {
    clearInterval(timer)
    return removeIf(path, content)
  }
}

/**
 * Removes a stale lock, one process at a time: who has found it stale but comes second would remove the lock of who came first. `own`: what
 * this process is known by.
 */
async function takeAway(path: string, stale: string, own: string, takers: Sighting): Promise<void> {
  const taking = `${path}.taking`
  try {
    await writeFile(taking, own, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    const found = await takers.look(taking)
    if (found.isStale) await removeIf(taking, found.content)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    return
  }
  try {
    await removeIf(path, stale)
  } finally {
    await removeIf(taking, own)
  }
}

/** Removes the lock that says this: another process may have taken it over. Rejects for what is no file. */
async function removeIf(path: string, content: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => content)) === content) await rm(path, { force: true })
}

/** A lock as one process sees it: by its own clock, so that those of machines on a shared disk need not agree. */
class Sighting {
  private readonly staleMs: number
  private last = ''
  private since = 0

  constructor(staleMs: number) {
    this.staleMs = staleMs
  }

  async look(path: string): Promise<{ content: string; isStale: boolean }> {
    const found = await stat(path).catch(() => undefined)
    const content = await readFile(path, 'utf8').catch(() => '')
    const now = `${found?.mtimeMs} ${content}`
    if (now !== this.last) [this.last, this.since] = [now, performance.now()]
    return { content, isStale: isOfGoneProcess(content) || performance.now() - this.since > this.staleMs }
  }
}

function isOfGoneProcess(content: string): boolean {
  try {
    const owner = JSON.parse(content) as { pid?: unknown; host?: unknown }
    if (owner.host !== hostname() || typeof owner.pid !== 'number') return false
    process.kill(owner.pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' // anything else: another user's process, or a lock that is being written
  }
}
