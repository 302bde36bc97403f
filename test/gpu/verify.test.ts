import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'

/** `npm run verify:gpu`, over `dist/`. */

const root = join(__dirname, '../..')
const verify = (library: string, parts: readonly string[]) =>
  spawnSync(process.execPath, [join(root, 'scripts', 'verify-gpu.mjs'), ...parts], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, SADA_CUDA_PATH: library },
  })

test('without a GPU it exits with 3 and says why in one line', () => {
  const { status, stdout, stderr } = verify('/nonexistent/libsada_cuda.so', [])
  assert.is(status, 3)
  assert.is(stdout, '')
  assert.match(stderr, /^No GPU to verify: .*\n$/)
})

if (!hasEmulatedGpu()) {
  test.skip('its parts, on an emulated GPU', () => {})
} else {
  test('its parts pass on an emulated GPU, and one that fails is told', () => {
    const { status, stdout } = verify(emulatedGpu, ['memory', 'concurrency'])
    assert.is(status, 0, stdout)
    assert.match(stdout, /✔ concurrency[^]*✔ memory/)
  })
}

test.run()
