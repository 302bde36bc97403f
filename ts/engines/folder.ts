import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder, and those it lies in, where they are not there; says which it made, outermost first. Node's own way of that never ends where a folder takes no others
 * (`/proc`): it makes its parent again and again.
 */
export async function makeFolder(path: string, mode = 0o777): Promise<string[]> {
  const folder = resolve(path)
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory()) return []
  const parent = dirname(folder)
  const isAlone = found === undefined && (await stat(parent).catch(() => undefined)) === undefined
  const made = isAlone ? await makeFolder(parent, mode) : []
  try {
    await mkdir(folder, mode)
    return [...made, folder]
  } catch (error) {
    // Another process may have been faster.
    if (!(await stat(folder).catch(() => undefined))?.isDirectory()) throw error
    return made
  }
}
