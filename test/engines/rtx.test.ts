import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { during } from '../support/environment.ts'
import { hasTensorRtDouble, rtxDouble } from '../support/tensorrt-double.ts'

/** What is different with TensorRT for RTX, on the double of the library. */

const gpu = { library: emulatedGpu, index: 0 }
const addon = loadAddon()

if (!hasTensorRtDouble()) {
  test.skip('TensorRT for RTX on its double', () => {})
} else {
  test('versions whose tables are known are opened; others are refused with those that are served', async () => {
    const open = () => new addon.Engine({ library: rtxDouble, kind: 'tensorrt', gpu }).version
    const versions = {
      10400: '1.4.0',
      10499: '1.4.99',
      10500: '1.5.0',
      10601: '1.6.1',
      10701: '1.7.1',
      10799: '1.7.99',
      10800: '1.8.0',
      20000: '2.0.0',
      110100: '11.1.0',
    }
    for (const [SADA_DOUBLE_VERSION, version] of Object.entries(versions)) {
      const said = await during({ SADA_DOUBLE_VERSION }, async () => open()).catch((error: SadaError) => error)
      if (/^1\.[567]\./.test(version)) assert.is(said, version)
      else {
        assert.is((said as SadaError).code, 'BACKEND_UNAVAILABLE')
        assert.match((said as SadaError).message, `is version ${version} of TensorRT for RTX; of that, 1.5 to 1.7 are served.`)
      }
    }
  })
}

test.run()
