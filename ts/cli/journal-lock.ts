import { rmdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { outputFailed } from '../bench/file-errors.ts'
import { makeFolder } from '../engines/folder.ts'
import { lockFile } from '../engines/lock.ts'

/**
 * Waits until no other process adds to a file of finished runs, as each would make all of them, and returns what lets others. What a killed process
 * leaves of it keeps nobody waiting for longer than a minute. Rejects with the signal's reason; throws OUTPUT_FAILED.
 */
export async function lockJournal(path: string, signal: AbortSignal): Promise<() => Promise<void>> {
  const onWait = (): void => void process.stderr.write(`Another process adds runs to ${path}: waiting until it ends.\n`)
  let folders: readonly string[] = []
  const removeFolders = async (): Promise<void> => {
    for (const folder of [...folders].reverse()) await rmdir(folder).catch(() => {}) // one that is used stays
  }
  try {
    folders = await makeFolder(dirname(resolve(path)))
    const unlock = await lockFile(`${path}.lock`, { signal, onWait })
    return () => unlock().then(removeFolders)
  } catch (error) {
    await removeFolders()
    throw signal.aborted ? error : outputFailed(path, error, 'resume')
  }
}
