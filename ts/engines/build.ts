import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { invalidArgument } from '../errors.ts'
import { asSadaError } from '../native/load.ts'
import type { InputRange, TensorRtBuilder } from '../native/types.ts'
import { readModelFile } from '../plan/files.ts'
import { loadManifest } from '../plan/model.ts'
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

export interface BuildOptions {
  /** Compute capabilities to build for: `'sm_89'`, `'8.9'` or 89. None: every one that TensorRT for RTX knows; TensorRT: this machine's GPU. */
  readonly targets?: readonly (string | number)[]
  /** Name, compute capability and driver of the GPU that is built for, where no targets are given. */
  readonly gpu?: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: BuildProgress) => void
}

const PROGRESS_MS = 100

/** One stage, ready to be run: what it was made from, and the engine itself. */
export interface StageEngine {
  readonly description: EngineDescription
  readonly engine: Uint8Array
}

/** Builds the engines of a model folder with a `plan.json`, or takes them from the cache. Stages one after another. */
export async function buildEngines(
  builder: TensorRtBuilder,
  folder: string,
  cache: EngineCache,
  options: BuildOptions = {},
): Promise<StageEngine[]> {
  const manifest = await loadManifest(folder)
  const targets = (options.targets ?? []).map(parseTarget)
  const engines: StageEngine[] = []
  for (const stage of manifest.stages) {
    const onnx = await readModelFile(join(folder, stage.file))
    const profiles = stageProfiles(manifest, stage)
    const description: EngineDescription = {
      model: manifest.name,
      stage: stage.name,
      source: createHash('sha256').update(onnx).digest('hex'),
      flavour: builder.flavour,
      version: builder.version,
      targets,
      ...(targets.length === 0 && options.gpu !== undefined && { gpu: options.gpu }),
      profiles,
    }
    const engine = await cache.obtain(
      description,
      () => buildOne(builder, { stage: stage.name, onnx, profiles, targets }, options),
      options.signal,
    )
    engines.push({ description, engine })
  }
  return engines
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
