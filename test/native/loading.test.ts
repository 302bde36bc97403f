import { mkdtempSync, rmSync, copyFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { gpuLibraryPaths } from '../../ts/native/gpu.ts'
import { findOnnxRuntime, libraryPaths } from '../../ts/native/load.ts'
import { runScript } from '../support/child.ts'
import { during } from '../support/environment.ts'

const folder = mkdtempSync(join(tmpdir(), 'sada-'))
const file = join(folder, 'not-a-library.so')
writeFileSync(file, 'not a library')
test.after(() => rmSync(folder, { recursive: true }))

/** The code and message with which loading ends in a process with this environment. */
function failure(env: NodeJS.ProcessEnv): { code: string; message: string } {
  const { status, signal, stdout, stderr } = runScript(join(__dirname, '..', 'support', 'load-failure.ts'), { env })
  assert.equal({ status, signal }, { status: 0, signal: null }, stderr)
  return JSON.parse(stdout)
}

test("an addon that is not there, or is none: every path and the loader's words", () => {
  const absent = failure({ SADA_ADDON_PATH: join(folder, 'absent.node') })
  assert.is(absent.code, 'BACKEND_UNAVAILABLE')
  assert.ok(absent.message.includes(`${join(folder, 'absent.node')}: does not exist`), absent.message)
  const wrong = failure({ SADA_ADDON_PATH: file })
  assert.is(wrong.code, 'BACKEND_UNAVAILABLE')
  assert.ok(wrong.message.includes(`${file}: `) && !wrong.message.includes('does not exist'), wrong.message)
})

test('SADA_ONNXRUNTIME_PATH may be the folder that holds the library, under any version', () => {
  const own = mkdtempSync(join(tmpdir(), 'sada-'))
  copyFileSync(
    findOnnxRuntime(),
    join(own, process.platform === 'linux' ? 'libonnxruntime.so.1.99.0' : basename(findOnnxRuntime())),
  )
  const { status, stdout, stderr } = runScript(join(__dirname, '..', 'support', 'load-failure.ts'), {
    env: { SADA_ONNXRUNTIME_PATH: own },
  })
  rmSync(own, { recursive: true })
  assert.equal([status, stdout], [0, ''], stderr)
})

test('libraries that are named from the folder that a process starts in are those, and not what the loader finds', async () => {
  const own = mkdtempSync(join(tmpdir(), 'sada-'))
  const library = join(own, basename(findOnnxRuntime()))
  writeFileSync(library, 'not a library')
  for (const path of [own, library]) {
    const given = { SADA_ONNXRUNTIME_PATH: relative(process.cwd(), path) }
    assert.is(await during(given, () => Promise.resolve(findOnnxRuntime())), library)
  }
  const addon = libraryPaths().find(({ path, exists }) => exists && path.endsWith('sada.node'))!.path
  // The script's working folder is this one's.
  const { stdout, stderr } = runScript(join(__dirname, '..', 'support', 'load-failure.ts'), {
    env: { SADA_ADDON_PATH: relative(join(__dirname, '../..'), addon) },
  })
  assert.is(stdout, '', stderr)
  const gpu = await during({ SADA_CUDA_PATH: 'libsada_cuda.so' }, () => Promise.resolve(gpuLibraryPaths()))
  assert.equal(gpu, [{ path: resolve('libsada_cuda.so'), exists: false }])
  rmSync(own, { recursive: true })
})

test('an ONNX Runtime that is not there, is no library, or is another library', () => {
  const absent = failure({ SADA_ONNXRUNTIME_PATH: join(folder, 'absent.so') })
  assert.is(absent.code, 'BACKEND_UNAVAILABLE')
  assert.ok(absent.message.includes(join(folder, 'absent.so')), absent.message)
  const wrong = failure({ SADA_ONNXRUNTIME_PATH: file })
  assert.is(wrong.code, 'BACKEND_UNAVAILABLE')
  assert.ok(wrong.message.includes(file), wrong.message)
  if (process.platform !== 'linux') return
  const other = failure({
    SADA_ONNXRUNTIME_PATH: process.env.SADA_ADDON_PATH ?? join(__dirname, '../../prebuilt/linux-' + process.arch, 'sada.node'),
  })
  assert.is(other.code, 'BACKEND_UNAVAILABLE')
  assert.match(other.message, /is not ONNX Runtime: it has no OrtGetApiBase/)
})

test.run()
