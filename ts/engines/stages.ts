import { SadaError } from '../errors.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { Engine, GpuInfo, GpuRef, GpuReport, TensorRtBuilder } from '../native/types.ts'
import type { BuildWatch, DeviceEngine, NetworkFile, OpenDeviceEngine } from '../plan/device-engine.ts'
import type { TrustedEngines } from '../plan/model.ts'
import { obtainEngine, StageSources, targetOf, type StageSource } from './build.ts'
import { EngineCache } from './cache.ts'
import type { EngineDescription } from './description.ts'
import { openTensorRt } from './library.ts'
import { ShippedEngines } from './shipped.ts'

/**
 * TensorRT on a GPU: engines that are trusted, else from the cache, else built when a model is loaded, which takes seconds to minutes.
 * Where `auto` found no GPU, nothing, with a warning.
 */
export const tensorRtEngine =
  (trusted?: TrustedEngines, watch: BuildWatch = {}): OpenDeviceEngine =>
  async ({ gpu, withoutGpu }) => {
    if (withoutGpu !== undefined) {
      process.emitWarning(`The networks run on the CPU, without TensorRT: ${withoutGpu}.`, { type: 'SadaWarning' })
      return undefined
    }
    if (gpu === undefined) {
      const message = '"tensorrt" runs on a GPU, and none was chosen: ask for one with "device", "cuda" for the first.'
      throw new SadaError('BACKEND_UNAVAILABLE', message, { argument: 'engine' })
    }
    const shipped = trusted && (await ShippedEngines.open(trusted))
    const builder = openTensorRt()
    const { info, report } = await describeGpu(gpu)
    const sources = new StageSources(builder, targetOf(builder, info, report))
    try {
      const engine = new (loadAddon().Engine)({ library: builder.library, kind: 'tensorrt', gpu })
      return new TensorRtEngine(engine, info.name, builder, sources, shipped, watch)
    } catch (error) {
      throw asSadaError(error)
    }
  }

class TensorRtEngine implements DeviceEngine {
  readonly engine: Engine
  activationBytes = 0
  readonly compiles = true
  readonly onGpu = true
  private readonly gpuName: string
  private readonly builder: TensorRtBuilder
  private readonly sources: StageSources
  private readonly cache = new EngineCache()
  private readonly shipped: ShippedEngines | undefined
  private readonly watch: BuildWatch
  private readonly compiled: Compiled[] = []

  constructor(
    engine: Engine,
    gpuName: string,
    builder: TensorRtBuilder,
    sources: StageSources,
    shipped: ShippedEngines | undefined,
    watch: BuildWatch,
  ) {
    this.shipped = shipped
    this.watch = watch
    this.engine = engine
    this.gpuName = gpuName
    this.builder = builder
    this.sources = sources
  }

  async load(file: NetworkFile): Promise<number> {
    this.watch.signal?.throwIfAborted()
    const source = await this.sources.read(file)
    return (await this.loadShipped(source.description)) ?? this.loadKept(source, file.stage)
  }

  /** Undefined where none of the trusted engines is for this file, library and GPU; then that is said. */
  private async loadShipped(description: EngineDescription): Promise<number | undefined> {
    const { stage } = description
    const bytes = await this.shipped?.find(description)
    try {
      if (bytes !== undefined) return await this.session(bytes, description)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENGINE_INCOMPATIBLE') throw asSadaError(error, { stage })
    }
    if (this.shipped !== undefined) {
      const message = `None of the engines brought along is for stage "${stage}" on this GPU with this library; it is built here.`
      process.emitWarning(message, { type: 'SadaWarning' })
    }
    return undefined
  }

  /** A kept engine that the library does not take (a driver or GPU was changed under the same name) is built again, once. */
  private async loadKept(source: StageSource, stage: string): Promise<number> {
    for (let isAgain = false; ; isAgain = true) {
      const bytes = await obtainEngine(this.builder, source, this.cache, this.watch)
      try {
        return await this.session(bytes, source.description)
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'ENGINE_INCOMPATIBLE' || isAgain) throw asSadaError(error, { stage })
        await this.cache.forget(source.description)
      }
    }
  }

  private async session(bytes: Uint8Array, description: EngineDescription): Promise<number> {
    const compiles = description.flavour === 'tensorrt-rtx'
    // An engine serves all GPUs of its compute capability, what is compiled of it one kind of them.
    const here = { ...description, gpu: this.gpuName }
    const runtimeCache = compiles ? await this.cache.readBeside('runtime', here) : undefined
    const { session, activationBytes = 0 } = await this.engine.load({ bytes, runtimeCache })
    this.activationBytes = Math.max(this.activationBytes, activationBytes)
    if (compiles) this.compiled.push({ session, description: here, kept: runtimeCache })
    return session
  }

  /** Undefined also where the engine was disposed of meanwhile. */
  private async compiledSince(session: number): Promise<Uint8Array | undefined> {
    try {
      return await this.engine.runtimeCache(session)
    } catch {
      return undefined
    }
  }

  async keepCompiled(): Promise<void> {
    for (const each of this.compiled) {
      const bytes = await this.compiledSince(each.session)
      if (bytes === undefined || (each.kept && Buffer.compare(bytes, each.kept) === 0)) continue
      each.kept = bytes
      await this.cache.writeBeside('runtime', each.description, bytes)
    }
  }
}

/** What the library compiled for a session, as it is in the cache. */
interface Compiled {
  readonly session: number
  readonly description: EngineDescription
  kept: Uint8Array | undefined
}

async function describeGpu({ library, index }: GpuRef): Promise<{ info: GpuInfo; report: GpuReport }> {
  try {
    const report = await loadAddon().gpus(library, index)
    const info = report.gpus.find((each) => each.index === index)
    if (info === undefined) throw new SadaError('BACKEND_UNAVAILABLE', report.reason ?? `There is no GPU ${index}.`)
    return { info, report }
  } catch (error) {
    throw asSadaError(error)
  }
}
