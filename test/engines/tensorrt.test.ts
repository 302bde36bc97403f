import { constants } from 'node:buffer'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { buildEngines, unsupportedTarget } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import { openTensorRt } from '../../ts/engines/library.ts'
import type { BuildProgress } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import type { TensorRtBuilder } from '../../ts/native/types.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { loadManifest } from '../../ts/plan/model.ts'
import { stageProfiles } from '../../ts/plan/profiles.ts'
import { emulatedGpu, hasEmulatedGpu } from '../support/emulated-gpu.ts'
import { run } from '../support/spawn.ts'
import { hasTensorRtDouble, tensorRtDouble } from '../support/tensorrt-double.ts'
import { failure } from '../support/failure.ts'

/** The real builder of TensorRT for RTX, which needs no GPU; `npm run test:gpu` fetches it. */

const MODEL = join(__dirname, '../../models/avatar')
const FETCHED = join(__dirname, '../../build/tensorrt/tensorrt_rtx_libs')

function open(): TensorRtBuilder | undefined {
  try {
    return openTensorRt(process.env.SADA_TENSORRT_PATH ?? FETCHED)
  } catch (error) {
    console.log(`SKIPPED the builder of TensorRT: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`)
    return undefined
  }
}
const newCache = (): EngineCache => new EngineCache(mkdtempSync(join(tmpdir(), 'sada-engines-')))
test('a file is taken by its name, with or without the full version; another one is refused as that', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-tensorrt-'))
  for (const [name, code] of [
    ['libnvinfer.so.11', 'BACKEND_UNAVAILABLE'],
    ['libnvinfer.so.11.2.0', 'BACKEND_UNAVAILABLE'],
    ['libnvinfer.a', 'INVALID_ARGUMENT'],
  ]) {
    const path = join(folder, name)
    writeFileSync(path, 'not a library')
    try {
      openTensorRt(path)
      assert.unreachable()
    } catch (error) {
      assert.is((error as SadaError).code, code, name)
      assert.match((error as SadaError).message, path)
      assert.not.match((error as SadaError).message, 'does not exist')
    }
  }
})

test('a place that is named from the folder that a process starts in is that place, and not what the loader finds', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sada-tensorrt-')))
  writeFileSync(join(folder, 'libnvinfer.so.11'), 'not a library')
  const before = process.cwd()
  process.chdir(folder)
  try {
    for (const path of ['.', 'libnvinfer.so.11'])
      assert.throws(
        () => openTensorRt(path),
        (error: Error) => error.message.includes(join(folder, 'libnvinfer.so.11')),
      )
  } finally {
    process.chdir(before)
  }
})

test('a place without the library is an error that lists what was tried', () => {
  try {
    openTensorRt('/nonexistent/folder')
    assert.unreachable()
  } catch (error) {
    const { code, message } = error as SadaError
    assert.is(code, 'BACKEND_UNAVAILABLE')
    assert.match(message, /\/nonexistent\/folder\/libtensorrt_rtx\.so\.1: does not exist|without TensorRT/)
  }
})

test('what TensorRT’s builder loads by its bare name is opened from its folder; what does not open is left to it', () => {
  if (process.platform !== 'linux' || !hasTensorRtDouble()) return
  const folder = mkdtempSync(join(tmpdir(), 'sada-tensorrt-'))
  const resource = join(folder, 'libnvinfer_builder_resource_sm89.so.11.1.0')
  for (const name of ['libnvinfer.so.11', 'libnvonnxparser.so.11', basename(resource)])
    copyFileSync(tensorRtDouble, join(folder, name))
  writeFileSync(join(folder, 'libnvinfer_builder_resource_sm90.so.11.1.0'), 'not a library')
  assert.is(openTensorRt(folder).library, join(folder, 'libnvinfer.so.11'))
  assert.match(readFileSync('/proc/self/maps', 'utf8'), resource)
})

