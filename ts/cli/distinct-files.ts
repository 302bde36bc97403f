import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SadaError } from '../errors.ts'

/** A file and the option that names it. */
export interface NamedFile {
  readonly option: string
  readonly path: string
}

/**
 * Refuses an output that is also read, and two outputs in one file, whatever their paths are written like: the one written last would be
 * all that is left. Devices may take several. Throws INVALID_ARGUMENT.
 */
export async function checkDistinct(outputs: readonly NamedFile[], inputs: readonly NamedFile[]): Promise<void> {
  const written = new Map<string, NamedFile>()
  for (const output of outputs) {
    const identity = await identityOf(output.path)
    if (identity === undefined) continue
    const other = written.get(identity)
    if (other !== undefined) throw shared(output, `${other.option} writes to it as well`)
    written.set(identity, output)
  }
  for (const input of inputs) {
    const identity = await identityOf(input.path)
    const output = identity === undefined ? undefined : written.get(identity)
    if (output !== undefined) throw shared(output, `${input.option} reads it`)
  }
}

const shared = ({ option, path }: NamedFile, why: string): SadaError =>
  new SadaError(
    'INVALID_ARGUMENT',
    `Expected "${option}" to name a file of its own, received ${path}: ${why}. Name another file.`,
    { argument: option },
  )

/** The same for all names of one file; undefined: not a file. */
async function identityOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined)
  if (found === undefined) return withoutLinks(path)
  return found.isFile() ? `${found.dev}:${found.ino}` : undefined
}

/** A path whose last part, or more, does not exist yet. */
async function withoutLinks(path: string): Promise<string> {
  const folder = dirname(path)
  if (folder === path) return path
  const real = await realpath(folder).catch(() => undefined)
  return join(real ?? (await withoutLinks(folder)), basename(path))
}
