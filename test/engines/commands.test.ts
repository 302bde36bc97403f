import { createHash } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { showWaiting } from '../../ts/cli/engines.ts'
import { openTensorRt } from '../../ts/engines/library.ts'
import { WAITING } from '../../ts/plan/device-engine.ts'
import { emptyFolder, run } from '../support/spawn.ts'

/** `sada engines`; builds are made by the real builder of TensorRT for RTX, where `npm run test:gpu` fetched it. */

const MODEL = join(__dirname, '../../models/avatar')
const LIBRARY = process.env.SADA_TENSORRT_PATH ?? join(__dirname, '../../build/tensorrt/tensorrt_rtx_libs')
const STAGES = ['embed', 'first', 'middle', 'last', 'head']

function hasLibrary(): boolean {
  try {
    openTensorRt(LIBRARY)
    return true
  } catch (error) {
    console.log(`SKIPPED building with sada engines: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`)
    return false
  }
}

const newCache = (): { SADA_CACHE: string } => ({ SADA_CACHE: mkdtempSync(join(tmpdir(), 'sada-engines-')) })

test('without engines: an empty list, nothing to clear', async () => {
  const env = newCache()
  const listed = await run('sada', ['engines', 'list'], emptyFolder(), env)
  assert.equal([listed.code, listed.stderr], [0, ''])
  assert.match(listed.stdout, `No engines are kept in ${join(env.SADA_CACHE, 'engines')}`)
  assert.equal(JSON.parse((await run('sada', ['engines', 'list', '--json'], emptyFolder(), env)).stdout).engines, [])
  assert.match((await run('sada', ['engines', 'clear'], emptyFolder(), env)).stdout, /^0 engines deleted/)
})

test('without a library: an error with every path that was tried', async () => {
  const { code, stdout, stderr } = await run('sada', ['engines', 'build', '--tensorrt', '/nowhere'], emptyFolder(), newCache())
  assert.equal([code, stdout], [3, ''])
  assert.match(stderr, /\/nowhere\/libtensorrt_rtx\.so\.1: does not exist|without TensorRT/)
})

test('where lines stay, a build tells only that it waits for another one', () => {
  const written: string[] = []
  const { write } = process.stderr
  process.stderr.write = (text: string) => written.push(text) > 0
  try {
    for (const phase of ['Building', WAITING]) showWaiting({ stage: 'first', phase, done: 0, of: 1 })
  } finally {
    process.stderr.write = write
  }
  assert.equal(written, ['first: waiting for another build of it\n'])
})

test('a folder that takes no engines is an error before anything is built', async () => {
  const out = join(emptyFolder(), 'file')
  writeFileSync(out, 'kept')
  // Without a library nothing could be built: the folder is looked at first.
  const build = ['engines', 'build', '--tensorrt', '/nowhere', '--out', out]
  const { code, stdout, stderr } = await run('sada', build, emptyFolder(), newCache())
  assert.equal([code, stdout], [1, ''])
  assert.match(stderr, /^sada: Cannot write engines to \/.*: it, or .* is a file\. Name a folder that .* \[OUTPUT_FAILED\]\n$/)
  assert.is(readFileSync(out, 'utf8'), 'kept')
})

if (!hasLibrary()) {
  test.skip('sada engines build', () => {})
} else {
  test('build, list, build again from the cache, clear', async () => {
    const env = { ...newCache(), SADA_TENSORRT_PATH: LIBRARY }
    const out = emptyFolder()
    const build = ['engines', 'build', '--target', 'sm_89', '--out', out, '--json']
    const first = await run('sada', build, emptyFolder(), env)
    assert.equal([first.code, first.stderr], [0, ''])
    const built = JSON.parse(first.stdout) as {
      library: string
      seconds: number
      sha256: string
      engines: { stage: string; for: string }[]
    }
    assert.match(built.library, /^tensorrt-rtx 1\./)
    assert.equal(
      built.engines.map(({ stage }) => stage),
      STAGES,
    )
    const { engines } = JSON.parse(readFileSync(join(out, 'engines.json'), 'utf8')) as {
      engines: { file: string; sha256: string; targets: number[] }[]
    }
    for (const { file, sha256, targets } of engines) {
      assert.is(
        createHash('sha256')
          .update(readFileSync(join(out, file)))
          .digest('hex'),
        sha256,
      )
      assert.equal(targets, [89])
    }
    const index = createHash('sha256').update(readFileSync(join(out, 'engines.json')))
    assert.is(built.sha256, index.digest('hex'))
    const kept = readdirSync(join(env.SADA_CACHE, 'engines'))
    const again = await run('sada', build, emptyFolder(), env)
    assert.equal(JSON.parse(again.stdout).engines, built.engines)
    assert.equal(readdirSync(join(env.SADA_CACHE, 'engines')), kept)
    const listed = (await run('sada', ['engines'], emptyFolder(), env)).stdout
    for (const stage of STAGES) assert.match(listed, stage)
    assert.match(listed, 'sm_89')
    assert.match((await run('sada', ['engines', 'clear'], emptyFolder(), env)).stdout, /^5 engines deleted/)
  })

  test('a target that is none, a model whose file was changed: errors that say what', async () => {
    const env = { ...newCache(), SADA_TENSORRT_PATH: LIBRARY }
    const ada = await run('sada', ['engines', 'build', '--target', 'ada'], emptyFolder(), env)
    assert.is(ada.code, 2)
    assert.match(ada.stderr, 'compute capability like "sm_89"')
    const folder = emptyFolder()
    cpSync(MODEL, folder, { recursive: true })
    const changed = readFileSync(join(folder, 'embed.onnx'))
    changed[changed.length - 100] ^= 1
    writeFileSync(join(folder, 'embed.onnx'), changed)
    const { code, stderr } = await run('sada', ['engines', 'build', '-m', folder, '--target', 'sm_89'], emptyFolder(), env)
    assert.ok(code !== 0)
    assert.match(stderr, 'MODEL_CORRUPT')
  })
}

test.run()
