import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { obtainEngine, type StageSource } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import type { EngineBuildRequest, TensorRtBuilder } from '../../ts/native/types.ts'

// What the builder measures in one build is given to the next. The builder here only takes notes.

const source = (stage: string, more: Partial<StageSource['description']> = {}): StageSource => ({
  description: {
    model: 'm',
    stage,
    source: stage,
    flavour: 'tensorrt',
    version: '11.1.0',
    targets: [],
    gpu: 'A',
    profiles: [],
    ...more,
  },
  file: { path: '', bytes: Buffer.of(1), withWeights: (use) => use([], []) },
  profiles: [],
  weights: [],
})

/** A builder whose measurements are the numbers of the builds so far; and a cache, with what it warned of. */
function setUp() {
  const given: (Uint8Array | undefined)[] = []
  const build = ({ timingCache }: EngineBuildRequest) => {
    given.push(timingCache && Uint8Array.from(timingCache))
    const made = { engine: Uint8Array.of(9), timingCache: Uint8Array.from([...(timingCache ?? []), given.length]) }
    return { done: Promise.resolve(made), abort: () => {}, progress: () => [] }
  }
  const warnings: string[] = []
  const cache = new EngineCache(mkdtempSync(join(tmpdir(), 'sada-engines-')), { warn: (message) => warnings.push(message) })
  const builder = { build } as unknown as TensorRtBuilder
  const obtain = (from: StageSource): Promise<Uint8Array> => obtainEngine(builder, from, cache, {})
  const file = (): string =>
    join(
      cache.folder,
      readdirSync(cache.folder).find((name) => name.endsWith('.timing'))!,
    )
  return { given, warnings, cache, obtain, file }
}

test('each build is given what the ones before measured, for the same library and target alone', async () => {
  const { given, warnings, obtain } = setUp()
  for (const stage of ['a', 'b', 'c']) await obtain(source(stage))
  await obtain(source('d', { version: '11.2.0' }))
  await obtain(source('e', { gpu: 'B' }))
  await obtain(source('f', { targets: [89], gpu: undefined }))
  await obtain(source('g', { targets: [90], gpu: undefined }))
  await obtain(source('h', { flavour: 'tensorrt-rtx' }))
  await obtain(source('i'))
  const others = Array<undefined>(5).fill(undefined)
  assert.equal(given, [undefined, Uint8Array.of(1), Uint8Array.of(1, 2), ...others, Uint8Array.of(1, 2, 3)])
  assert.equal(warnings, [])
})

test('one that was changed or cut is deleted with a word, and the build goes on without', async () => {
  for (const damage of [
    (bytes: Buffer) => Buffer.from(bytes.map((byte, k) => (k === bytes.length >> 1 ? byte ^ 1 : byte))),
    (bytes: Buffer) => bytes.subarray(0, -1),
    () => Buffer.alloc(0),
  ]) {
    const { given, warnings, obtain, file } = setUp()
    await obtain(source('a'))
    writeFileSync(file(), damage(readFileSync(file())))
    await obtain(source('b'))
    assert.equal(given, [undefined, undefined])
    assert.is(warnings.length, 1)
    assert.match(warnings[0], /\.timing.*signature.*made again/)
    await obtain(source('c'))
    assert.equal(given[2], Uint8Array.of(2))
  }
})

test('clear deletes it, and it is no engine in the list', async () => {
  const { cache, obtain } = setUp()
  await obtain(source('a'))
  assert.is((await cache.list()).length, 1)
  assert.is((await cache.clear()).engines, 1)
  assert.equal(readdirSync(cache.folder), ['key'])
})

test('engines take as many bytes as they may, whatever is kept of measurements beside them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-engines-'))
  const keep = async (stage: string, mostBytes?: number): Promise<string[]> => {
    const cache = new EngineCache(folder, { mostBytes })
    await cache.obtain(source(stage).description, () => Promise.resolve(new Uint8Array(1000)))
    await new Promise((resolve) => setTimeout(resolve, 15))
    return (await cache.list()).map((each) => each.stage)
  }
  await keep('a')
  const cache = new EngineCache(folder)
  const [{ bytes }] = await cache.list()
  await cache.writeBeside('timing', source('a').description, new Uint8Array(3 * bytes))
  assert.equal(await keep('b', 2 * bytes), ['b', 'a'])
  assert.equal(await keep('c', 2 * bytes - 1), ['c'])
})

test('nothing measured: nothing kept', async () => {
  const { cache } = setUp()
  await cache.writeBeside('timing', source('a').description, new Uint8Array(0))
  assert.equal(readdirSync(cache.folder), [])
})

test.run()
