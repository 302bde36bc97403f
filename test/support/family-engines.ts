import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StageSources, targetOf } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import { openTensorRt } from '../../ts/engines/library.ts'
import type { FamilySettings } from '../../ts/index.ts'
import { findGpu, inspectGpus } from '../../ts/native/gpu.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { packFile } from './tensorrt-double.ts'

/** Pixels, or values of a spectrogram, along one side of a latent of the recorded models. */
export const SCALE = 2

/** Fills a cache of its own with the double's engines of a folder for one size of latents. */
export async function prepare(folder: string, size: readonly [number, number], settings: FamilySettings): Promise<string[]> {
  process.env.SADA_CACHE = mkdtempSync(join(tmpdir(), 'sada-engines-'))
  const found = await findGpu()
  if (found.gpu === undefined) throw new Error(found.reason)
  const builder = openTensorRt()
  const sources = new StageSources(builder, targetOf(builder, found.info, (await inspectGpus())!.report))
  const files = await filesForEngines(folder, settings)
  for (const file of files) {
    const { description } = await sources.read(file)
    await new EngineCache().obtain(description, () => Promise.resolve(packFile(file, size, SCALE)))
  }
  return files.map(({ stage }) => stage)
}

export const engineSizes = ([height, width]: readonly [number, number]) => ({
  height: [height * SCALE, height * SCALE] as [number, number],
  width: [width * SCALE, width * SCALE] as [number, number],
})
