import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import type { Engine } from '../../ts/native/types.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { bound, read } from '../support/engines.ts'
import { field, integer, model, node } from '../support/onnx.ts'

/** Networks that convolve, on the CUDA provider: with how many rows they are run, by how they name their rows. On the provider's double. */

const DOUBLE = join(__dirname, '../../build', 'onnxruntime-double', 'libonnxruntime.so.1')
const addon = loadAddon()
const gpu = { library: emulatedGpu, index: 0 }

/** An input (field 11) or output (field 12) of rows that are called `rows`; a number is that many. */
const rowsOf = (number: 11 | 12, name: string, rows: string | number): Buffer => {
  const size = typeof rows === 'string' ? field(2, rows) : integer(1, rows)
  const type = Buffer.concat([integer(1, 1), field(2, Buffer.concat([field(1, size), field(1, integer(1, 2))]))])
  return field(number, Buffer.concat([field(1, name), field(2, field(1, type))]))
}

/** y = x + t, rows of two. */
const sum = (x: string, t: string | number, y: string): Uint8Array =>
  model([node('Add', { inputs: ['x', 't'], outputs: ['y'] }), rowsOf(11, 'x', x), rowsOf(11, 't', t), rowsOf(12, 'y', y)])

/** What the network makes of `rows` rows and of so many of terms, and what it should. */
async function run(engine: Engine, session: number, rows: number, ofTerms: number) {
  const workspace = new addon.Workspace(gpu)
  const values = Array.from({ length: 2 * rows }, (_, k) => k)
  const terms = Array.from({ length: 2 * ofTerms }, (_, k) => 10 * k)
  const inputs = [bound(workspace, 'x', values, [rows, 2]), bound(workspace, 't', terms, [ofTerms, 2])]
  const outputs = [bound(workspace, 'y', new Float32Array(2 * rows), [rows, 2])]
  await engine.run(workspace, [{ kind: 'stage', session, inputs, outputs }]).done
  const got = read(workspace, outputs[0])
  workspace.dispose()
  return { got, wanted: values.map((k) => k + terms[k % terms.length]) }
}

if (!hasEmulatedGpu() || !existsSync(DOUBLE)) {
  test.skip('rows on the CUDA provider', () => {})
  console.log(`SKIPPED rows on the CUDA provider: ${DOUBLE} is not built; "node scripts/build-onnxruntime-double.mjs" builds it.`)
} else {
  Object.assign(process.env, {
    SADA_ORT_DOUBLE_REAL: findOnnxRuntime(),
    SADA_CUDA_PATH: emulatedGpu,
    SADA_ORT_DOUBLE_GPU: emulatedGpu,
  })

  test('any number of rows is run, however a network names them', async () => {
    const engine = new addon.Engine({ library: DOUBLE, kind: 'onnxruntime', gpu })
    for (const [x, t, y] of [
      ['rows', 'rows', 'rows'],
      ['rows', 'steps', 'rows'], // as exporters write a timestep of each picture
      ['a', 'b', 'c'],
      ['', '', ''],
      ['rows', 1, 'rows'],
    ] as const) {
      const { session } = await engine.load({ bytes: sum(x, t, y), convolves: true })
      for (const rows of [1, 5, 2, 7, 9, 5]) {
        const { got, wanted } = await run(engine, session, rows, t === 1 ? 1 : rows)
        assert.equal(got, wanted, `${rows} rows called ${x}, ${t} and ${y}`)
      }
    }
    await engine.dispose()
  })

  test('a number of rows that there is no memory for a session of is run all the same', async () => {
    const engine = new addon.Engine({ library: DOUBLE, kind: 'onnxruntime', gpu })
    for (const fault of ['CreateSessionFromArray', 'memory']) {
      const { session } = await engine.load({ bytes: sum('rows', 'rows', 'rows'), convolves: true })
      await run(engine, session, 1, 1)
      process.env.SADA_ORT_DOUBLE_FAIL = fault
      const { got, wanted } = await run(engine, session, 2, 2)
      Reflect.deleteProperty(process.env, 'SADA_ORT_DOUBLE_FAIL')
      assert.equal(got, wanted, fault)
    }
    await engine.dispose()
  })
}

test.run()
