import { join } from 'node:path'
import { SadaError } from '../errors.ts'
import { asSadaError, findOnnxRuntime, loadAddon } from '../native/load.ts'
import { chooseGpu, type DeviceSetting } from '../native/gpu.ts'
import type { Engine, GpuRef, SessionInfo } from '../native/types.ts'
import type { BuildProgress, DeviceEngine, NetworkFile, OpenDeviceEngine, OpenedDevice } from './device-engine.ts'
import type { EngineSizes } from './engine-sizes.ts'
import { OnnxFile } from '../onnx/file.ts'
import { findModelFile, parseJson, readModelFile, refuseLibraries } from './files.ts'
import { readManifest, type Manifest, type Stage } from './manifest.ts'
import { stageProfiles } from './profiles.ts'
import { Tokenizer } from './tokenizer.ts'

const MANIFEST_BYTES = 1 << 20

/** A model folder, read and checked: its manifest, its tokenizer, and its stages as sessions of one engine. */
export interface Model {
  readonly folder: string
  readonly manifest: Manifest
  readonly tokenizer: Tokenizer
  readonly engine: Engine
  /** The GPU that holds the tensors of a run; undefined: they lie in host memory. */
  readonly gpu?: GpuRef
  /** Why there is none, where one was looked for. */
  readonly withoutGpu?: string
  /** Session of a stage, or of the text encoder (`text`). */
  readonly sessions: ReadonlyMap<string, number>
  /** The stages where another engine than `engine` runs them. */
  readonly stages?: LoadedStages
}

/** Stages of a model on an engine of a GPU; sessions by their names. */
export interface LoadedStages {
  readonly device: OpenedDevice
  readonly sessions: ReadonlyMap<string, number>
}

/** Where a model runs, and what runs it. */
export interface EngineSettings {
  /** Threads inside one operator of the network, at most 1024; 0, the default: one per physical core, or per CPU that the process may use where those are fewer. */
  readonly threads?: number | undefined
  /** Keep the engine's working memory between runs. Default true. */
  readonly memoryArena?: boolean | undefined
  /**
   * Where sampling runs. `cpu` (default); `cuda` or `cuda:<index>`: latents, history, caches and the step's arithmetic on that GPU
   * (BACKEND_UNAVAILABLE with the reason where it cannot be used); `auto`: a GPU where one can be used, else the CPU.
   */
  readonly device?: DeviceSetting | undefined
  /**
   * What runs the networks: `onnxruntime` (default), on the CPU, on a GPU of `device` through its CUDA provider where a build that has it is
   * found; `webgpu`, on whatever GPU Vulkan, Direct3D 12 or Metal drive, by the same library (BACKEND_UNAVAILABLE where there is none); or
   * `tensorrt`, on a GPU of `device`. TensorRT's engines are built when a model is first loaded, which takes seconds to minutes, and kept
   * (`sada engines`).
   */
  readonly engine?: 'onnxruntime' | 'webgpu' | 'tensorrt' | undefined
  /**
   * A build of ONNX Runtime with the CUDA provider, or its folder; default `SADA_ONNXRUNTIME_PATH`, then pip's `onnxruntime-gpu`. INVALID_ARGUMENT on
   * the CPU, and with another engine.
   */
  readonly onnxruntime?: string | undefined
  /** TensorRT's engines that the application brings along (`sada engines build --out`), so that they need not be built here. INVALID_ARGUMENT with another engine. */
  readonly engines?: TrustedEngines | undefined
  /** The sizes that TensorRT's engines of a folder in the layout of diffusers serve; calls of others are refused (INVALID_ARGUMENT). Not read by other engines. */
  readonly engineSizes?: EngineSizes | undefined
  /** Ends loading: `load` rejects with its reason, at once while an engine is built. */
  readonly signal?: AbortSignal | undefined
  /** Told how far it is, a few times a second while one of TensorRT's engines is built; once where another process builds it. What it throws ends loading. */
  readonly onBuild?: ((progress: BuildProgress) => void) | undefined
}

/** An engine is code: nothing of the folder is used but what these bytes vouch for. */
export interface TrustedEngines {
  /** Path of what `sada engines build --out` made. */
  readonly folder: string
  /** SHA-256 of its `engines.json`, in hex; a constant of the application, never read from beside the folder. */
  readonly sha256: string
}

/**
 * Reads a model folder and loads its stages, on the GPU where `openDevice` says so. What is missing or does not fit is an error here,
 * not at step k.
 */
export async function loadModel(folder: string, settings: EngineSettings, openDevice?: OpenDeviceEngine): Promise<Model> {
  await refuseLibraries(folder)
  const manifest = await loadManifest(folder)
  const tokenizer = await Tokenizer.load(folder, manifest.text)
  const addon = loadAddon()
  const chosen = await chooseGpu(settings.device ?? 'cpu')
  let engine: Engine
  try {
    engine = new addon.Engine({ library: findOnnxRuntime() })
  } catch (error) {
    throw asSadaError(error)
  }
  let device: DeviceEngine | undefined
  try {
    device = await openDevice?.(chosen)
    const parts = [{ name: 'text', ...manifest.text }, ...(device ? [] : manifest.stages)]
    const sessions = await loadSessions(engine, folder, parts, settings, manifest)
    const stages = device && (await loadStages(device, folder, manifest))
    return { folder, manifest, tokenizer, engine, ...chosen, sessions, ...(stages && { stages }) }
  } catch (error) {
    await Promise.all([engine.dispose(), device?.engine.dispose()])
    throw error
  }
}

