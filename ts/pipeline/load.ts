import { onnxRuntimeOnGpu, onnxRuntimeOnWebGpu } from '../engines/onnxruntime.ts'
import { tensorRtEngine } from '../engines/stages.ts'
import type { NetworkFile, OpenDeviceEngine } from '../plan/device-engine.ts'
import { loadManifest, loadModel, stageFiles } from '../plan/model.ts'
import type * as Families from '../families/index.ts'
import type { FamilySettings } from '../families/index.ts'
import { Staged } from '../families/staged.ts'
import { findModel, isStaged, nameOf } from './model-folder.ts'
import { Pipeline } from './pipeline.ts'
import { checkSettings, refuseFamilySettings } from './settings.ts'

// The families of diffusers' folders are a fifth of all modules, and a folder with a plan needs none of them. By `require` as in index.ts.
// eslint-disable-next-line @typescript-eslint/no-require-imports
const families = () => require('../families/index.js') as typeof Families

/**
 * Loads a model: a bundled one by name (`'avatar'`), or a folder by its path or file: URL, that holds a `plan.json` or is in the layout
 * of diffusers and Optimum. Rejects with MODEL_NOT_FOUND, MANIFEST_INVALID, MODEL_CORRUPT, IO_MISMATCH, TOKENIZER_INVALID or BACKEND_UNAVAILABLE, and
 * what `loadFamily` adds.
 */
export async function load(model: string | URL, settings: FamilySettings = {}): Promise<Pipeline> {
  const name = nameOf(model)
  checkSettings(settings)
  const { signal } = settings
  signal?.throwIfAborted()
  const folder = await findModel(name)
  const openDevice = deviceEngine(settings)
  const isPlanned = isStaged(folder)
  if (isPlanned) refuseFamilySettings(settings)
  const pipeline = new Pipeline(
    isPlanned
      ? new Staged(await loadModel(folder, settings, openDevice))
      : await families().loadFamily(folder, settings, openDevice),
  )
  if (signal?.aborted) await pipeline.dispose()
  signal?.throwIfAborted()
  return pipeline
}

/** The files of a model that engines on a GPU are made of. Rejects as `load` does for the same settings. */
export async function filesForEngines(model: string, settings: FamilySettings = {}): Promise<NetworkFile[]> {
  checkSettings(settings)
  const folder = await findModel(model)
  if (!isStaged(folder)) return families().networkFiles(folder, settings)
  refuseFamilySettings(settings)
  const files: NetworkFile[] = []
  for await (const file of stageFiles(folder, await loadManifest(folder))) files.push(file)
  return files
}

/** What runs the networks on a GPU. */
function deviceEngine(settings: FamilySettings): OpenDeviceEngine {
  const { engine = 'onnxruntime', engines, onnxruntime, signal, onBuild } = settings
  if (engine === 'onnxruntime') return onnxRuntimeOnGpu(onnxruntime, settings)
  if (engine === 'webgpu') return onnxRuntimeOnWebGpu(settings)
  return tensorRtEngine(engines, { signal, onBuild })
}
