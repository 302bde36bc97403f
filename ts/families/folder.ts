import { constants } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { join, posix, sep } from 'node:path'
import { SadaError } from '../errors.ts'

/** Largest configuration or vocabulary file that is read. */
const MOST_TEXT_BYTES = 64 << 20
/** Compiled code: never needed by a model, and nothing here opens it; a folder that brings some is refused all the same. */
const LIBRARY = /\.(so(\.\d+)*|dll|dylib|node|exe)$/i

/** A model folder from anywhere: only regular files inside it are read, whatever its configurations and links say. */
export class Folder {
  /** Its real path. */
  readonly root: string
  private readonly trusted: readonly string[]

  private constructor(root: string, trusted: readonly string[]) {
    this.root = root
    this.trusted = trusted
  }

  /** `linksInto`: a folder that links may lead into as well (the Hugging Face cache keeps its files like that). */
  static async open(path: string, linksInto?: string): Promise<Folder> {
    const root = await realpath(path)
    return new Folder(root, linksInto === undefined ? [root] : [root, await realpath(linksInto)])
  }

  /** Whether there is anything of that name. */
  async has(relative: string): Promise<boolean> {
    return (await this.find(relative)) !== undefined
  }

  /** Names in a subfolder, sorted; none where it does not exist. */
  async list(relative = '.'): Promise<string[]> {
    return (await readdir(join(this.root, checkRelative(relative))).catch(() => [])).sort()
  }

  /** The real path of a regular file. Throws MODEL_NOT_FOUND, PATH_ESCAPE or PATH_UNSAFE. */
  async file(relative: string): Promise<string> {
    const real = await this.find(relative)
    if (real === undefined)
      throw new SadaError('MODEL_NOT_FOUND', `${join(this.root, relative)} does not exist.`, { stage: relative })
    const inside = this.trusted.some((folder) => real.startsWith(folder + sep))
    if (!inside) {
      const hint = 'Copy the file, or name the folder it is in as "linksInto".'
      throw new SadaError('PATH_UNSAFE', `${join(this.root, relative)} is a link out of the model folder, to ${real}. ${hint}`)
    }
    if (!(await stat(real)).isFile()) throw new SadaError('PATH_UNSAFE', `${join(this.root, relative)} is not a regular file.`)
    return real
  }

  /** A file's text. Throws MODEL_TOO_LARGE as well. */
  async text(relative: string): Promise<string> {
    const bytes = await this.bytes(relative)
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (error) {
      throw new SadaError('MANIFEST_INVALID', `${join(this.root, relative)} is not UTF-8 text.`, { cause: error })
    }
  }

  async bytes(relative: string): Promise<Buffer> {
    const path = await this.file(relative)
    // Not blocking: a pipe put in the file's place after the check above must not hang the open.
    const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      const { size } = await handle.stat()
      if (size > MOST_TEXT_BYTES)
        throw new SadaError('MODEL_TOO_LARGE', `${path} has ${size} bytes; at most ${MOST_TEXT_BYTES} are read.`)
      return await handle.readFile()
    } finally {
      await handle.close()
    }
  }

  /** A JSON object. Throws MANIFEST_INVALID where it is something else. */
  async json(relative: string): Promise<JsonObject> {
    const text = await this.text(relative)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (error) {
      throw invalidJson(join(this.root, relative), (error as Error).message, error)
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalidJson(join(this.root, relative), 'expected an object')
    return value as JsonObject
  }

  /** `json`, or an empty object where the file does not exist. */
  async optionalJson(relative: string): Promise<JsonObject> {
    return (await this.has(relative)) ? this.json(relative) : {}
  }

  /** Throws UNTRUSTED_CODE where a subfolder holds a compiled library. */
  async refuseLibraries(relative = '.'): Promise<void> {
    const library = (await this.list(relative)).find((name) => LIBRARY.test(name))
    if (library === undefined) return
    const path = join(this.root, relative, library)
    throw new SadaError('UNTRUSTED_CODE', `${path} is compiled code, which a model does not need. Remove it to use the folder.`)
  }

  private async find(relative: string): Promise<string | undefined> {
    return realpath(join(this.root, checkRelative(relative))).catch(() => undefined)
  }
}

export type JsonObject = Readonly<Record<string, unknown>>

/** A path that stays below its folder, as it is. Throws PATH_ESCAPE; the path is not looked at. */
export function checkRelative(path: string): string {
  const parts = path.split(/[/\\]/)
  const isPlain = path !== '' && !/^[/\\]|^[A-Za-z]:|\0/.test(path) && !parts.includes('..')
  if (!isPlain) throw new SadaError('PATH_ESCAPE', `The path ${JSON.stringify(path)} leads out of the model folder.`)
  return posix.normalize(path.replaceAll('\\', '/'))
}

function invalidJson(path: string, what: string, cause?: unknown): SadaError {
  return new SadaError('MANIFEST_INVALID', `${path}: ${what}.`, { cause })
}
