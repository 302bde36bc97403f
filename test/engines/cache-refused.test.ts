import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import promises from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { obtainEngine, type StageSource } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import { engineKey, type EngineDescription } from '../../ts/engines/description.ts'
import type { TensorRtBuilder } from '../../ts/native/types.ts'

/** A cache where what it asks of the disk, or of the caller, is refused. */

const description: EngineDescription = {
  model: 'avatar',
  stage: 'first',
  source: 'a'.repeat(64),
  flavour: 'tensorrt-rtx',
  version: '1.7.1',
  targets: [89],
  profiles: [],
}
const ENGINE = Uint8Array.of(1, 2, 3)

function newCache(): { cache: EngineCache; warnings: string[]; lock: string } {
  const warnings: string[] = []
  const folder = mkdtempSync(join(tmpdir(), 'sada-engines-'))
  const cache = new EngineCache(folder, { warn: (message) => warnings.push(message) })
  return { cache, warnings, lock: join(folder, `${engineKey(description)}.lock`) }
}

test('what the telling throws while another build is waited for ends that, and nothing is built', async () => {
  const { cache, warnings, lock } = newCache()
  writeFileSync(lock, JSON.stringify({ pid: process.pid, host: hostname() }))
  const oops = new Error('oops')
  const onBuild = (): never => {
    throw oops
  }
  const builder = { build: () => assert.unreachable('built') } as unknown as TensorRtBuilder
  const error = await obtainEngine(builder, { description } as StageSource, cache, { onBuild }).catch((each: unknown) => each)
  assert.is(error, oops)
  assert.equal(warnings, [])
})

test('a folder that takes no changes from the middle of a build on: the engine is made all the same', async () => {
  const { cache, warnings, lock } = newCache()
  const build = (): Promise<Uint8Array> => {
    // What is no file can be deleted as little as one of a disk that is mounted anew, read-only.
    rmSync(lock)
    mkdirSync(lock)
    return Promise.resolve(ENGINE)
  }
  assert.equal(await cache.obtain(description, build), ENGINE)
  assert.equal(warnings, [])
})

test('an engine that is refused and cannot be deleted is made again, and not taken any more', async () => {
  const { cache } = newCache()
  await cache.obtain(description, () => Promise.resolve(Uint8Array.of(1)))
  const { rm } = promises
  promises.rm = () => Promise.reject(new Error('EROFS: read-only file system'))
  try {
    await cache.forget(description)
  } finally {
    promises.rm = rm
  }
  assert.equal(await cache.obtain(description, () => Promise.resolve(ENGINE)), ENGINE)
})

test('what cannot be read is made again, and not deleted: it may be as it was', async () => {
  const { cache, warnings } = newCache()
  await cache.obtain(description, () => Promise.resolve(ENGINE))
  const { open } = promises
  promises.open = async (path, ...rest) => {
    const file = await open(path, ...rest)
    if (String(path).endsWith('.engine')) file.read = () => Promise.reject(new Error('EIO: i/o error, read'))
    return file
  }
  try {
    assert.is(await cache.read(description), undefined)
  } finally {
    promises.open = open
  }
  assert.equal(warnings, ['EIO: i/o error, read It is made again.'])
  assert.equal([...(await cache.read(description))!], [...ENGINE])
})

test.run()
