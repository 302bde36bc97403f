import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineCache } from '../../ts/engines/cache.ts'
import type { EngineDescription } from '../../ts/engines/description.ts'
import { writeShipped } from '../../ts/engines/shipped.ts'
import { load, type GenerateOptions } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { loadManifest } from '../../ts/plan/model.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { bound, fixtureBytes, read } from '../support/engines.ts'
import { during } from '../support/environment.ts'
import { failure } from '../support/failure.ts'
import { filledCache, newCache } from '../support/filled-cache.ts'
import { hasTensorRtDouble, packEngine, packStage, rtxDouble, tensorRtDouble } from '../support/tensorrt-double.ts'

// What TensorRT for RTX compiles where it runs is kept for the next process. The double notes what it compiles.

const description: EngineDescription = {
  model: 'm',
  stage: 's',
  source: 'a'.repeat(64),
  flavour: 'tensorrt-rtx',
  version: '1.7.1',
  targets: [89],
  profiles: [],
}
const other: EngineDescription = { ...description, source: 'b'.repeat(64) }

function cacheOf(folder = mkdtempSync(join(tmpdir(), 'sada-engines-')), mostBytes?: number) {
  const warnings: string[] = []
  return { folder, warnings, cache: new EngineCache(folder, { mostBytes, warn: (message) => warnings.push(message) }) }
}
const filesOf = (folder: string, suffix: string): string[] => readdirSync(folder).filter((name) => name.endsWith(suffix))

test('it is kept for one engine on one kind of GPU: others do not get it; it goes when all is cleared', async () => {
  const { folder, cache, warnings } = cacheOf()
  await cache.obtain(description, () => Promise.resolve(Buffer.from('engine')))
  await cache.writeBeside('runtime', description, Buffer.from('kernels'))
  assert.is(Buffer.from((await cache.readBeside('runtime', { ...description, stage: 'of another name' }))!).toString(), 'kernels')
  for (const wanted of [
    other,
    { ...description, targets: [120] },
    { ...description, version: '1.7.2' },
    { ...description, gpu: 'B' },
  ])
    assert.is(await cache.readBeside('runtime', wanted), undefined)
  assert.is((await cache.list()).length, 1, 'it is no engine')
  assert.is((await cache.clear()).engines, 1)
  assert.equal([readdirSync(folder), warnings], [['key'], []])
})

test('it counts towards the limit: what was unused for the longest time goes first, whether engines or this', async () => {
  const { folder, cache } = cacheOf()
  const pause = () => new Promise((resolve) => setTimeout(resolve, 15))
  await cache.writeBeside('runtime', description, new Uint8Array(1000))
  await pause()
  await cache.writeBeside('runtime', other, new Uint8Array(1000))
  await pause()
  await cacheOf(folder).cache.readBeside('runtime', description)
  await pause()
  const small = cacheOf(folder, 3300).cache
  await small.obtain(description, () => Promise.resolve(new Uint8Array(1000)))
  assert.is(await small.readBeside('runtime', other), undefined)
  assert.is((await small.readBeside('runtime', description))?.length, 1000)
})

test('one that was changed is deleted with a word; where nothing can be written it is said once', async () => {
  const { folder, cache, warnings } = cacheOf()
  await cache.writeBeside('runtime', description, Buffer.from('kernels'))
  const file = join(folder, filesOf(folder, '.runtime')[0])
  writeFileSync(file, Buffer.from(readFileSync(file).map((byte, k) => (k === 100 ? byte ^ 1 : byte))))
  assert.is(await cache.readBeside('runtime', description), undefined)
  assert.is(existsSync(file), false)
  assert.match(warnings.splice(0)[0], /\.runtime.*signature.*made again/)

  const place = join(folder, 'file')
  writeFileSync(place, '')
  const without = cacheOf(join(place, 'below'))
  for (const each of [description, other]) await without.cache.writeBeside('runtime', each, Buffer.from('kernels'))
  assert.is(without.warnings.length, 1)
  assert.match(without.warnings[0], 'What the library compiled for this GPU is not kept: ')
})

