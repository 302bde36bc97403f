import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openTensorRt } from '../../ts/engines/library.ts'
import type { SadaError } from '../../ts/errors.ts'
import { load, type BuildProgress } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'

/** `load` while engines are built: the real builder of TensorRT for RTX, for an emulated GPU. */

const LIBRARY = join(__dirname, '../../build/tensorrt/tensorrt_rtx_libs')
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => assert.unreachable('no failure'),
    (error: unknown) => error,
  )

function hasBuilder(): boolean {
  if (!hasEmulatedGpu()) return false
  try {
    openTensorRt(LIBRARY)
    return true
  } catch (error) {
    console.log(`SKIPPED building while a model is loaded: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`)
    return false
  }
}

test('a signal that has fired, and what is none, end load before anything is read', async () => {
  const reason = new Error('not at all')
  assert.is(await failure(load('avatar', { signal: AbortSignal.abort(reason) })), reason)
  for (const [name, wrong] of Object.entries({
    signal: {},
    onBuild: 5,
    memoryArena: 'no',
    stages: 0,
    linksInto: true,
    threads: 1.5,
  })) {
    const { code, argument } = (await failure(load('avatar', { [name]: wrong }))) as SadaError
    assert.equal([code, argument], ['INVALID_ARGUMENT', name])
  }
})

test('sizes for engines that are none are refused, whatever the model and where it runs', async () => {
  const bad: [unknown, string, string][] = [
    [5, 'INVALID_ARGUMENT', 'engineSizes'],
    [null, 'INVALID_ARGUMENT', 'engineSizes'],
    [[64, 64], 'INVALID_ARGUMENT', 'engineSizes'],
    [{ widht: [64, 64] }, 'UNKNOWN_NAME', 'engineSizes.widht'],
    [{ pictures: 65 }, 'INVALID_ARGUMENT', 'engineSizes.pictures'],
    [{ width: 'x' }, 'INVALID_ARGUMENT', 'engineSizes.width'],
    [{ width: [64] }, 'INVALID_ARGUMENT', 'engineSizes.width'],
    [{ height: [64, 32] }, 'INVALID_ARGUMENT', 'engineSizes.height'],
    [{ height: [0, 32] }, 'INVALID_ARGUMENT', 'engineSizes.height'],
    [{ seconds: [1, Infinity] }, 'INVALID_ARGUMENT', 'engineSizes.seconds'],
  ]
  for (const [engineSizes, code, argument] of bad) {
    const settings = { engineSizes } as Parameters<typeof load>[1]
    for (const work of [load, filesForEngines]) {
      const error = (await failure(work('avatar', settings))) as SadaError
      assert.equal([error.code, error.argument], [code, argument], JSON.stringify(engineSizes))
    }
  }
  await (
    await load('avatar', { engineSizes: { pictures: 4, width: [64, 64], height: undefined, seconds: [0.5, 0.5] } })
  ).dispose()
})

test('a signal that fires in the middle leaves nothing loaded', async () => {
  const before = loadAddon().counters()
  const stop = new AbortController()
  const loading = failure(load('avatar', { signal: stop.signal }))
  stop.abort(new Error('enough'))
  assert.is(((await loading) as Error).message, 'enough')
  const after = loadAddon().counters()
  for (const name of ['engines', 'sessions'] as const) assert.is(after[name], before[name], name)
})

if (!hasBuilder()) {
  test.skip('building while a model is loaded', () => {})
} else {
  test('load tells how far a build is, and ends with the signal, and with what the telling throws: nothing is kept or left of it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sada-engines-'))
    Object.assign(process.env, {
      SADA_CUDA_PATH: emulatedGpu,
      SADA_TENSORRT_PATH: LIBRARY,
      SADA_CACHE: folder,
      SADA_EMULATED_CAPABILITY: '8.9',
    })
    const before = loadAddon().counters()
    const stop = new AbortController()
    const told: BuildProgress[] = []
    const onBuild = (progress: BuildProgress): void => {
      if (told.push(progress) === 2) stop.abort(new Error('enough'))
    }
    const settings = { device: 'cuda', engine: 'tensorrt', signal: stop.signal, onBuild } as const
    assert.is(((await failure(load('avatar', settings))) as Error).message, 'enough')
    assert.is(told.length, 2)
    assert.is(told[0].stage, 'embed')
    assert.ok(told[0].phase.length > 0 && told[0].done <= told[0].of)
    assert.equal(
      readdirSync(join(folder, 'engines')).filter((name) => /\.(engine|lock)/.test(name)),
      [],
    )
    assert.is(loadAddon().counters().engines, before.engines)
    // On a timer it would end the process.
    const oops = new Error('oops')
    const throws = (): never => {
      throw oops
    }
    assert.is(await failure(load('avatar', { device: 'cuda', engine: 'tensorrt', onBuild: throws })), oops)
    assert.is(loadAddon().counters().engines, before.engines)
  })
}

test.run()
