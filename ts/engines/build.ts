import { invalidArgument } from '../errors.ts'
import { asSadaError } from '../native/load.ts'
import type { GpuInfo, GpuReport, InputRange, TensorRtBuilder } from '../native/types.ts'
import type { Manifest } from '../plan/manifest.ts'
import { loadManifest, openStage } from '../plan/model.ts'
import { orAborted } from '../sampler/abort.ts'
import type { EngineCache, EngineDescription } from './cache.ts'
import { stageProfiles } from './profiles.ts'

export interface BuildProgress {
  readonly stage: string
  /** The builder's own words for what it does, and how far that is. */
  readonly phase: string
  readonly done: number
  readonly of: number
}

/** What engines are for. */
export interface BuildTarget {
  /** Compute capabilities to build for: `'sm_89'`, `'8.9'` or 89. None: every one that TensorRT for RTX knows; TensorRT: this machine's GPU. */
  readonly targets?: readonly (string | number)[]
  /** Name, compute capability and driver of the GPU that is built for, where no targets are given. */
  readonly gpu?: string
}

export interface BuildOptions extends BuildTarget {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: BuildProgress) => void
}

const PROGRESS_MS = 100

/** One stage's engine: what it was made from, and itself. */
export interface StageEngine {
  readonly description: EngineDescription
  readonly engine: Uint8Array
}

/** A stage that an engine can be built of, or has been built of. */
export interface StageSource {
  readonly description: EngineDescription
  readonly onnx: Uint8Array
  readonly profiles: readonly (readonly InputRange[])[]
}

/** What the engines of this GPU are built for: TensorRT for RTX compiles for its kind, TensorRT measures on itself. */
export function targetOf(
  { flavour }: Pick<TensorRtBuilder, 'flavour'>,
  info: GpuInfo,
  { driverVersion }: GpuReport,
): BuildTarget {
  if (flavour === 'tensorrt-rtx') return { targets: [info.computeCapability] }
  return { gpu: `${info.name}, ${info.computeCapability}, driver for CUDA ${driverVersion}` }
}

/** Builds the engines of a model folder with a `plan.json`, or takes them from the cache. Stages one after another. */
export async function buildEngines(
  builder: TensorRtBuilder,
  folder: string,
  cache: EngineCache,
  options: BuildOptions = {},
): Promise<StageEngine[]> {
  const engines: StageEngine[] = []
  for await (const source of stageSources(builder, folder, await loadManifest(folder), options)) {
    engines.push({ description: source.description, engine: await obtainEngine(builder, source, cache, options) })
  }
  return engines
}

/** The stages of a model, each read when it is asked for. Throws what `openStage` does. */
export async function* stageSources(
  { flavour, version }: Pick<TensorRtBuilder, 'flavour' | 'version'>,
  folder: string,
  manifest: Manifest,
  options: BuildTarget,
): AsyncGenerator<StageSource> {
  const targets = (options.targets ?? []).map(parseTarget)
  for (const stage of manifest.stages) {
    const { bytes: onnx, sha256: source } = await openStage(folder, stage)
    const profiles = stageProfiles(manifest, stage)
    const gpu = targets.length === 0 && options.gpu !== undefined ? { gpu: options.gpu } : {}
    const names = { model: manifest.name, stage: stage.name }
    yield { description: { ...names, source, flavour, version, targets, ...gpu, profiles }, onnx, profiles }
  }
}

/** The engine of a stage: from the cache, else built now. */
export function obtainEngine(
  builder: TensorRtBuilder,
  { description, onnx, profiles }: StageSource,
  cache: EngineCache,
  options: BuildOptions,
): Promise<Uint8Array> {
  const { stage, targets } = description
  return cache.obtain(description, () => buildOne(builder, { stage, onnx, profiles, targets }, options), options.signal)
}

interface OneBuild {
  readonly stage: string
  readonly onnx: Uint8Array
  readonly profiles: readonly (readonly InputRange[])[]
  readonly targets: readonly number[]
}

/** One build. Rejects with MODEL_CORRUPT, NETWORK_FAILED or INVALID_ARGUMENT; with the signal's reason, at once, when it fires. */
async function buildOne(
  builder: TensorRtBuilder,
  { stage, ...request }: OneBuild,
  { signal, onProgress }: BuildOptions,
): Promise<Uint8Array> {
  signal?.throwIfAborted()
  const job = builder.build(request)
  const tell = (): void => {
    const innermost = job.progress().at(-1)
    if (innermost) onProgress?.({ stage, ...innermost })
  }
  const timer = onProgress && setInterval(tell, PROGRESS_MS)
  try {
    const { engine } = await (signal ? orAborted(job.done, signal) : job.done)
    return engine
  } catch (error) {
    job.abort()
    signal?.throwIfAborted()
    throw asSadaError(error, { stage })
  } finally {
    clearInterval(timer)
  }
}

/** `'sm_89'`, `'8.9'`, `'89'` or 89 → 89. Throws INVALID_ARGUMENT. */
export function parseTarget(target: string | number): number {
  const match = /^(?:sm_?)?(\d{1,2})\.?(\d)$/.exec(String(target))
  if (!match) throw invalidArgument('target', 'a compute capability like "sm_89" or "8.9"', target)
  return Number(match[1]) * 10 + Number(match[2])
}