const gpu = { library: emulatedGpu, index: 0 }
const RTX = { SADA_DOUBLE_VERSION: '10701' }
const SUM = packEngine({
  memory: 4096,
  inputs: ['a', 'b'].map((name) => ({ name, type: 'float32', sizes: [-1, 3] })),
  outputs: [
    { name: 'sum', type: 'float32', sizes: ['a.0', 3] },
    { name: 'product', type: 'float32', sizes: ['a.0', 2] },
  ],
  profiles: [['a', 'b'].map((input) => ({ input, smallest: [1, 3], usual: [2, 3], largest: [16, 3] }))],
  onnx: fixtureBytes('add_matmul'),
})

/** What `work` has the double compile: a line for each size of a network. */
async function compiledBy<T>(
  work: () => Promise<T>,
  environment: Record<string, string> = RTX,
): Promise<{ result: T; compiled: string[] }> {
  const file = join(mkdtempSync(join(tmpdir(), 'sada-compiled-')), 'sizes')
  const result = await during({ ...environment, SADA_DOUBLE_COMPILED: file }, work)
  return { result, compiled: existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [] }
}

/** Sums of so many rows, one after another, in an engine that was given what another one compiled; and what it has compiled after each. */
async function sums(rows: readonly number[], runtimeCache?: Uint8Array, library = rtxDouble) {
  const engine = new (loadAddon().Engine)({ library, kind: 'tensorrt', gpu })
  const workspace = new (loadAddon().Workspace)(gpu)
  try {
    const { session } = await engine.load({ bytes: SUM, runtimeCache })
    const taken: (Uint8Array | undefined)[] = []
    for (const n of rows) {
      const values = Array.from({ length: 3 * n }, (_, k) => k)
      const inputs = ['a', 'b'].map((name) => bound(workspace, name, values, [n, 3]))
      const sum = bound(workspace, 'sum', values, [n, 3])
      await engine.run(workspace, [{ kind: 'stage', session, inputs, outputs: [sum] }]).done
      assert.equal(
        read(workspace, sum),
        values.map((value) => 2 * value),
      )
      taken.push(await engine.runtimeCache(session))
    }
    return taken
  } finally {
    workspace.dispose()
    await engine.dispose()
  }
}

