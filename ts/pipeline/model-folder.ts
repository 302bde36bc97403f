import { existsSync, readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { invalidArgument, SadaError, show, unknownName } from '../errors.ts'

/** Where the bundled models are: beside `dist/` in the package, beside `ts/` in a checkout. */
const MODELS = join(__dirname, '..', '..', 'models')

/** Names that `load` knows without a path; none where an application leaves the bundled models out. */
export function bundledModels(): string[] {
  return (existsSync(MODELS) ? readdirSync(MODELS) : []).filter((name) => isStaged(join(MODELS, name)))
}

/** Whether a folder holds a staged plan; else it is taken for one in the layout of diffusers. */
export const isStaged = (folder: string): boolean => existsSync(join(folder, 'plan.json'))

/** The folder of a model given by name or path. Throws MODEL_NOT_FOUND, or UNKNOWN_NAME for what can be no path but a name. */
export async function findModel(model: string): Promise<string> {
  const bundled = bundledModels()
  if (bundled.includes(model)) return join(MODELS, model)
  const folder = resolve(model)
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory()) return folder
  if (found !== undefined) throw notFound(`${folder} is a file, not a folder.`, bundled)
  const why = misread(model)
  if (basename(model) === model && why === '') throw unknownModel(model, bundled)
  throw notFound(`There is no folder ${folder}.${why}`, bundled)
}

/** The same for a caller who cannot say what a folder holds: MODEL_NOT_FOUND also where the folder does not. */
export async function findDescribedModel(model: string): Promise<string> {
  const folder = await findModel(model)
  if (isStaged(folder) || existsSync(join(folder, 'model_index.json'))) return folder
  throw notFound(`${folder} is no model folder.`, bundledModels())
}

/** What a path was taken for that it is not. */
function misread(model: string): string {
  if (model.startsWith('~')) return ' "~" is not expanded: write the home folder in full, or join os.homedir() with the rest.'
  if (/^file:/i.test(model)) return ' A file: URL is given as a URL object, or as a path by fileURLToPath() of node:url.'
  return ''
}

function notFound(what: string, bundled: readonly string[]): SadaError {
  const wanted = 'a folder with a model_index.json (the layout of diffusers and Optimum, as ONNX) or a plan.json'
  const names = bundled.length > 0 ? `, or a bundled model: ${bundled.join(', ')}` : ''
  return new SadaError('MODEL_NOT_FOUND', `${what} Give ${wanted}${names}. ${NO_DOWNLOADS}`, { argument: 'model' })
}

const NO_DOWNLOADS = 'sada downloads nothing; docs/families.md says how such a folder is made.'

/** A model as it is given to `load`, as a name or path. Throws INVALID_ARGUMENT. */
export function nameOf(model: unknown): string {
  if (typeof model === 'string' && model !== '') return model
  const expected = "a bundled model's name, or the path or file: URL of a folder"
  if (!(model instanceof URL)) throw invalidArgument('model', expected, model)
  try {
    return fileURLToPath(model)
  } catch {
    throw invalidArgument('model', expected, model.href, NO_DOWNLOADS)
  }
}

/** Where there are no bundled models at all, the likeliest reason is said instead of their names. */
export function unknownModel(model: string, bundled: readonly string[]): SadaError {
  if (bundled.length > 0) return unknownName('model', model, bundled)
  const why = `No bundled models are at ${MODELS}. Keep "sada" external where a bundler is used, or give a model folder`
  return new SadaError('UNKNOWN_NAME', `Unknown model ${show(model)}. ${why}.`, { argument: 'model' })
}
