import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { bound, fixtureBytes, read } from '../support/engines.ts'
import { during } from '../support/environment.ts'
import { hasTensorRtDouble, packEngine, rtxDouble, type DoubleEngine } from '../support/tensorrt-double.ts'

/** What is different with TensorRT for RTX, on the double of the library. */

const gpu = { library: emulatedGpu, index: 0 }
const addon = loadAddon()

/** [rows, 3] + [rows, 3]. */
const SUM: DoubleEngine = {
  memory: 4096,
  inputs: ['a', 'b'].map((name) => ({ name, type: 'float32', sizes: [-1, 3] })),
  outputs: [
    { name: 'sum', type: 'float32', sizes: ['a.0', 3] },
    { name: 'product', type: 'float32', sizes: ['a.0', 2] },
  ],
  profiles: [4, 16].map((most) => ['a', 'b'].map((input) => ({ input, smallest: [1, 3], usual: [2, 3], largest: [most, 3] }))),
  onnx: fixtureBytes('add_matmul'),
}

/** What one pass gives in each of six runs, and how often it was a graph. */
async function sums(): Promise<{ sums: number[][]; launched: number }> {
  const engine = new addon.Engine({ library: rtxDouble, kind: 'tensorrt', gpu })
  const workspace = new addon.Workspace(gpu)
  try {
    const { session } = await engine.load({ bytes: packEngine(SUM) })
    const inputs = ['a', 'b'].map((name) => bound(workspace, name, [1, 2, 3], [1, 3]))
    const sum = bound(workspace, 'sum', [0, 0, 0], [1, 3])
    const results: number[][] = []
    for (let k = 0; k < 6; k++) {
      await engine.run(workspace, [{ kind: 'stage', session, inputs, outputs: [sum] }]).done
      results.push(read(workspace, sum))
    }
    return { sums: results, launched: workspace.graphs().launched }
  } finally {
    workspace.dispose()
    await engine.dispose()
  }
}

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

  const SADA_DOUBLE_VERSION = '10701'

  test('the kernels of a size are compiled before its first run: no graph has others, and the bits are the same in all runs', async () => {
    const { sums: all, launched } = await during({ SADA_DOUBLE_VERSION }, sums)
    assert.equal(all, Array(6).fill([2, 4, 6]))
    assert.is(launched, 4)
  })

  for (const call of ['createRuntimeConfig', 'setSpecialization']) {
    test(`where ${call} does not do what it is called for, contexts are as the library makes them`, async () => {
      const { sums: all } = await during({ SADA_DOUBLE_VERSION, SADA_DOUBLE_FAIL: call }, sums)
      const fallback = [2, 4, 6].map((n) => n + 2 ** (Math.floor(Math.log2(n)) - 23))
      assert.equal(all, Array(6).fill(fallback), 'the graph keeps the fallbacks')
    })
  }
}

test.run()
