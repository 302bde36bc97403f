import { realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { invalidArgument, SadaError } from '../errors.ts'
import { checkRelative, readRegular } from '../onnx/regular-file.ts'
import { parseJson, refuseLibraries } from '../plan/files.ts'

/** Largest configuration or vocabulary file that is read. */
const MOST_TEXT_BYTES = 64 << 20
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
    if (linksInto === undefined) return new Folder(root, [root])
    const trusted = await realpath(linksInto).catch(() => undefined)
    if (trusted === undefined) throw invalidArgument('linksInto', 'a folder that exists', linksInto)
    return new Folder(root, [root, trusted])
  }

  /** Whether there is anything of that name. */
  async has(relative: string): Promise<boolean> {
    return (await this.find(relative)) !== undefined
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

  /** A file's text, UTF-8. */
  async text(relative: string): Promise<string> {
    const bytes = await this.bytes(relative)
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (error) {
      throw new SadaError('MANIFEST_INVALID', `${join(this.root, relative)} is not UTF-8 text.`, { cause: error })
    }
  }

  /** A file's bytes. Throws MODEL_TOO_LARGE and MODEL_CHANGED as well. */
  async bytes(relative: string): Promise<Buffer> {
    return readRegular(await this.file(relative), MOST_TEXT_BYTES)
  }

  /** A JSON object. Throws MANIFEST_INVALID where it is something else. */
  async json(relative: string): Promise<JsonObject> {
    const path = join(this.root, relative)
    const value = parseJson(await this.text(relative), path)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
    throw new SadaError('MANIFEST_INVALID', `${path}: expected an object.`)
  }

  /** `json`, or an empty object where the file does not exist. */
  async optionalJson(relative: string): Promise<JsonObject> {
    return (await this.has(relative)) ? this.json(relative) : {}
  }

  /** Throws UNTRUSTED_CODE where a subfolder holds a compiled library. */
  refuseLibraries(relative = '.'): Promise<void> {
    return refuseLibraries(join(this.root, checkRelative(relative)))
  }

  private async find(relative: string): Promise<string | undefined> {
    const path = join(this.root, checkRelative(relative))
    return realpath(path).catch(({ code, message }: NodeJS.ErrnoException) => {
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw new SadaError('PATH_UNSAFE', `${path} cannot be followed: ${message}.`)
    })
  }
}

export type JsonObject = Readonly<Record<string, unknown>>
