import { SadaError } from '../errors.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { Engine, GpuRef, TensorRtBuilder } from '../native/types.ts'
import type { StageLoader } from '../plan/model.ts'
import { obtainEngine, stageSources, targetOf, type BuildTarget, type StageSource } from './build.ts'
import { EngineCache } from './cache.ts'
import { openTensorRt } from './library.ts'

/** Loads a model's stages on TensorRT: engines from the cache, or built now, which takes seconds to minutes. */
export const loadStagesOnTensorRt: StageLoader = async (folder, manifest, gpu) => {
  if (gpu === undefined) {
    const message = '"tensorrt" runs on a GPU, and none was chosen: ask for one with "device", "cuda" for the first.'
    throw new SadaError('BACKEND_UNAVAILABLE', message, { argument: 'engine' })
  }
  const builder = openTensorRt()
  const cache = new EngineCache()
  const target = await targetOn(builder, gpu)
  let engine: Engine
  try {
    engine = new (loadAddon().Engine)({ library: builder.library, gpu })
  } catch (error) {
    throw asSadaError(error)
  }
  try {
    const sessions = new Map<string, number>()
    for await (const source of stageSources(builder, folder, manifest, target)) {
      sessions.set(source.description.stage, await loadStage(engine, builder, source, cache))
    }
    return { engine, sessions }
  } catch (error) {
    await engine.dispose()
    throw error
  }
}

/** A kept engine that the library does not take (a driver or GPU was changed under the same name) is built again, once. */
async function loadStage(engine: Engine, builder: TensorRtBuilder, source: StageSource, cache: EngineCache): Promise<number> {
  const { stage } = source.description
  for (let isAgain = false; ; isAgain = true) {
    const bytes = await obtainEngine(builder, source, cache, {})
    try {
      return (await engine.load({ bytes })).session
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENGINE_INCOMPATIBLE' || isAgain) throw asSadaError(error, { stage })
      await cache.forget(source.description)
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
