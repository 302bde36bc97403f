import { existsSync } from 'node:fs'
import { lstat, readdir, rm, utimes } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import * as v from 'valibot'
import { SadaError } from '../errors.ts'
import { engineKey, timingKey, type EngineDescription } from './description.ts'
import { makeFolder } from './folder.ts'
import { lockFile, type Waiting } from './lock.ts'
import { secretOf } from './secret.ts'
import { readHeader, readSigned, writeSigned } from './signed-file.ts'

export interface CachedEngine extends EngineDescription {
  readonly key: string
  readonly bytes: number
  readonly usedAt: Date
}

const SUFFIX = '.engine'
/** What this writes in its folder: files of other names are someone else's. */
const OURS = /^[0-9a-f]{64}\.(engine|runtime|timing)(\.\d+\.[0-9a-f]{8})?$/
/** What counts towards the limit, and goes where it is unused: engines, and what was compiled for them. */
const LARGE = /^([0-9a-f]{64})\.(engine|runtime)$/
/** What `writeWhole` writes aside, and how long no write takes. */
const UNFINISHED = /\.\d+\.[0-9a-f]{8}$/
const ABANDONED_MS = 60 * 60 * 1000
/** Engines of a few large models. */
const MOST_BYTES = 16 * 2 ** 30

/** What is believed of a header without its signature. */
const listed = v.object({
  model: v.string(),
  stage: v.string(),
  source: v.string(),
  flavour: v.string(),
  version: v.string(),
  targets: v.array(v.number()),
  gpu: v.optional(v.string()),
  profiles: v.unknown(),
})

/** The user's cache folder for compiled engines: `SADA_CACHE`, else `sada/engines` where the platform keeps caches. */
export function cacheFolder(): string {
  const own = process.env.SADA_CACHE
  if (own) return join(own, 'engines')
  if (process.platform === 'win32')
    return join(absolute(process.env.LOCALAPPDATA) ?? join(homedir(), 'AppData', 'Local'), 'sada', 'engines')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'sada', 'engines')
  return join(absolute(process.env.XDG_CACHE_HOME) ?? join(homedir(), '.cache'), 'sada', 'engines')
}

/** As XDG has it, an empty or relative path counts as none: it would be another folder for each that a process starts in. */
const absolute = (path = ''): string | undefined => (isAbsolute(path) ? path : undefined)

/** What is kept beside engines: of which engines it is, and what it is for people. */
const BESIDE = {
  timing: { keyOf: timingKey, what: 'What the builder measured' },
  runtime: { keyOf: engineKey, what: 'What the library compiled for this GPU' },
}

/**
 * Compiled engines on disk. They are code: each is signed with a random key that only this user can read and that never leaves this
 * folder, and a signature is checked before anything else is made of a file. A file is written whole or not at all; processes that
 * want the same engine make it once. Where the folder cannot be written nothing is kept, with one warning.
 */
export class EngineCache {
  readonly folder: string
  private readonly mostBytes: number
  private readonly warn: (message: string) => void
  /** Engines that were read or kept here: a model's own, which it will want again together. */
  private readonly used = new Set<string>()
  /** Engines that the library refused, and that could not be deleted. */
  private readonly forgotten = new Set<string>()
  /** Of what it was said that it is not kept: a model has several of each. */
  private readonly unkept = new Set<string>()

  constructor(
    folder = cacheFolder(),
    { mostBytes = MOST_BYTES, warn = warnProcess }: { mostBytes?: number; warn?: (message: string) => void } = {},
  ) {
    this.folder = folder
    this.mostBytes = mostBytes
    this.warn = warn
  }

  /** The engine of this description: the one that is kept, or what `build` makes, once for all processes. Rejects with the signal's reason. */
  async obtain(description: EngineDescription, build: () => Promise<Uint8Array>, waiting: Waiting = {}): Promise<Uint8Array> {
    const kept = await this.read(description)
    if (kept !== undefined) return kept
    const key = engineKey(description)
    let unlock: () => Promise<void>
    try {
      unlock = await this.lock(key, waiting)
    } catch (error) {
      waiting.signal?.throwIfAborted()
      this.warnUnkept(error)
      return build()
    }
    try {
      const made = await this.read(description) // by the process that had the lock
      if (made !== undefined) return made
      const engine = await build()
      await this.write(description, engine)
      return engine
    } finally {
      // Where the folder takes no changes any more the lock stays, and is taken over as one that nobody touches.
      await unlock().catch(() => {})
    }
  }

  /** The kept engine of this description. One that was changed, cut or put there by someone else is deleted, with a warning. */
  async read(description: EngineDescription): Promise<Uint8Array | undefined> {
    const key = engineKey(description)
    const path = this.path(key)
    if (this.forgotten.has(path)) return undefined
    const engine = await this.readChecked(path, (header) => engineKey(header) === key)
    if (engine === undefined) return undefined
    this.used.add(key)
    await touch(path)
    return engine
  }

  /**
   * What the builder measured in earlier builds for the same library and targets (`timing`), or what the library compiled of this engine for
   * this GPU in earlier runs (`runtime`); one that was changed is deleted, with a warning.
   */
  async readBeside(kind: keyof typeof BESIDE, description: EngineDescription): Promise<Uint8Array | undefined> {
    const { keyOf } = BESIDE[kind]
    const path = this.path(keyOf(description), kind)
    const found = await this.readChecked(path, (header) => keyOf(header) === keyOf(description))
    if (found === undefined) return undefined
    this.used.add(keyOf(description))
    await touch(path)
    return found
  }

