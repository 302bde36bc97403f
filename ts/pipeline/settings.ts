import { checkNames, checkThreads, invalidArgument } from '../errors.ts'
import { checkTrusted } from '../engines/shipped.ts'
import type { FamilySettings } from '../families/index.ts'
import { checkEngineSizes } from '../plan/engine-sizes.ts'

const SETTINGS: Readonly<Record<keyof FamilySettings, true>> = {
  threads: true,
  memoryArena: true,
  device: true,
  engine: true,
  onnxruntime: true,
  engines: true,
  engineSizes: true,
  signal: true,
  onBuild: true,
  paths: true,
  family: true,
  linksInto: true,
  stages: true,
}

/** What loading was told, whatever the model: names, types, and what the chosen engine has no use for. Throws INVALID_ARGUMENT or UNKNOWN_NAME. */
export function checkSettings(settings: FamilySettings): void {
  if (typeof settings !== 'object' || settings === null) throw invalidArgument('settings', 'an object', settings)
  checkNames(settings, SETTINGS)
  const { threads, signal, onBuild, memoryArena, stages, linksInto, family, onnxruntime, paths, engines, engineSizes } = settings
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidArgument('signal', 'an AbortSignal', signal)
  if (onBuild !== undefined && typeof onBuild !== 'function') throw invalidArgument('onBuild', 'a function', onBuild)
  for (const [name, value] of Object.entries({ memoryArena, stages })) {
    if (value !== undefined && typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
  }
  const texts = { linksInto: 'the path of a folder', family: 'the name of a kind of model', onnxruntime: 'a path' }
  for (const [name, value] of Object.entries({ linksInto, family, onnxruntime })) {
    if (value !== undefined && typeof value !== 'string') throw invalidArgument(name, texts[name as keyof typeof texts], value)
  }
  if (paths !== undefined) checkPaths(paths)
  if (engines !== undefined) checkTrusted(engines)
  checkThreads(threads)
  checkEngineSizes(engineSizes)
  checkUse(settings)
}

function checkPaths(paths: unknown): void {
  if (typeof paths !== 'object' || paths === null || Array.isArray(paths))
    throw invalidArgument('paths', 'an object of a path for each role', paths)
  for (const [role, path] of Object.entries(paths as Readonly<Record<string, unknown>>))
    if (path !== undefined && typeof path !== 'string')
      throw invalidArgument(`paths.${role}`, 'a path, relative to the folder', path)
}

const ENGINES: readonly FamilySettings['engine'][] = ['onnxruntime', 'webgpu', 'tensorrt']

/** Throws INVALID_ARGUMENT for an engine that there is not, and for what the chosen engine does not read. `engineSizes` may always be given: they are of use where engines are built. */
function checkUse({ device = 'cpu', engine = 'onnxruntime', engines, onnxruntime }: FamilySettings): void {
  if (!ENGINES.includes(engine)) throw invalidArgument('engine', '"onnxruntime", "webgpu" or "tensorrt"', engine)
  if (engines !== undefined && engine !== 'tensorrt')
    throw invalidArgument('engines', `left out: engine "${engine}" does not take it`, engines, 'It is for "engine": "tensorrt".')
  if (onnxruntime === undefined) return
  const hint = 'It names a build for GPUs: it is for "engine": "onnxruntime" with "device": "cuda" or "auto".'
  if (engine !== 'onnxruntime')
    throw invalidArgument('onnxruntime', `left out: engine "${engine}" does not take it`, onnxruntime, hint)
  if (device === 'cpu') throw invalidArgument('onnxruntime', 'left out on the CPU', onnxruntime, hint)
}

/** Throws INVALID_ARGUMENT for what only folders in the layout of diffusers take: a `plan.json` says all that there is to say. */
export function refuseFamilySettings({ family, paths, linksInto, stages }: FamilySettings): void {
  const [given] = Object.entries({ family, paths, linksInto, stages }).filter(([, value]) => value !== undefined)
  if (given === undefined) return
  const [name, value] = given
  const hint = 'It is for folders in the layout of diffusers and Optimum.'
  throw invalidArgument(name, 'left out: a model with a plan.json does not take it', value, hint)
}
