import { createHash, randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { checkNames, invalidArgument, SadaError } from '../errors.ts'
import type { TrustedEngines } from '../plan/model.ts'
import type { StageEngine } from './build.ts'
import type { EngineDescription } from './description.ts'
import { makeFolder } from './folder.ts'
import { readWhole, update, writeWhole } from './signed-file.ts'

// Engines that an application brings along: a folder with `engines.json`, which has the hash of each. The application says which
// `engines.json` it trusts by that file's own hash; so nothing in the folder is believed that its maker did not see.

const INDEX = 'engines.json'
const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

const index = v.object({
  schema: v.literal('sada-engines/1'),
  engines: v.array(
    v.object({
      file: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/, 'Expected a plain file name')),
      sha256: hash,
      model: v.string(),
      stage: v.string(),
      source: hash,
      flavour: v.string(),
      version: v.string(),
      targets: v.array(v.number()),
      gpu: v.optional(v.string()),
      profiles: v.unknown(),
    }),
  ),
})

type Entry = v.InferOutput<typeof index>['engines'][number]

const sha256 = (bytes: Uint8Array): string => update(createHash('sha256'), bytes).digest('hex')

/** Makes the folder that engines will be written to, so that one that takes none costs no build. Throws OUTPUT_FAILED. */
export async function prepareShipped(folder: string): Promise<void> {
  // Joined with a name it would be the working folder.
  if (folder === '') throw invalidArgument('out', 'a folder', folder)
  const probe = join(folder, `.sada.${randomUUID()}`)
  try {
    await makeFolder(folder)
    await writeWhole(probe, [])
    await rm(probe)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' || code === 'ENOTDIR' ? 'it, or what it would lie in, is a file' : message
    const what = `Cannot write engines to ${folder}: ${why}. Name a folder that can be written, or made.`
    throw new SadaError('OUTPUT_FAILED', what, { argument: 'out', cause: error })
  }
}

/** Writes engines to be shipped, `engines.json` last; returns its SHA-256, which the application has to name. */
export async function writeShipped(folder: string, engines: readonly StageEngine[]): Promise<string> {
  await prepareShipped(folder)
  const entries: Entry[] = []
  for (const { description, engine } of engines) {
    const file = `${description.stage}.engine`
    await writeWhole(join(folder, file), [engine])
    entries.push({ file, sha256: sha256(engine), ...description, targets: [...description.targets] })
  }
  const bytes = Buffer.from(JSON.stringify({ schema: 'sada-engines/1', engines: entries }, undefined, 2) + '\n')
  await writeWhole(join(folder, INDEX), [bytes])
  return sha256(bytes)
}

/** Throws INVALID_ARGUMENT or UNKNOWN_NAME for what does not say which engines are trusted. */
export function checkTrusted(engines: TrustedEngines): void {
  if (typeof engines !== 'object' || engines === null) throw invalidArgument('engines', '{ folder, sha256 }', engines)
  checkNames(engines, { folder: true, sha256: true }, { within: 'engines' })
  const { folder, sha256: trusted } = engines
  if (typeof folder !== 'string') throw invalidArgument('engines.folder', 'the path of a folder', folder)
  if (!v.is(hash, trusted)) throw invalidArgument('engines.sha256', "the SHA-256 of the folder's engines.json, in hex", trusted)
}

/** The engines of a folder that an application vouches for. */
export class ShippedEngines {
  private readonly folder: string
  private readonly entries: readonly Entry[]

  private constructor(folder: string, entries: readonly Entry[]) {
    this.folder = folder
    this.entries = entries
  }

  /** Throws INVALID_ARGUMENT, MODEL_NOT_FOUND, MANIFEST_INVALID; ENGINE_UNTRUSTED where `engines.json` is another one than is trusted. */
  static async open(engines: TrustedEngines): Promise<ShippedEngines> {
    checkTrusted(engines)
    const { folder, sha256: trusted } = engines
    const path = join(folder, INDEX)
    const bytes = await readWhole(path)
    if (bytes === undefined)
      throw new SadaError('MODEL_NOT_FOUND', `${path} does not exist, or cannot be read; "sada engines build --out" writes it.`)
    const found = sha256(bytes)
    if (found !== trusted) throw new SadaError('ENGINE_UNTRUSTED', `${path} has the SHA-256 ${found}, trusted is ${trusted}.`)
    const result = v.safeParse(index, parsed(bytes, path))
    if (!result.success) throw new SadaError('MANIFEST_INVALID', `${path}: ${result.issues[0].message}.`)
    return new ShippedEngines(folder, result.output.engines)
  }

  /**
   * The engine for a description: of the same files, library, version and sizes, for its GPU. Undefined where there is none; throws
   * ENGINE_UNTRUSTED where its file is missing or another one than `engines.json` names.
   */
  async find(wanted: EngineDescription): Promise<Uint8Array | undefined> {
    const entry = this.entries.find((each) => serves(each, wanted))
    if (entry === undefined) return undefined
    const path = join(this.folder, entry.file)
    const engine = await readWhole(path)
    const found = engine && sha256(engine)
    if (found === entry.sha256) return engine
    throw new SadaError(
      'ENGINE_UNTRUSTED',
      `${path} has the SHA-256 ${found ?? '(no file)'}, engines.json names ${entry.sha256}.`,
      {
        stage: wanted.stage,
      },
    )
  }
}

function parsed(bytes: Buffer, path: string): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch (error) {
    throw new SadaError('MANIFEST_INVALID', `${path}: ${(error as Error).message}; "sada engines build --out" writes it.`, {
      cause: error,
    })
  }
}

function serves(entry: Entry, wanted: EngineDescription): boolean {
  const same = (['source', 'flavour', 'version', 'gpu'] as const).every((name) => entry[name] === wanted[name])
  const isForTarget =
    wanted.targets.every((target) => entry.targets.includes(target)) && (wanted.targets.length > 0 || entry.targets.length === 0)
  return same && isForTarget && JSON.stringify(entry.profiles) === JSON.stringify(wanted.profiles)
}
