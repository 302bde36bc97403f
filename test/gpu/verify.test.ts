import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { filledCache } from '../support/filled-cache.ts'
import { hasTensorRtDouble, tensorRtDouble } from '../support/tensorrt-double.ts'

/** `npm run verify:gpu`, over `dist/`. */

const root = join(__dirname, '../..')
const verify = (library: string, parts: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, [join(root, 'scripts', 'verify-gpu.mjs'), ...parts], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, SADA_CUDA_PATH: library, ...env },
  })

test('without a GPU it exits with 3 and says why in one line', () => {
  const { status, stdout, stderr } = verify('/nonexistent/libsada_cuda.so', [])
  assert.is(status, 3)
  assert.is(stdout, '')
  assert.match(stderr, /^No GPU to verify: .*[^.]\.\n$/)
})

test('targets are judged by the worst that was measured; what was not is said to be so', async () => {
  const { targetsOf } = (await import(join(root, 'scripts', 'gpu-speed.mjs'))) as {
    targetsOf(kernels: object[], torch: object[]): { target: string; measured: number | string; met?: boolean }[]
  }
  assert.equal(
    targetsOf([], []).map(({ measured, met }) => [measured, met]),
    Array(9).fill(['not measured', undefined]),
  )
  const step = (elements: number, ms: number, percentOfCopy: number) => ({
    ...{ kernel: 'step', size: `1 x ${elements}`, bytes: 36 * elements, ms, replayedMs: ms, hostMs: 0.002, percentOfCopy },
  })
  const kernels = [
    { device: 'made up' },
    { kernel: 'empty', ms: 0.002, hostMs: 0.002, replayedMs: 0.001 },
    ...[step(65536, 0.0025, 40), step(262144, 0.003, 60), step(1 << 20, 0.01, 85), step(1 << 22, 0.04, 79)],
    { kernel: 'step, float16', size: '1 x 1048576', bytes: 1 << 24, percentOfCopy: 81 },
    { kernel: 'gather', size: '2048/4096 x 1280', percentOfCopy: 75 },
    { kernel: 'scatter, float16', size: '2048/4096 x 1280', percentOfCopy: 69 },
    { kernel: 'scatter, channels first', size: '8192/16384 x 320', percentOfCopy: 71, percentOfTouchedCopy: 69 },
  ]
  const torch = [
    { kernel: 'step', size: 'SDXL 65536', deviceMs: 0.05, hostMs: 0.1 },
    { kernel: 'step, float16', size: 'Flux 262144', deviceMs: 0, hostMs: 0 },
    { kernel: 'step', size: 'Flux 262144', deviceMs: 0.09, hostMs: 0.019 },
  ]
  assert.equal(
    targetsOf(kernels, torch).map(({ measured, met }) => [Number(measured).toFixed(3), met]),
    [
      ['79.000', false],
      ['81.000', true],
      ['1.500', true],
      ['3.000', undefined],
      ['20.000', true],
      ['9.500', false],
      ['69.000', false],
      ['71.000', true],
      ['69.000', false],
    ],
  )
})

test('what a record lacks is told in the document', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-gpu-doc-'))
  const head = { gpu: { name: 'A GPU', computeCapability: '9.0' }, driver: 13000, cuda: 13000, versions: {}, date: '2026-01-01' }
  const partly = {
    kernels: { failed: 'it was lost' },
    engines: { tensorrt: { failed: 'no engine' } },
    speed: { kernels: [], targets: [] },
  }
  writeFileSync(join(folder, 'gpu-a.json'), JSON.stringify({ ...head, results: {} }))
  writeFileSync(join(folder, 'gpu-b.json'), JSON.stringify({ ...head, results: partly }))
  const written = join(folder, 'gpu.md')
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'gpu-doc.mjs'), folder, written])
  assert.is(status, 0, String(stderr))
  const document = readFileSync(written, 'utf8')
  for (const part of ['commit unknown', '- memory: not measured', 'failed: it was lost', '- tensorrt: failed: no engine'])
    assert.ok(document.includes(part), part)
})

test('the newest version that programs ask for is found, by number', async () => {
  const { newestVersion } = (await import(join(root, 'scripts', 'symbol-versions.mjs'))) as {
    newestVersion(library: string, files: string[]): { version: string; files: string[] } | undefined
  }
  const folder = mkdtempSync(join(tmpdir(), 'sada-versions-'))
  const files = ['GLIBC_2.9\0GLIBC_2.34', 'GLIBC_2.2.5\0GLIBCXX_3.4.29', 'xGLIBC_2.99', 'GLIBC_2.34'].map((text, k) => {
    writeFileSync(join(folder, String(k)), `\0${text}\0`)
    return join(folder, String(k))
  })
  assert.equal(newestVersion('GLIBC', files), { version: '2.34', files: [files[0], files[3]] })
  assert.equal(newestVersion('GLIBCXX', files), { version: '3.4.29', files: [files[1]] })
  assert.is(newestVersion('CXXABI', files), undefined)
})

