import { checkNames, checkThreads, invalidArgument } from '../errors.ts'
import { onnxRuntimeOnGpu, onnxRuntimeOnWebGpu } from '../engines/onnxruntime.ts'
import { tensorRtEngine } from '../engines/stages.ts'
import type { NetworkFile, OpenDeviceEngine } from '../plan/device-engine.ts'
import { checkEngineSizes } from '../plan/engine-sizes.ts'
import { loadManifest, loadModel, stageFiles } from '../plan/model.ts'
import type * as Families from '../families/index.ts'
import type { FamilySettings } from '../families/index.ts'
import { Staged } from '../families/staged.ts'
import { findModel, isStaged } from './model-folder.ts'
import { Pipeline } from './pipeline.ts'

// The families of diffusers' folders are a fifth of all modules, and a folder with a plan needs none of them. By `require` as in index.ts.
// eslint-disable-next-line @typescript-eslint/no-require-imports
const families = () => require('../families/index.js') as typeof Families

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

/**
 * Loads a model: a bundled one by name (`'avatar'`), a folder that holds a `plan.json`, or one in the layout of diffusers and
 * Optimum. Rejects with MODEL_NOT_FOUND, MANIFEST_INVALID, MODEL_CORRUPT, IO_MISMATCH, TOKENIZER_INVALID or BACKEND_UNAVAILABLE, and
 * what `loadFamily` adds.
 */
export async function load(model: string, settings: FamilySettings = {}): Promise<Pipeline> {
  if (typeof model !== 'string' || model === '')
    throw invalidArgument('model', "a bundled model's name or the path of a folder", model)
  if (typeof settings !== 'object' || settings === null) throw invalidArgument('settings', 'an object', settings)
  checkSettings(settings)
  const { signal } = settings
  signal?.throwIfAborted()
  const folder = await findModel(model)
  const openDevice = deviceEngine(settings)
  const pipeline = new Pipeline(
    isStaged(folder)
      ? new Staged(await loadModel(folder, settings, openDevice))
      : await families().loadFamily(folder, settings, openDevice),
  )
  if (signal?.aborted) await pipeline.dispose()
  signal?.throwIfAborted()
  return pipeline
}

function checkSettings(settings: FamilySettings): void {
  checkNames(settings, SETTINGS)
  const { threads, signal, onBuild, linksInto, memoryArena, stages } = settings
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidArgument('signal', 'an AbortSignal', signal)
  if (onBuild !== undefined && typeof onBuild !== 'function') throw invalidArgument('onBuild', 'a function', onBuild)
  if (linksInto !== undefined && typeof linksInto !== 'string')
    throw invalidArgument('linksInto', 'the path of a folder', linksInto)
  for (const [name, value] of Object.entries({ memoryArena, stages })) {
    if (value !== undefined && typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
  }
  checkThreads(threads)
  checkEngineSizes(settings.engineSizes)
}

/** The files of a model that engines on a GPU are made of. Rejects as `load` does for the same settings. */
export async function filesForEngines(model: string, settings: FamilySettings = {}): Promise<NetworkFile[]> {
  checkEngineSizes(settings.engineSizes)
  const folder = await findModel(model)
  if (!isStaged(folder)) return families().networkFiles(folder, settings)
  const files: NetworkFile[] = []
  for await (const file of stageFiles(folder, await loadManifest(folder))) files.push(file)
  return files
}

/** What runs the networks on a GPU. */
function deviceEngine(settings: FamilySettings): OpenDeviceEngine {
  const { engine = 'onnxruntime', engines, onnxruntime, signal, onBuild } = settings
  if (engine === 'onnxruntime') return onnxRuntimeOnGpu(onnxruntime, settings)
  if (engine === 'webgpu') return onnxRuntimeOnWebGpu(settings)
  if (engine === 'tensorrt') return tensorRtEngine(engines, { signal, onBuild })
  throw invalidArgument('engine', '"onnxruntime", "webgpu" or "tensorrt"', engine)
}
