import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findOnnxRuntimeForGpu } from '../../ts/engines/onnxruntime.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { addon, fixtureBytes } from '../support/engines.ts'
import { failure } from '../support/failure.ts'

/** A build of ONNX Runtime with the CUDA provider: where it is found, and what the real one says without a GPU. */

const REAL = join(__dirname, '../../build', 'onnxruntime-gpu', 'onnxruntime', 'capi')
const gpu = { library: emulatedGpu, index: 0 }

test('a GPU build is found by its provider; without one the reason says where it was looked for', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-ort-'))
  const none = findOnnxRuntimeForGpu(folder)
  assert.match('reason' in none ? none.reason : '', folder)
  writeFileSync(join(folder, 'libonnxruntime_providers_cuda.so'), '')
  assert.ok('reason' in findOnnxRuntimeForGpu(folder))
  writeFileSync(join(folder, 'libonnxruntime.so.1.31.1'), '')
  const library = join(folder, 'libonnxruntime.so.1.31.1')
  for (const path of [folder, library, relative(process.cwd(), library)]) assert.equal(findOnnxRuntimeForGpu(path), { library })
})

if (existsSync(REAL) && !existsSync('/proc/driver/nvidia') && hasEmulatedGpu()) {
  test('the real provider, without a driver, is BACKEND_UNAVAILABLE in its own words, and the process goes on', async () => {
    const found = findOnnxRuntimeForGpu(REAL)
    if ('reason' in found) return assert.unreachable(found.reason)
    const engine = new addon.Engine({ library: found.library, kind: 'onnxruntime', gpu })
    assert.match(engine.version, /^1\./)
    for (let k = 0; k < 2; k++) {
      const error = await failure(engine.load({ bytes: fixtureBytes('add_matmul') }))
      assert.is(error.code, 'BACKEND_UNAVAILABLE', error.message)
      assert.match(error.message, /CUDA/)
    }
    await engine.dispose()
  })
} else {
  test.skip('the real provider', () => {})
  console.log(`SKIPPED the real CUDA provider: ${REAL} is not here, or a driver is; scripts/fetch-onnxruntime-gpu.mjs fetches it`)
}

test.run()