async function loadStages(device: DeviceEngine, folder: string, manifest: Manifest): Promise<LoadedStages> {
  const sessions = new Map<string, number>()
  for await (const file of stageFiles(folder, manifest)) sessions.set(file.stage, await device.load(file))
  return { device, sessions }
}

/** The stages of a model, each read when it is asked for, for an engine on a GPU. Throws what `openStage` does. */
export async function* stageFiles(folder: string, manifest: Manifest): AsyncGenerator<NetworkFile> {
  for (const stage of manifest.stages) {
    const file = await openStage(folder, stage)
    const check = (found: SessionInfo): void => checkInterface(file.path, stage, found, manifest)
    yield { model: manifest.name, stage: stage.name, file, profiles: stageProfiles(manifest, stage), check }
  }
}

/** Reads and checks `plan.json` alone. */
export async function loadManifest(folder: string): Promise<Manifest> {
  const path = join(folder, 'plan.json')
  const bytes = await readModelFile(folder, 'plan.json')
  if (bytes.length > MANIFEST_BYTES)
    throw new SadaError('MANIFEST_INVALID', `${path}: ${bytes.length} bytes; a manifest has at most ${MANIFEST_BYTES}.`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new SadaError('MANIFEST_INVALID', `${path}: ${(error as Error).message}`, { cause: error })
  }
  return readManifest(parseJson(text, path), path)
}

interface ModelFile {
  readonly name: string
  readonly file: string
  readonly sha256: string
  readonly bytes: number
}

/** A stage's file, read and checked. Throws what `OnnxFile.open` does, MODEL_CORRUPT also where it is not what `plan.json` describes. */
async function openStage(folder: string, { name, file, sha256, bytes }: ModelFile): Promise<OnnxFile> {
  try {
    const model = await OnnxFile.open(await findModelFile(folder, file))
    if (model.sha256 === sha256) return model
    const found = `${model.bytes.length} bytes of ${bytes}, sha256 ${model.sha256}`
    throw new SadaError('MODEL_CORRUPT', `${model.path} is not the file that plan.json describes: ${found}.`)
  } catch (error) {
    throw asSadaError(error, { stage: name })
  }
}

type Part = ModelFile & Partial<Stage>

/** Sessions by the names of their parts. While one is made, on the engine's thread, the next file is read and checked here. */
async function loadSessions(
  engine: Engine,
  folder: string,
  parts: readonly Part[],
  settings: EngineSettings,
  manifest: Manifest,
): Promise<Map<string, number>> {
  const sessions = new Map<string, number>()
  let next = openStage(folder, parts[0])
  try {
    for (const [k, part] of parts.entries()) {
      const file = await next
      if (k + 1 < parts.length) next = openStage(folder, parts[k + 1])
      // What is wrong with it is said once this one is made.
      next.catch(() => {})
      sessions.set(part.name, await loadSession(engine, file, part, settings, manifest))
    }
  } catch (error) {
    // Nobody hears of an error while a file is still open: Windows would not let them remove the folder.
    await next.catch(() => {})
    throw error
  }
  return sessions
}

async function loadSession(
  engine: Engine,
  model: OnnxFile,
  part: Part,
  settings: EngineSettings,
  manifest: Manifest,
): Promise<number> {
  try {
    const { threads, memoryArena } = settings
    const info = await model.load(engine, { threads, memoryArena })
    checkInterface(model.path, part, info, manifest)
    return info.session
  } catch (error) {
    throw asSadaError(error, { stage: part.name })
  }
}

/** The file's own inputs and outputs against the manifest's. */
function checkInterface(path: string, part: Part, info: SessionInfo, { text, tensors }: Manifest): void {
  const isText = part.name === 'text'
  const wanted = { inputs: isText ? [text.input] : part.inputs!, outputs: part.outputs! }
  for (const side of ['inputs', 'outputs'] as const) {
    const found = info[side].map(({ name }) => name)
    const missing = wanted[side].find((name) => !found.includes(name))
    const unmet = side === 'inputs' ? found.find((name) => !wanted.inputs.includes(name)) : undefined
    if (missing !== undefined || unmet !== undefined) {
      const message = `${path}: expected ${side} ${wanted[side].join(', ')}; the file has ${found.join(', ')}.`
      throw new SadaError('IO_MISMATCH', message)
    }
    for (const { name, dims } of info[side]) {
      const shape = name === text.input && isText ? ['rows', text.length] : tensors[name]
      const fits =
        shape === undefined ||
        (shape.length === dims.length && shape.every((n, k) => typeof n === 'string' || dims[k] < 0 || dims[k] === n))
      if (!fits) {
        throw new SadaError(
          'IO_MISMATCH',
          `${path}: expected "${name}" to be [${shape.join(', ')}], the file has [${dims.join(', ')}].`,
        )
      }
    }
  }
}
