import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StageSources, targetOf, type StageSource } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import { openTensorRt } from '../../ts/engines/library.ts'
import { findGpu, inspectGpus } from '../../ts/native/gpu.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { loadManifest } from '../../ts/plan/model.ts'
import { packStage } from './tensorrt-double.ts'

const MODEL = join(__dirname, '../../models/avatar')

/** A cache of its own for what follows; the stages as they would be looked for in it. */
export async function newCache(): Promise<{ cache: EngineCache; sources: StageSource[]; warnings: string[] }> {
  process.env.SADA_CACHE = mkdtempSync(join(tmpdir(), 'sada-engines-'))
  const warnings: string[] = []
  const cache = new EngineCache(undefined, { warn: (message) => warnings.push(message) })
  const found = await findGpu()
  if (found.gpu === undefined) throw new Error(found.reason)
  const builder = openTensorRt()
  const target = targetOf(builder, found.info, (await inspectGpus())!.report)
  const reader = new StageSources(builder, target)
  const sources: StageSource[] = []
  for (const file of await filesForEngines('avatar')) sources.push(await reader.read(file))
  return { cache, sources, warnings }
}

/** A cache with the double's engines. */
export async function filledCache(): Promise<Awaited<ReturnType<typeof newCache>>> {
  const made = await newCache()
  const manifest = await loadManifest(MODEL)
  for (const [k, { description }] of made.sources.entries()) {
    await made.cache.obtain(description, () => Promise.resolve(packStage(MODEL, manifest, manifest.stages[k])))
  }
  return made
}
