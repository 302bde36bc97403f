import { constants } from 'node:buffer'
import { createHash } from 'node:crypto'
import { invalidArgument, SadaError } from '../errors.ts'
import { asSadaError } from '../native/load.ts'
import type { EngineBuildRequest, GpuInfo, GpuReport, TensorRtBuilder } from '../native/types.ts'
import type { OnnxFile } from '../onnx/file.ts'
import { checkUnchanged, type RegularFile } from '../onnx/regular-file.ts'
import { WAITING, type BuildWatch, type NetworkFile } from '../plan/device-engine.ts'
import type { Profiles } from '../plan/profiles.ts'
import { never, orAborted } from '../sampler/abort.ts'
import type { EngineCache } from './cache.ts'
import type { EngineDescription } from './description.ts'

/** What engines are for. */
export interface BuildTarget {
  /** Compute capabilities to build for: `'sm_89'`, `'8.9'` or 89. None: every one that TensorRT for RTX knows; TensorRT: this machine's GPU. */
  readonly targets?: readonly (string | number)[]
  /** Name, compute capability and driver of the GPU that is built for, where no targets are given. */
  readonly gpu?: string
}

export interface BuildOptions extends BuildTarget, BuildWatch {}

const PROGRESS_MS = 100

/** One stage's engine: what it was made from, and itself. */
export interface StageEngine {
  readonly description: EngineDescription
  readonly engine: Uint8Array
}

/** A stage that an engine can be built of, or has been built of. */
export interface StageSource {
  readonly description: EngineDescription
  readonly file: Pick<OnnxFile, 'path' | 'bytes' | 'withWeights'>
  readonly profiles: Profiles
  /** Of the files that hold its weights, in order. */
  readonly weights: readonly HashedFile[]
}

/** A file's hash, and what it was when that was made. */
interface HashedFile {
  readonly sha256: string
  readonly found: RegularFile['found']
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

/** Builds the engines of a model's networks, or takes them from the cache, one after another. */
export async function buildEngines(
  builder: TensorRtBuilder,
  files: readonly NetworkFile[],
  cache: EngineCache,
  options: BuildOptions = {},
): Promise<StageEngine[]> {
  const sources = new StageSources(builder, options)
  const engines: StageEngine[] = []
  for (const file of files) {
    const source = await sources.read(file)
    engines.push({ description: source.description, engine: await obtainEngine(builder, source, cache, options) })
  }
  return engines
}

/** Model files as engines are made of them, for one library and target. */
export class StageSources {
  private readonly from: Pick<EngineDescription, 'flavour' | 'version' | 'targets' | 'gpu'>
  /** Hashes of weights, which the stages of a model share. */
  private readonly weights = new Map<string, Promise<HashedFile>>()

  constructor({ flavour, version }: Pick<TensorRtBuilder, 'flavour' | 'version'>, options: BuildTarget) {
    // However they are written, and in whatever order: the engine is the same.
    const targets = [...new Set((options.targets ?? []).map(parseTarget))].sort((a, b) => a - b)
    const gpu = targets.length === 0 && options.gpu !== undefined ? { gpu: options.gpu } : {}
    this.from = { flavour, version, targets, ...gpu }
  }

  /** Throws MODEL_NOT_FOUND, PATH_UNSAFE, MODEL_CHANGED and the like for weights in other files. */
  async read({ model, stage, file, profiles }: NetworkFile): Promise<StageSource> {
    const weights = await file.withWeights((_, files) => Promise.all(files.map((each) => this.hash(each))))
    const hashes = weights.map(({ sha256 }) => sha256)
    const source = hashes.length === 0 ? file.sha256 : sha256Of([file.sha256, ...hashes].join(' '))
    return { description: { model, stage, source, ...this.from, profiles }, file, profiles, weights }
  }

  /** Of a file that is open; read again where it is not what it was. */
  private async hash(file: RegularFile): Promise<HashedFile> {
    const known = this.weights.get(file.path)
    const isSame = await known
      ?.then(({ found }) => checkUnchanged({ ...file, found }))
      .then(
        () => true,
        () => false,
      )
    if (known && isSame) return known
    const hashed = hashOf(file)
    this.weights.set(file.path, hashed)
    return hashed
  }
}

const sha256Of = (text: string): string => createHash('sha256').update(text).digest('hex')

async function hashOf({ handle, found }: RegularFile): Promise<HashedFile> {
  const hash = createHash('sha256')
  const stream = handle.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 })
  for await (const chunk of stream) hash.update(chunk as Buffer)
  return { sha256: hash.digest('hex'), found }
}

