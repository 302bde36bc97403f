import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { link, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from './folder.ts'

const KEY_BYTES = 32

/**
 * The key of a folder's signatures, made at first use. One that others can read, or made, is no secret: it is replaced, and what was signed with
 * it is not believed any more. Rejects where the folder cannot hold a private key.
 */
export async function secretOf(folder: string): Promise<Buffer> {
  const path = join(folder, 'key')
  await makeFolder(folder, 0o700)
  const known = await read(path)
  if (known) return known
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    const file = await open(own, 'wx', 0o600)
    try {
      await file.writeFile(randomBytes(KEY_BYTES))
      await file.sync()
    } finally {
      await file.close()
    }
    // Whole at once, and never over another process's: who comes second takes the first one's.
    await link(own, path).catch(async () => {
      if ((await read(path)) === undefined) await rename(own, path)
    })
  } finally {
    await rm(own, { force: true })
  }
  const made = await read(path)
  if (made) return made
  throw new Error(`${folder} cannot hold a key that is private to this user.`)
}

/** Undefined where there is none, or none to believe. */
async function read(path: string): Promise<Buffer | undefined> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    return isPrivate(await file.stat()) ? await file.readFile() : undefined
  } finally {
    await file.close()
  }
}

/** Windows has no such modes; there the folder is in the user's own. */
function isPrivate(found: Stats): boolean {
  if (!found.isFile() || found.size !== KEY_BYTES) return false
  return process.getuid === undefined || (found.uid === process.getuid() && (found.mode & 0o077) === 0)
}
