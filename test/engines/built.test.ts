import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { buildEngines } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import { openTensorRt } from '../../ts/engines/library.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { familyFolder } from '../support/families.ts'

/** Every kind of file of the families through the real builder of TensorRT for RTX, which `npm run test:gpu` fetches. */

const FETCHED = join(__dirname, '../../build/tensorrt/tensorrt_rtx_libs')

/** Pictures of 32 to 64 pixels, sounds of 0.016 to 0.03 s. */
const engineSizes = { pictures: 3, width: [32, 64], height: [32, 64], seconds: [0.016, 0.03] } as const

const cases: [family: string, stages: boolean][] = [
  ['sd2-controlnet', true],
  ['sdxl', false],
  ['sd3', false],
  ['pixart', true],
  ['flux', true],
  ['musicldm', false],
]

try {
  const builder = openTensorRt(process.env.SADA_TENSORRT_PATH ?? FETCHED)
  for (const [family, stages] of cases) {
    test(`${family}, ${stages ? 'in stages' : 'whole'}: every file is read with its weights and built for a range of sizes`, async () => {
      const cache = new EngineCache(mkdtempSync(join(tmpdir(), 'sada-engines-')))
      const files = await filesForEngines(familyFolder(family), { stages, engineSizes })
      assert.ok(files.length >= 3)
      const made = await buildEngines(builder, files, cache, { targets: ['sm_89'] })
      assert.equal(
        made.map(({ description }) => description.stage),
        files.map(({ stage }) => stage),
      )
      for (const { engine } of made) assert.ok(engine.length > 10_000)
    })
  }
} catch (error) {
  test.skip('TensorRT’s builder', () => {})
  console.log(`SKIPPED building the families: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`)
}

test.run()