/** The engine of a stage: from the cache, else built now. */
export function obtainEngine(
  builder: TensorRtBuilder,
  source: StageSource,
  cache: EngineCache,
  options: BuildOptions,
): Promise<Uint8Array> {
  const { description } = source
  const build = async (): Promise<Uint8Array> => {
    const timingCache = await cache.readBeside('timing', description)
    const built = await guarded(source, (request) => buildOne(builder, { ...request, timingCache }, options))
    await cache.writeBeside('timing', description, built.timingCache)
    return built.engine
  }
  const { signal = never, onBuild } = options
  // What the caller's function throws ends loading; the lock it waits for is not what failed.
  const telling = new AbortController()
  const onWait = (): void => {
    try {
      onBuild?.({ stage: description.stage, phase: WAITING, done: 0, of: 1 })
    } catch (error) {
      telling.abort(error)
    }
  }
  return cache.obtain(description, build, { signal: AbortSignal.any([signal, telling.signal]), onWait })
}

/** The builder opens weights by itself: they have to be before it, and after it, what they were when they were hashed. */
function guarded<T>({ description, file, profiles, weights }: StageSource, build: (request: OneBuild) => Promise<T>): Promise<T> {
  return file.withWeights(async (_, files) => {
    for (const [k, { found }] of weights.entries()) await checkUnchanged({ ...files[k], found })
    // A file that has no weights in others gets no way to ask for any.
    const modelPath = weights.length > 0 ? file.path : undefined
    const { stage, targets } = description
    return build({ stage, targets, onnx: file.bytes, profiles, modelPath, mostBytes: constants.MAX_LENGTH })
  })
}

interface OneBuild extends EngineBuildRequest {
  readonly stage: string
}

/** One build. Rejects with MODEL_CORRUPT, MODEL_TOO_LARGE, NETWORK_FAILED or INVALID_ARGUMENT; with the signal's reason, at once, when it fires. */
async function buildOne(
  builder: TensorRtBuilder,
  { stage, ...request }: OneBuild,
  { signal = never, onBuild }: BuildOptions,
): ReturnType<TensorRtBuilder['build']>['done'] {
  // Nobody would catch what the caller's function throws on a timer.
  const telling = new AbortController()
  const stop = AbortSignal.any([signal, telling.signal])
  stop.throwIfAborted()
  const job = builder.build(request)
  const tell = (): void => {
    const innermost = job.progress().at(-1)
    try {
      if (innermost) onBuild?.({ stage, ...innermost })
    } catch (error) {
      telling.abort(error)
    }
  }
  const timer = onBuild && setInterval(tell, PROGRESS_MS)
  try {
    return await orAborted(job.done, stop)
  } catch (error) {
    job.abort()
    stop.throwIfAborted()
    throw unsupportedTarget(error, builder, stage) ?? asSadaError(error, { stage })
  } finally {
    clearInterval(timer)
  }
}

/** What the compiler of TensorRT for RTX says of an operation that a generation of GPUs has no code for. */
const CANNOT_COMPILE = /Cannot compile operation '([^']*)' for [^:]*\(SM(\d+)\): ([^.]*)/

/** UNSUPPORTED for a network that cannot be built for one of the compute capabilities; undefined for other failures. */
export function unsupportedTarget(
  error: unknown,
  { flavour, version }: Pick<TensorRtBuilder, 'flavour' | 'version'>,
  stage: string,
): SadaError | undefined {
  const [, operation, target, why] = CANNOT_COMPILE.exec((error as Error).message) ?? []
  if (target === undefined) return undefined
  const message =
    `${flavour} ${version} does not build this model for sm_${target}: ${why} (operation "${operation}" of stage "${stage}"). ` +
    'Build for other compute capabilities only; on such a GPU run the networks with the engine "onnxruntime".'
  return new SadaError('UNSUPPORTED', message, { argument: 'target', stage, cause: error })
}

/** `'sm_89'`, `'8.9'`, `'89'` or 89 → 89. Throws INVALID_ARGUMENT. */
export function parseTarget(target: string | number): number {
  // Of 2.0 and later, as CUDA itself has been for long: "12" means 12.0, and must not pass for 1.2.
  const match = /^(?:sm_?)?([2-9]|[1-9]\d)\.?(\d)$/.exec(String(target))
  if (!match) throw invalidArgument('target', 'a compute capability like "sm_89" or "8.9"', target)
  return Number(match[1]) * 10 + Number(match[2])
}