  /** Keeps what is measured or compiled now, which includes what `readBeside` gave. Of writers at the same time the last one's is kept. */
  async writeBeside(kind: keyof typeof BESIDE, description: EngineDescription, bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return
    const { keyOf, what } = BESIDE[kind]
    try {
      await makeFolder(this.folder, 0o700)
      await writeSigned(this.path(keyOf(description), kind), description, bytes, await this.secret())
      this.used.add(keyOf(description))
      await this.evict()
    } catch (error) {
      this.warnUnkept(error, `${what} is`)
    }
  }

  private async readChecked(path: string, isWanted: (header: EngineDescription) => boolean): Promise<Uint8Array | undefined> {
    if (!existsSync(path)) return undefined
    let secret: Buffer
    try {
      secret = await this.secret()
    } catch (error) {
      this.warn(`Kept engines are not used: ${(error as Error).message}`)
      return undefined
    }
    try {
      const found = await readSigned(path, secret)
      if (found === undefined) return undefined
      if (isWanted(found.header as EngineDescription)) return found.content
      throw new SadaError('ENGINE_INCOMPATIBLE', `${path} was made for something else.`)
    } catch (error) {
      // What a disk or a network's folder did not hand over may be as it was.
      const isWrong = error instanceof SadaError && (error.code === 'ENGINE_UNTRUSTED' || error.code === 'ENGINE_INCOMPATIBLE')
      this.warn(`${(error as Error).message} It is ${isWrong ? 'deleted and ' : ''}made again.`)
      if (isWrong) await rm(path, { force: true }).catch(() => {})
      return undefined
    }
  }

  /** Deletes the engine of this description, where there is one; one that cannot be deleted is not read any more. */
  async forget(description: EngineDescription): Promise<void> {
    const path = this.path(engineKey(description))
    await rm(path, { force: true }).catch(() => this.forgotten.add(path))
  }

  /** Every kept engine, the last used first; of those that cannot be read nothing. Unchecked: for lists alone. */
  async list(): Promise<CachedEngine[]> {
    const found: CachedEngine[] = []
    for (const { name, bytes, usedAt } of await this.files()) {
      const header = name.endsWith(SUFFIX) ? await readHeader(join(this.folder, name)) : undefined
      if (v.is(listed, header)) found.push({ ...header, key: name.slice(0, -SUFFIX.length), bytes, usedAt })
    }
    return found
  }

  /** Deletes everything but the key and locks, also what was damaged or left unfinished; returns how many engines that were, and all bytes. */
  async clear(): Promise<{ engines: number; bytes: number }> {
    let [engines, bytes] = [0, 0]
    for (const file of await this.files()) {
      await rm(join(this.folder, file.name), { force: true }).catch((cause: unknown) => {
        const message = `An engine could not be deleted: ${(cause as Error).message}`
        throw new SadaError('OUTPUT_FAILED', message, { cause })
      })
      if (file.name.endsWith(SUFFIX)) engines++
      bytes += file.bytes
    }
    return { engines, bytes }
  }

  /** The cache's files, the last used first. Other processes' may come and go meanwhile. */
  private async files(): Promise<{ name: string; bytes: number; usedAt: Date }[]> {
    const names = await readdir(this.folder).catch(() => [])
    const found = await Promise.all(
      names
        .filter((name) => OURS.test(name))
        .map(async (name) => {
          const file = await lstat(join(this.folder, name)).catch(() => undefined)
          return file === undefined || file.isDirectory() ? [] : [{ name, bytes: file.size, usedAt: file.mtime }]
        }),
    )
    return found.flat().sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime())
  }

  private path(key: string, kind: 'engine' | keyof typeof BESIDE = 'engine'): string {
    return join(this.folder, `${key}.${kind}`)
  }

  private async write(description: EngineDescription, engine: Uint8Array): Promise<void> {
    const key = engineKey(description)
    try {
      await writeSigned(this.path(key), description, engine, await this.secret())
      this.used.add(key)
      await this.evict()
    } catch (error) {
      this.warnUnkept(error)
    }
  }

  /**
   * Deletes the engines that were not used for the longest time, and what was compiled for such, until the rest fits, but none that were
   * used here: a model with more than fits would be built at every load. And what processes that ended in the middle left unfinished.
   */
  private async evict(): Promise<void> {
    let left = 0
    for (const { name, bytes, usedAt } of await this.files()) {
      const [, key] = LARGE.exec(name) ?? []
      if (key !== undefined) left += bytes
      const isAbandoned = UNFINISHED.test(name) && Date.now() - usedAt.getTime() > ABANDONED_MS
      const isTooMuch = key !== undefined && left > this.mostBytes && !this.used.has(key)
      // One that cannot be deleted is tried again with the next engine.
      if (isAbandoned || isTooMuch) await rm(join(this.folder, name), { force: true }).catch(() => {})
    }
  }

  private warnUnkept(error: unknown, what = 'Engines are'): void {
    if (!this.unkept.has(what)) this.warn(`${what} not kept: ${(error as Error).message}`)
    this.unkept.add(what)
  }

  private secret(): Promise<Buffer> {
    return secretOf(this.folder)
  }

  private async lock(key: string, waiting: Waiting): Promise<() => Promise<void>> {
    await makeFolder(this.folder, 0o700)
    return lockFile(join(this.folder, `${key}.lock`), waiting)
  }
}

async function touch(path: string): Promise<void> {
  const now = new Date()
  await utimes(path, now, now).catch(() => {})
}

function warnProcess(message: string): void {
  process.emitWarning(message, { type: 'SadaWarning' })
}