test('an operation that a generation of GPUs lacks is UNSUPPORTED, with the compute capability and what to do', () => {
  // TensorRT for RTX 1.7.1 of the bundled model.
  const words =
    'TensorRT does not build the network: IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check_turing_op_compatibility] ' +
    "Cannot compile operation 'Gemm_15' for Turing (SM75): FP32 GEMM is not supported. In compileGraph at /_src/optimizer/myelin/codeGenerator.cpp:2012)."
  const rtx = { flavour: 'tensorrt-rtx', version: '1.7.1' } as const
  const error = unsupportedTarget(new Error(words), rtx, 'embed')!
  assert.equal([error.code, error.argument, error.stage], ['UNSUPPORTED', 'target', 'embed'])
  assert.match(
    error.message,
    /^tensorrt-rtx 1\.7\.1 does not build .* for sm_75: FP32 GEMM is not supported \(operation "Gemm_15".*"onnxruntime"\.$/,
  )
  assert.is(unsupportedTarget(new Error('TensorRT does not build the network: no memory.'), rtx, 'embed'), undefined)
})

test('profiles: every number of tokens that a pruned pass keeps, on the stages of tokens alone', async () => {
  const manifest = await loadManifest(MODEL)
  for (const stage of manifest.stages) {
    const profiles = stageProfiles(manifest, stage)
    assert.is(profiles.length, stage.kind === 'tokens' ? 4 : 1)
    for (const profile of profiles) {
      assert.equal(
        profile.map(({ input }) => input),
        stage.inputs,
      )
      for (const { smallest, usual, largest } of profile) {
        assert.ok(usual.every((n, k) => smallest[k] <= n && n <= largest[k]))
        assert.equal([smallest[0], usual[0], largest[0]], [1, 2, 16])
      }
    }
  }
  const first = stageProfiles(manifest, manifest.stages[1])
  assert.equal(
    first.map((profile) => profile[0].usual[1]),
    [16, 32, 48, 64],
  )
})

const builder = open()
if (builder === undefined) {
  test.skip('TensorRT’s builder', () => {})
} else {
  test('every stage of the bundled model is built for two compute capabilities, once', async () => {
    const cache = newCache()
    const phases: BuildProgress[] = []
    const files = await filesForEngines('avatar')
    const build = () => buildEngines(builder, files, cache, { targets: ['sm_86', 'sm_89'], onBuild: (each) => phases.push(each) })
    const made = await build()
    assert.equal(
      made.map(({ description }) => description.stage),
      ['embed', 'first', 'middle', 'last', 'head'],
    )
    for (const { engine } of made) assert.ok(engine.length > 1e6)
    assert.ok(phases.length > 0 && phases.every(({ done, of }) => done >= 0 && done <= of))
    const from = performance.now()
    const again = await build()
    assert.ok(performance.now() - from < 5000)
    for (const [k, { engine }] of again.entries()) assert.ok(Buffer.compare(engine, made[k].engine) === 0)
    assert.is((await cache.list()).length, 5)
  })

  const stage = readFileSync(join(MODEL, 'embed.onnx'))
  const job = (
    onnx: Uint8Array,
    targets: readonly number[] = [89],
    profiles: Parameters<TensorRtBuilder['build']>[0]['profiles'] = [],
    mostBytes = constants.MAX_LENGTH,
  ) => builder.build({ onnx, profiles, targets, mostBytes })

  test('a corrupt model is an error in the parser’s words, and the next build works', async () => {
    for (const cut of [1, 100, stage.length >> 1, stage.length - 1]) {
      const error = await failure(job(stage.subarray(0, cut)).done)
      assert.is(error.code, 'MODEL_CORRUPT', `${cut}: ${error.message}`)
    }
    const noise = Uint8Array.from({ length: 4096 }, (_, k) => (k * 2654435761) >>> 24)
    assert.is((await failure(job(noise).done)).code, 'MODEL_CORRUPT')
    const manifest = await loadManifest(MODEL)
    const { engine, timingCache } = await job(stage, [89], stageProfiles(manifest, manifest.stages[0])).done
    assert.ok(engine.length > 1e6)
    assert.is(timingCache.length, 0, 'nothing is measured')
  })

  test('an engine larger than an array may be is refused, in place of the end of the process', async () => {
    const manifest = await loadManifest(MODEL)
    const profiles = stageProfiles(manifest, manifest.stages[0])
    const error = await failure(job(stage, [89], profiles, 1e6).done)
    assert.is(error.code, 'MODEL_TOO_LARGE')
    assert.match(error.message, /^The engine has \d{7,} bytes; at most 1000000 are taken\.$/)
  })

  test('targets and profiles that do not fit are refused with what is wrong', async () => {
    const refused = await failure(job(stage, [89, 90]).done)
    assert.is(refused.code, 'UNSUPPORTED')
    assert.match(refused.message, /does not build for compute capability 9\.0: .*"onnxruntime"\.$/)
    assert.equal(
      [33, 89, 90, 120].map((target) => builder.serves(target)),
      [false, true, false, true],
    )
    const range = (sizes: number[]) => ({ smallest: sizes, usual: sizes, largest: sizes })
    const unknown = await failure(job(stage, [89], [[{ input: 'nonsense', ...range([1]) }]]).done)
    assert.is(unknown.code, 'IO_MISMATCH')
    const rank = await failure(job(stage, [89], [[{ input: 'sample', ...range([1, 3]) }]]).done)
    assert.match(rank.message, '4 sizes')
  })

  test('doctor tells whether engines can be built for the GPU that is here', async () => {
    if (!hasEmulatedGpu()) return
    const usable = async (capability: string) => {
      const env = { SADA_CUDA_PATH: emulatedGpu, SADA_EMULATED_CAPABILITY: capability, SADA_TENSORRT_PATH: builder.library }
      const { stdout } = await run('sada', ['doctor', '--json'], undefined, env)
      return JSON.parse(stdout).backends.find(({ name }: { name: string }) => name === 'tensorrt').usable
    }
    assert.equal([await usable('8.9'), await usable('9.0')], [true, false])
  })

  test('the bundled model for a compute capability that has no float32 matrix products: built, or refused with what to do', async () => {
    const [embed] = await filesForEngines('avatar')
    const end = await buildEngines(builder, [embed], newCache(), { targets: ['sm_89', 'sm_75'] }).catch(
      (error: SadaError) => error,
    )
    if (Array.isArray(end)) return // another version's can
    assert.equal([end.code, end.stage], ['UNSUPPORTED', 'embed'])
    assert.match(end.message, 'sm_75')
  })

  test('the real runtime, without a driver, says that of CUDA, and nothing against the engine', async () => {
    if (existsSync('/proc/driver/nvidia')) return console.log('SKIPPED the runtime without a driver: there is one')
    if (!hasEmulatedGpu()) return
    const manifest = await loadManifest(MODEL)
    const { engine: bytes } = await job(stage, [89], stageProfiles(manifest, manifest.stages[0])).done
    const engine = new (loadAddon().Engine)({
      library: builder.library,
      kind: 'tensorrt',
      gpu: { library: emulatedGpu, index: 0 },
    })
    assert.is(engine.version, builder.version)
    const error = await failure(engine.load({ bytes }))
    assert.is(error.code, 'BACKEND_UNAVAILABLE')
    assert.match(error.message, /cudaError 35|CUDA driver/)
    await engine.dispose()
  })

  test('a build ends with the signal and leaves nothing behind', async () => {
    const cache = newCache()
    const stop = new AbortController()
    const files = await filesForEngines('avatar')
    const building = failure(buildEngines(builder, files, cache, { targets: [89], signal: stop.signal }))
    setTimeout(() => stop.abort(new Error('enough')), 300)
    assert.is((await building).message, 'enough')
    assert.ok((await cache.list()).length < 5)
    const before = new AbortController()
    before.abort(new Error('not at all'))
    assert.is((await failure(buildEngines(builder, files, cache, { signal: before.signal }))).message, 'not at all')
  })
}

test.run()
