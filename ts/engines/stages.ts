import { SadaError } from '../errors.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { Engine, GpuRef, TensorRtBuilder } from '../native/types.ts'
import type { DeviceEngine, NetworkFile, OpenDeviceEngine } from '../plan/device-engine.ts'
import { obtainEngine, StageSources, targetOf, type BuildTarget } from './build.ts'
import { EngineCache } from './cache.ts'
import { openTensorRt } from './library.ts'

/** TensorRT on a GPU: engines from the cache, or built when a model is loaded, which takes seconds to minutes. */
export const openTensorRtEngine: OpenDeviceEngine = async (gpu) => {
  if (gpu === undefined) {
    const message = '"tensorrt" runs on a GPU, and none was chosen: ask for one with "device", "cuda" for the first.'
    throw new SadaError('BACKEND_UNAVAILABLE', message, { argument: 'engine' })
  }
  const builder = openTensorRt()
  const sources = new StageSources(builder, await targetOn(builder, gpu))
  try {
    const engine = new (loadAddon().Engine)({ library: builder.library, gpu })
    return new TensorRtEngine(engine, builder, sources)
  } catch (error) {
    throw asSadaError(error)
  }
}

class TensorRtEngine implements DeviceEngine {
  readonly engine: Engine
  private readonly builder: TensorRtBuilder
  private readonly sources: StageSources
  private readonly cache = new EngineCache()

  constructor(engine: Engine, builder: TensorRtBuilder, sources: StageSources) {
    this.engine = engine
    this.builder = builder
    this.sources = sources
  }

  /** A kept engine that the library does not take (a driver or GPU was changed under the same name) is built again, once. */
  async load(file: NetworkFile): Promise<number> {
    const source = await this.sources.read(file)
    for (let isAgain = false; ; isAgain = true) {
      const bytes = await obtainEngine(this.builder, source, this.cache, {})
      try {
        return (await this.engine.load({ bytes })).session
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'ENGINE_INCOMPATIBLE' || isAgain)
          throw asSadaError(error, { stage: file.stage })
        await this.cache.forget(source.description)
      }
    }
  }
}

async function targetOn(builder: TensorRtBuilder, { library, index }: GpuRef): Promise<BuildTarget> {
  try {
    const report = await loadAddon().gpus(library)
    const info = report.gpus.find((each) => each.index === index)
    if (info === undefined) throw new SadaError('BACKEND_UNAVAILABLE', report.reason ?? `There is no GPU ${index}.`)
    return targetOf(builder, info, report)
  } catch (error) {
    throw asSadaError(error)
  }
}