if (!hasTensorRtDouble()) {
  test.skip('what TensorRT for RTX compiles, on its double', () => {})
} else {
  test('sizes that one engine has run are not compiled again in another that is given what it compiled', async () => {
    const first = await compiledBy(() => sums([1, 4, 1, 4]))
    assert.is(first.compiled.length, 2)
    const [one, both, ...nothingNew] = first.result
    assert.equal(nothingNew, [undefined, undefined])
    assert.ok(both!.length > one!.length)

    assert.equal((await compiledBy(() => sums([4, 1], both))).compiled, [])
    const more = await compiledBy(() => sums([4, 2], one))
    assert.is(more.compiled.length, 2, 'only one row was known')
    assert.equal((await compiledBy(() => sums([1, 2, 4], more.result[1]))).compiled, [], 'what was given is handed on')
  })

  test('bytes that are of no use, and failures of the calls, cost a compilation each and nothing else', async () => {
    const whole = (await compiledBy(() => sums([1]))).result[0]!
    for (const bytes of [new Uint8Array(0), Buffer.from('sada'), Buffer.alloc(1000, 7)])
      assert.is((await compiledBy(() => sums([1], bytes))).compiled.length, 1)
    const newer = await compiledBy(() => sums([1], whole), { SADA_DOUBLE_VERSION: '10799' })
    assert.is(newer.compiled.length, 1, 'of another version')
    for (const call of [
      'createRuntimeConfig',
      'setSpecialization',
      'createRuntimeCache',
      'setRuntimeCache',
      'readRuntimeCache',
    ]) {
      if (call === 'createRuntimeConfig' || call === 'setSpecialization') continue // then the bits are others: rtx.test.ts
      const { result, compiled } = await compiledBy(() => sums([1], whole), { ...RTX, SADA_DOUBLE_FAIL: call })
      assert.is(compiled.length, 1, call)
      assert.is(result[0] !== undefined, call === 'readRuntimeCache', call)
    }
    const { result } = await compiledBy(() => sums([1, 1], whole), { ...RTX, SADA_DOUBLE_FAIL: 'writeRuntimeCache' })
    assert.equal(result, [undefined, undefined])
  })

  test('TensorRT itself compiles nothing where it runs; sessions that there are not, and bytes that are none, are refused', async () => {
    assert.equal(await sums([1, 2], Buffer.from('kernels'), tensorRtDouble), [undefined, undefined])
    const engine = new (loadAddon().Engine)({ library: tensorRtDouble, kind: 'tensorrt', gpu })
    const codeOf = async (call: () => Promise<unknown>) => (await failure((async () => call())())).code
    for (const session of [0, -1, 0.5, NaN]) assert.is(await codeOf(() => engine.runtimeCache(session)), 'INVALID_ARGUMENT')
    const runtimeCache = 'kernels' as unknown as Uint8Array
    assert.is(await codeOf(() => engine.load({ bytes: SUM, runtimeCache })), 'INVALID_ARGUMENT')
    await engine.dispose()
    assert.is(await codeOf(() => engine.runtimeCache(0)), 'DISPOSED')
  })

  process.env.SADA_CUDA_PATH = emulatedGpu
  const onRtx = { device: 'cuda', engine: 'tensorrt' } as const
  const options: GenerateOptions = { prompt: 'a kid', seed: 2, steps: 6, policy: 'none' }
  const rtx = { ...RTX, SADA_TENSORRT_PATH: rtxDouble }

  /** The latents of a picture by a pipeline of its own, as a new process would make it. */
  async function picture(more: Partial<GenerateOptions> = {}, settings: object = {}): Promise<Float32Array> {
    const pipeline = await load('avatar', { ...onRtx, ...settings })
    try {
      return (await pipeline.generate({ ...options, ...more })).latents
    } finally {
      await pipeline.dispose()
    }
  }

  test('a second process compiles nothing for pictures that a first one made, and makes the same', async () => {
    const { cache } = await during(rtx, filledCache)
    const first = await compiledBy(() => picture(), rtx)
    const stages = (await loadManifest(join(__dirname, '../../models/avatar'))).stages.length
    assert.is(first.compiled.length, stages)
    const written = () => filesOf(cache.folder, '.runtime').map((name) => readFileSync(join(cache.folder, name)))
    const before = written()
    assert.is(before.length, stages)
    const second = await compiledBy(() => picture(), rtx)
    assert.equal([second.compiled, second.result], [[], first.result])
    assert.equal(written(), before)
    assert.is((await compiledBy(() => picture({ guidanceScale: 1 }), rtx)).compiled.length, stages, 'another number of rows')
    assert.equal((await compiledBy(async () => [await picture(), await picture({ guidanceScale: 1 })], rtx)).compiled, [])
  })

  test('a run that was aborted leaves what it compiled to the next one of its pipeline', async () => {
    const { cache } = await during(rtx, filledCache)
    const { compiled } = await compiledBy(async () => {
      const pipeline = await load('avatar', onRtx)
      const stop = new AbortController()
      const onStep = () => stop.abort(new Error('enough'))
      assert.is((await failure(pipeline.generate({ ...options, signal: stop.signal, onStep }))).message, 'enough')
      assert.equal(filesOf(cache.folder, '.runtime'), [])
      await pipeline.generate(options)
      await pipeline.dispose()
    }, rtx)
    assert.is(filesOf(cache.folder, '.runtime').length, compiled.length)
  })

  test('engines that an application brings along have it in the user’s cache', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sada-shipped-'))
    const model = join(__dirname, '../../models/avatar')
    const { first, second } = await during(rtx, async () => {
      const { sources } = await newCache()
      const manifest = await loadManifest(model)
      const engines = sources.map(({ description }, k) => ({
        description,
        engine: packStage(model, manifest, manifest.stages[k]),
      }))
      const sha256 = await writeShipped(folder, engines)
      const settings = { engines: { folder, sha256 } }
      return {
        first: await compiledBy(() => picture({}, settings), rtx),
        second: await compiledBy(() => picture({}, settings), rtx),
      }
    })
    assert.ok(first.compiled.length > 0)
    assert.equal([second.compiled, second.result], [[], first.result])
  })

  if (process.getuid?.() !== 0) {
    test('where the cache cannot be written pictures are made all the same', async () => {
      const { cache } = await during(rtx, filledCache)
      chmodSync(cache.folder, 0o500)
      const first = await compiledBy(() => picture(), rtx)
      const second = await compiledBy(() => picture(), rtx)
      chmodSync(cache.folder, 0o700)
      assert.equal(second.result, first.result)
      assert.is(second.compiled.length, first.compiled.length)
    })
  }
}

test.run()