test('the offline bundle brings every script that it runs', () => {
  const packed = readFileSync(join(root, 'bench', 'gpu', 'pack.mjs'), 'utf8')
  const missing = (script: string): string[] => [
    ...(packed.includes(`'${relative(root, script)}'`) ? [] : [script]),
    ...[...readFileSync(script, 'utf8').matchAll(/from '(\.[^']+)'/g)].flatMap(([, path]) =>
      missing(join(dirname(script), path)),
    ),
  ]
  assert.equal(missing(join(root, 'scripts', 'verify-gpu.mjs')), [])
})

if (!hasEmulatedGpu()) {
  test.skip('its parts, on an emulated GPU', () => {})
} else {
  test('its parts pass on an emulated GPU, and one that fails is told', () => {
    const small = { SADA_EMULATED_MEMORY: String(2 ** 28) }
    const { status, stdout } = verify(emulatedGpu, ['memory', 'concurrency', 'lifecycle', 'cases', 'recovery'], small)
    assert.is(status, 0, stdout)
    assert.match(stdout, /✔ cases[^]*✔ concurrency[^]*✔ lifecycle[^]*✔ memory[^]*✔ recovery/)
    const { recovery } = JSON.parse(stdout.trim().split('\n').at(-1)!) as { recovery: { filled: number } }
    assert.ok(recovery.filled > 0.9 * 2 ** 28, `${recovery.filled} bytes were taken`)
  })

  test('every kernel is run under every checker of compute-sanitizer, and what one finds is told', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sada-sanitizer-'))
    const log = join(folder, 'log')
    // In its place: notes what it was given. The program below it is run where it is that of the cases; `FINDS` names what it finds fault with.
    const double = `#!/bin/sh
      [ "$1" = --version ] && exit 0
      echo "$@" >> '${log}'
      case "$*" in *"$FINDS") exit 9;; *" kernels") exit 0;; esac
      shift 6; exec "$@"`
    writeFileSync(join(folder, 'compute-sanitizer'), double, { mode: 0o755 })
    const under = (FINDS: string) => verify(emulatedGpu, ['sanitizers'], { PATH: `${folder}:${process.env.PATH}`, FINDS })
    const clean = under('nothing')
    assert.is(clean.status, 0, clean.stdout)
    const calls = readFileSync(log, 'utf8')
    for (const tool of ['memcheck', 'racecheck', 'initcheck'])
      for (const section of ['kernels', 'tokens', 'convert', 'device', 'sada'])
        assert.match(calls, new RegExp(`--tool ${tool} .*${section}\n`))
    const faulty = under('convert')
    assert.is(faulty.status, 1)
    assert.match(faulty.stdout, /✘ sanitizers {2}memcheck: convert ended with 9/)
  })

  if (!hasTensorRtDouble()) {
    test.skip('pictures by every engine', () => {})
  } else {
    test('pictures by every engine that is here, and what is not is told', async () => {
      Object.assign(process.env, { SADA_CUDA_PATH: emulatedGpu, SADA_TENSORRT_PATH: tensorRtDouble })
      await filledCache()
      const { status, stdout } = verify(emulatedGpu, ['engines'], { SADA_ONNXRUNTIME_PATH: undefined })
      assert.is(status, 0, stdout)
      assert.match(stdout, /tensorrt: none \d+ ms, sada \d+ ms/)
      assert.match(stdout, /tensorrt: decided on the device, against the loop: every bit/)
      assert.match(stdout, /onnxruntime: (none|not measured: )/)
    })

    test('an engine that fails is told, beside what there is of the others', () => {
      const env = { SADA_TENSORRT_PATH: tensorRtDouble, SADA_DOUBLE_FAIL: 'createInferRuntime', SADA_ONNXRUNTIME_PATH: undefined }
      const { status, stdout } = verify(emulatedGpu, ['engines'], env)
      assert.is(status, 1, stdout)
      assert.match(stdout, /✘ engines {2}tensorrt: /)
      const { engines } = JSON.parse(stdout.trim().split('\n').at(-1)!) as { engines: Record<string, unknown> }
      assert.equal(Object.keys(engines), ['onnxruntime', 'tensorrt'])
    })
  }
}

test.run()
