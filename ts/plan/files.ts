import { readdir, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { SadaError } from '../errors.ts'
import { readRegular } from '../onnx/regular-file.ts'
import { maxDepth } from '../schedule/python-json.ts'

/** Largest vocabulary or manifest that is read. */
const MOST_TEXT_BYTES = 64 << 20
/** Compiled code: never needed by a model, and nothing here opens it; a folder that brings some is refused all the same. */
const LIBRARY = /\.(so(\.\d+)*|dll|dylib|node|exe)$/i

/** The real path of a file of a model folder. Throws MODEL_NOT_FOUND; PATH_UNSAFE where it is a link out of the folder. */
export async function findModelFile(folder: string, name: string): Promise<string> {
  const path = join(folder, name)
  const real = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    const hint =
      error.code === 'ENOENT' ? 'It does not exist; a model folder holds plan.json and the files it names.' : error.message
    throw new SadaError('MODEL_NOT_FOUND', `Cannot read ${path}. ${hint}`, { cause: error })
  })
  if (real.startsWith((await realpath(folder)) + sep)) return real
  throw new SadaError('PATH_UNSAFE', `${path} is a link out of the model folder, to ${real}. Copy the file.`)
}

/** A text file of a model folder. Throws MODEL_TOO_LARGE, MODEL_CHANGED and what `findModelFile` throws. */
export async function readModelFile(folder: string, name: string): Promise<Buffer> {
  return readRegular(await findModelFile(folder, name), MOST_TEXT_BYTES)
}

/** The value of a JSON file of a model folder. Throws MANIFEST_INVALID. */
export function parseJson(text: string, path: string): unknown {
  const invalid = (what: string, cause?: unknown): SadaError => new SadaError('MANIFEST_INVALID', `${path}: ${what}.`, { cause })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid((error as Error).message, error)
  }
  if (isDeeper(value, maxDepth)) throw invalid(`more than ${maxDepth} levels of nesting`)
  return value
}

/** Whether lists and objects lie in each other more than so many levels deep: what walks through them would run out of stack. */
const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' && value !== null && (levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1)))

/** Throws UNTRUSTED_CODE where a folder holds a compiled library. */
export async function refuseLibraries(folder: string): Promise<void> {
  const library = (await readdir(folder).catch(() => [])).sort().find((name) => LIBRARY.test(name))
  if (library === undefined) return
  const path = join(folder, library)
  throw new SadaError('UNTRUSTED_CODE', `${path} is compiled code, which a model does not need. Remove it to use the folder.`)
}
