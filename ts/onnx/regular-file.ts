import { constants, type BigIntStats } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { posix } from 'node:path'
import { SadaError } from '../errors.ts'

/** A file that is open for reading, and what it was when it was opened. */
export interface RegularFile {
  readonly path: string
  readonly handle: FileHandle
  readonly found: BigIntStats
}

/** Opens a regular file; no link is followed at the end of its path. Throws MODEL_NOT_FOUND, PATH_UNSAFE. The caller closes it. */
export async function openRegular(path: string): Promise<RegularFile> {
  // Not blocking: opening a pipe would wait for someone to write to it. Windows knows neither flag.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)
  const handle = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new SadaError('MODEL_NOT_FOUND', `${path} does not exist.`, { cause: error })
    const what = error.code === 'ELOOP' ? 'is a link' : `cannot be opened as a regular file: ${error.message}`
    throw new SadaError('PATH_UNSAFE', `${path} ${what}.`, { cause: error })
  })
  try {
    const found = await handle.stat({ bigint: true })
    if (!found.isFile()) throw new SadaError('PATH_UNSAFE', `${path} is not a regular file.`)
    return { path, handle, found }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Throws MODEL_CHANGED where the file was written to since it was opened. */
export async function checkUnchanged({ path, handle, found }: RegularFile): Promise<void> {
  const now = await handle.stat({ bigint: true })
  if (now.size !== found.size || now.mtimeNs !== found.mtimeNs || now.ctimeNs !== found.ctimeNs)
    throw new SadaError('MODEL_CHANGED', `${path} was written to while it was read. Load it again when nothing writes to it.`)
}

/** The bytes of a regular file, all of one moment. Throws MODEL_TOO_LARGE, MODEL_CHANGED and what `openRegular` throws. */
export async function readRegular(path: string, most: number): Promise<Buffer> {
  const file = await openRegular(path)
  try {
    const size = Number(file.found.size)
    if (size > most) throw new SadaError('MODEL_TOO_LARGE', `${path} has ${size} bytes; at most ${most} are read.`)
    const bytes = Buffer.allocUnsafeSlow(size)
    let done = 0
    while (done < size) {
      const { bytesRead } = await file.handle.read(bytes, done, size - done, done)
      if (bytesRead === 0) throw new SadaError('MODEL_CHANGED', `${path} became shorter while it was read.`)
      done += bytesRead
    }
    await checkUnchanged(file)
    return bytes
  } finally {
    await file.handle.close()
  }
}

/** A path that stays below its folder, as it is. Throws PATH_ESCAPE; the path is not looked at. */
export function checkRelative(path: string): string {
  const parts = path.split(/[/\\]/)
  const isPlain = path !== '' && !/^[/\\]|^[A-Za-z]:|\0/.test(path) && !parts.includes('..')
  if (!isPlain) throw new SadaError('PATH_ESCAPE', `The path ${JSON.stringify(path)} leads out of the model folder.`)
  return posix.normalize(path.replaceAll('\\', '/'))
}
