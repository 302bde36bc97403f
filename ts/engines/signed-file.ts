import { constants } from 'node:buffer'
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { SadaError } from '../errors.ts'

// magic · length of the header · header (JSON) · content · HMAC-SHA256 of all that

const MAGIC = Buffer.from('SADAENG1')
const MAC_BYTES = 32
/** What Node reads and hashes at once is less than 2 GiB; engines may be larger. */
const PIECE = 1 << 30
const LARGEST_HEADER = 1 << 20

/** Writes a file whole or not at all. */
export async function writeSigned(path: string, header: object, content: Uint8Array, secret: Buffer): Promise<void> {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(text.length)
  const parts = [MAGIC, length, text, content]
  const mac = createHmac('sha256', secret)
  for (const part of parts) update(mac, part)
  await writeWhole(path, [...parts, mac.digest()])
}

/** Writes beside the file, then renames. */
export async function writeWhole(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const unfinished = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    const file = await open(unfinished, 'wx', 0o600)
    try {
      for (const part of parts) await file.writeFile(part)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => {})
    throw error
  }
}

/**
 * A file's header and content; undefined where there is none. The signature is checked first: nothing of a file is believed before.
 * Throws ENGINE_UNTRUSTED.
 */
export async function readSigned(path: string, secret: Buffer): Promise<{ header: unknown; content: Uint8Array } | undefined> {
  const bytes = await readWhole(path)
  if (bytes === undefined) return undefined
  const signed = bytes.subarray(0, Math.max(0, bytes.length - MAC_BYTES))
  const mac = update(createHmac('sha256', secret), signed).digest()
  const given = bytes.subarray(signed.length)
  if (signed.length < MAGIC.length + 4 || given.length !== MAC_BYTES || !timingSafeEqual(mac, given)) {
    throw new SadaError('ENGINE_UNTRUSTED', `${path} is not what this user's sada wrote: its signature is wrong.`)
  }
  const end = MAGIC.length + 4 + signed.readUInt32LE(MAGIC.length)
  return { header: JSON.parse(signed.subarray(MAGIC.length + 4, end).toString()) as unknown, content: signed.subarray(end) }
}

/** The header of a file, unchecked: for lists alone. */
export async function readHeader(path: string): Promise<unknown> {
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const start = Buffer.alloc(MAGIC.length + 4)
    await file.read(start, 0, start.length, 0)
    const length = start.readUInt32LE(MAGIC.length)
    if (!start.subarray(0, MAGIC.length).equals(MAGIC) || length > LARGEST_HEADER) return undefined
    const header = Buffer.alloc(length)
    await file.read(header, 0, length, start.length)
    return JSON.parse(header.toString()) as unknown
  } catch {
    return undefined
  } finally {
    await file.close()
  }
}

/** A file's bytes, also where it is larger than `readFile` takes; undefined where it cannot be read, or is none. */
export async function readWhole(path: string): Promise<Buffer | undefined> {
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const found = await file.stat()
    if (!found.isFile()) return undefined
    const { size } = found
    if (size > constants.MAX_LENGTH)
      throw new SadaError(
        'MODEL_TOO_LARGE',
        `${path} has ${size} bytes; Node ${process.versions.node} takes ${constants.MAX_LENGTH}.`,
      )
    const bytes = Buffer.allocUnsafeSlow(size)
    return bytes.subarray(0, await fill(file, bytes))
  } finally {
    await file.close()
  }
}

async function fill(file: FileHandle, bytes: Buffer): Promise<number> {
  let at = 0
  while (at < bytes.length) {
    const { bytesRead } = await file.read(bytes, at, Math.min(PIECE, bytes.length - at), at)
    if (bytesRead === 0) break
    at += bytesRead
  }
  return at
}

/** `hash.update`, for any length. */
export function update<H extends { update(bytes: Uint8Array): unknown }>(hash: H, bytes: Uint8Array): H {
  for (let at = 0; at < bytes.length; at += PIECE) hash.update(bytes.subarray(at, at + PIECE))
  return hash
}
