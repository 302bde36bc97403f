import { randomBytes } from 'node:crypto'
import { chmod, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

/** What a path leads to there is somebody's open file. */
const STREAM = /^\/(dev|proc)\//

/** A disk, or a user's share of it, that takes no more: to begin with what is there would leave neither. */
const FULL = ['ENOSPC', 'EDQUOT']

/**
 * Puts a file in the place of another, which until then stays as it is: written beside it and renamed, with its owner and mode. False, and
 * nothing done, where others would notice, as of a device or a file with several names, or where that cannot be. Throws what a write does.
 */
export async function replaceFile(path: string, data: string | Uint8Array): Promise<boolean> {
  const before = await stat(path).catch(() => undefined)
  if (!before?.isFile() || before.nlink > 1 || STREAM.test(resolve(path))) return false
  const target = await realpath(path)
  const beside = join(dirname(target), `.sada-${process.pid}-${randomBytes(4).toString('hex')}`)
  const file = await open(beside, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (FULL.includes(error.code!)) throw error
  })
  if (file === undefined) return false
  try {
    try {
      const { uid, gid } = await file.stat()
      if (uid !== before.uid || gid !== before.gid) return false
      await file.writeFile(data)
    } finally {
      await file.close()
    }
    return await chmod(beside, before.mode)
      .then(() => rename(beside, target))
      .then(
        () => true,
        () => false,
      )
  } finally {
    await rm(beside, { force: true }).catch(() => {})
  }
}
