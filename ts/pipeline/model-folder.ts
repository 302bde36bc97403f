import { existsSync, readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { SadaError, show, unknownName } from '../errors.ts'

/** Where the bundled models are: beside `dist/` in the package, beside `ts/` in a checkout. */
const MODELS = join(__dirname, '..', '..', 'models')

/** Names that `load` knows without a path; none where an application leaves the bundled models out. */
export function bundledModels(): string[] {
  return (existsSync(MODELS) ? readdirSync(MODELS) : []).filter((name) => isStaged(join(MODELS, name)))
}

/** Whether a folder holds a staged plan; else it is taken for one in the layout of diffusers. */
export const isStaged = (folder: string): boolean => existsSync(join(folder, 'plan.json'))

/** The folder of a model given by name or path. */
export async function findModel(model: string): Promise<string> {
  const bundled = bundledModels()
  if (bundled.includes(model)) return join(MODELS, model)
  const folder = resolve(model)
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory()) return folder
  if (basename(model) === model) throw unknownModel(model, bundled)
  throw new SadaError(
    'MODEL_NOT_FOUND',
    `There is no folder ${folder}. Give a folder with a plan.json, or a bundled model: ${bundled.join(', ')}.`,
  )
}

/** Where there are no bundled models at all, the likeliest reason is said instead of their names. */
export function unknownModel(model: string, bundled: readonly string[]): SadaError {
  if (bundled.length > 0) return unknownName('model', model, bundled)
  const why = `No bundled models are at ${MODELS}. Keep "sada" external where a bundler is used, or give a model folder`
  return new SadaError('UNKNOWN_NAME', `Unknown model ${show(model)}. ${why}.`, { argument: 'model' })
}
