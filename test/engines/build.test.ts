import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { obtainEngine, targetOf, type BuildOptions, type StageSource } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import type { GpuInfo, GpuReport, TensorRtBuilder } from '../../ts/native/types.ts'
import { failure } from '../support/failure.ts'

// How builds are watched and ended, on a builder that only takes notes. Those of the real one are in tensorrt.test.ts.

const source: StageSource = {
  description: { model: 'm', stage: 's', source: 'a', flavour: 'tensorrt', version: '11.1.0', targets: [], profiles: [] },
  file: { path: '', bytes: Buffer.of(1), withWeights: (use) => use([], []) },
  profiles: [],
  weights: [],
}

/** A build that ends after `ms`, or when it is aborted as the library's does, and counts. */
function setUp(ms: number) {
  const counts = { builds: 0, aborts: 0 }
  const build = () => {
    counts.builds++
    let end = (): void => {}
    const done = new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve({ engine: Uint8Array.of(9), timingCache: new Uint8Array(0) }), ms)
      end = () => (clearTimeout(timer), reject(new Error('ended')))
    })
    const progress = () => [
      { phase: 'all', done: 0, of: 2 },
      { phase: 'tactics', done: 1, of: 9 },
    ]
    return { done, progress, abort: () => (counts.aborts++, end()) }
  }
  const cache = new EngineCache(mkdtempSync(join(tmpdir(), 'sada-build-')))
  const obtain = (options: BuildOptions) => obtainEngine({ build } as unknown as TensorRtBuilder, source, cache, options)
  return { counts, cache, obtain }
}

test('a build tells its innermost progress while it runs, and nothing after it', async () => {
  const { obtain } = setUp(350)
  const told: unknown[] = []
  await obtain({ onBuild: (progress) => told.push(progress) })
  const count = told.length
  assert.ok(count >= 1 && count <= 3, String(count))
  for (const each of told) assert.equal(each, { stage: 's', phase: 'tactics', done: 1, of: 9 })
  await new Promise((resolve) => setTimeout(resolve, 250))
  assert.is(told.length, count)
})

test('what the caller’s function throws ends the build, with it', async () => {
  const { counts, cache, obtain } = setUp(60_000)
  const reason = new Error('enough')
  const onBuild = (): void => {
    throw reason
  }
  assert.is(await failure(obtain({ onBuild })), reason)
  assert.equal([counts, await cache.read(source.description)], [{ builds: 1, aborts: 1 }, undefined])
})

test('a signal ends a build at once, or before it begins', async () => {
  const reason = new Error('enough')
  const { counts, obtain } = setUp(60_000)
  const controller = new AbortController()
  setTimeout(() => controller.abort(reason), 50)
  assert.is(await failure(obtain({ signal: controller.signal })), reason)
  assert.equal(counts, { builds: 1, aborts: 1 })
  const late = setUp(60_000)
  assert.is(await failure(late.obtain({ signal: controller.signal })), reason)
  assert.equal(late.counts, { builds: 0, aborts: 0 })
})

test('TensorRT measures on the GPU itself: another name, generation or driver is another target; TensorRT for RTX compiles for the generation', () => {
  const info = { name: 'NVIDIA L4', computeCapability: '8.9' } as GpuInfo
  const report = { driverVersion: 13000 } as GpuReport
  const gpu = (own: Partial<GpuInfo>, driverVersion = 13000) =>
    targetOf({ flavour: 'tensorrt' }, { ...info, ...own }, { ...report, driverVersion }).gpu
  const targets = [gpu({}), gpu({ name: 'NVIDIA L40' }), gpu({ computeCapability: '9.0' }), gpu({}, 13010)]
  assert.ok(targets.every((each) => each !== undefined))
  assert.is(new Set(targets).size, 4)
  assert.equal(targetOf({ flavour: 'tensorrt-rtx' }, info, report), { targets: ['8.9'] })
})

test.run()
