import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { obtainEngine, type StageSource } from '../../ts/engines/build.ts'
import { cacheFolder, EngineCache } from '../../ts/engines/cache.ts'
import { engineKey, type EngineDescription } from '../../ts/engines/description.ts'
import type { TensorRtBuilder } from '../../ts/native/types.ts'
import { WAITING, type BuildProgress } from '../../ts/plan/device-engine.ts'

const description: EngineDescription = {
  model: 'avatar',
  stage: 'first',
  source: 'a'.repeat(64),
  flavour: 'tensorrt-rtx',
  version: '1.7.1',
  targets: [89],
  profiles: [[{ input: 'x', smallest: [1], usual: [2], largest: [16] }]],
}
const ENGINE = Uint8Array.from({ length: 1000 }, (_, k) => (k * 7) & 255)
const newFolder = (): string => join(mkdtempSync(join(tmpdir(), 'sada-engines-')), 'deep', 'engines')

function newCache(options: { mostBytes?: number } = {}): { cache: EngineCache; warnings: string[]; file: () => string } {
  const warnings: string[] = []
  const cache = new EngineCache(newFolder(), { ...options, warn: (message) => warnings.push(message) })
  return { cache, warnings, file: () => join(cache.folder, `${engineKey(description)}.engine`) }
}
const never = (): Promise<Uint8Array> => assert.unreachable('built again') as never

test('what was built once is taken from disk, also by another process', async () => {
  const { cache, warnings } = newCache()
  assert.equal(await cache.obtain(description, () => Promise.resolve(ENGINE)), ENGINE)
  assert.equal(Uint8Array.from(await cache.obtain(description, never)), ENGINE)
  assert.equal(Uint8Array.from(await new EngineCache(cache.folder).obtain(description, never)), ENGINE)
  assert.equal(warnings, [])
  assert.equal(readdirSync(cache.folder).sort(), [`${engineKey(description)}.engine`, 'key'].sort())
})

test('the key of the signatures is random, the user’s alone, and an engine signed elsewhere is not believed', async () => {
  const [one, other] = [newCache(), newCache()]
  await one.cache.obtain(description, () => Promise.resolve(ENGINE))
  await other.cache.obtain(description, () => Promise.resolve(ENGINE))
  const keys = [one, other].map(({ cache }) => readFileSync(join(cache.folder, 'key')))
  assert.is(keys[0].length, 32)
  assert.not.equal(keys[0], keys[1])
  if (process.platform !== 'win32') assert.is(statSync(join(one.cache.folder, 'key')).mode & 0o777, 0o600)
  renameSync(one.file(), other.file())
  assert.is(await other.cache.read(description), undefined)
  assert.match(other.warnings[0], 'signature')
  assert.not(existsSync(other.file()))
})

if (process.platform !== 'win32') {
  test('a key that others can read, or that is a link, is no secret: it is replaced, and what it signed is made again', async () => {
    const { cache, warnings } = newCache()
    const key = join(cache.folder, 'key')
    await cache.obtain(description, () => Promise.resolve(ENGINE))
    let known = readFileSync(key)
    const spoil = [
      () => chmodSync(key, 0o644),
      () => (renameSync(key, `${cache.folder}/../elsewhere`), symlinkSync(`${cache.folder}/../elsewhere`, key)),
      ...(process.getuid?.() === 0 ? [() => chownSync(key, 12345, 0)] : []),
    ]
    for (const [k, each] of spoil.entries()) {
      each()
      let builds = 0
      await cache.obtain(description, () => Promise.resolve((builds++, ENGINE)))
      assert.is(builds, 1, `${k}: the engine was believed`)
      assert.match(warnings[k], 'signature')
      assert.not.equal(readFileSync(key), known)
      assert.is(lstatSync(key).mode & 0o777, 0o600)
      assert.ok(lstatSync(key).isFile())
      known = readFileSync(key)
      assert.equal(Uint8Array.from(await cache.obtain(description, never)), ENGINE)
    }
  })
}

test('one flipped bit anywhere, or one byte cut off or put on, is found before anything else is read', async () => {
  const { cache, warnings, file } = newCache()
  await cache.obtain(description, () => Promise.resolve(ENGINE))
  const whole = readFileSync(file())
  const damaged: Buffer[] = []
  for (let at = 0; at < whole.length; at += 41) {
    const copy = Buffer.from(whole)
    copy[at] ^= 1 << (at % 8)
    damaged.push(copy)
  }
  for (const length of [0, 1, 11, 12, 31, 32, 44, whole.length - 33, whole.length - 1]) damaged.push(whole.subarray(0, length))
  damaged.push(Buffer.concat([whole, Buffer.from([0])]))
  for (const bytes of damaged) {
    writeFileSync(file(), bytes)
    assert.is(await cache.read(description), undefined)
    assert.not(existsSync(file()))
  }
  assert.is(warnings.length, damaged.length)
  // And it is made again.
  assert.equal(await cache.obtain(description, () => Promise.resolve(ENGINE)), ENGINE)
})

test('everything that decides an engine is in its key; names for people are not', () => {
  const changes: Partial<EngineDescription>[] = [
    { source: 'b'.repeat(64) },
    { flavour: 'tensorrt' },
    { version: '1.7.2' },
    { targets: [] },
    { targets: [86, 89] },
    { gpu: 'NVIDIA L4, 8.9, driver 580' },
    { profiles: [] },
  ]
  const keys = [{}, ...changes].map((change) => engineKey({ ...description, ...change }))
  assert.is(new Set(keys).size, keys.length)
  assert.is(engineKey({ ...description, model: 'other', stage: 'x' }), keys[0])
  const reversed = Object.fromEntries(Object.entries(description).reverse()) as unknown as EngineDescription
  assert.is(engineKey(reversed), keys[0])
  // By Python: engines that were kept are found again as long as they are built in the same way, "sada-engine/2".
  assert.is(keys[0], 'de80369dc5fd8f279e147e611868fd4da0a88819b7925a052380d75cde5ebb13')
})

test('an engine that lies under another one’s name is refused and deleted', async () => {
  const { cache, warnings, file } = newCache()
  const other = { ...description, version: '1.6.0' }
  await cache.obtain(other, () => Promise.resolve(ENGINE))
  renameSync(join(cache.folder, `${engineKey(other)}.engine`), file())
  assert.is(await cache.read(description), undefined)
  assert.match(warnings[0], 'something else')
  assert.not(existsSync(file()))
})

test('who wants the same engine at once waits for the one who makes it', async () => {
  const folder = newFolder()
  let builds = 0
  const build = async (): Promise<Uint8Array> => {
    builds++
    await new Promise((resolve) => setTimeout(resolve, 120))
    return ENGINE
  }
  const all = await Promise.all([1, 2, 3, 4].map(() => new EngineCache(folder).obtain(description, build)))
  assert.is(builds, 1)
  for (const engine of all) assert.equal(Uint8Array.from(engine), ENGINE)
})

test('waiting for another process ends with the signal; a build that fails leaves no lock and no file', async () => {
  const { cache } = newCache()
  const lock = join(cache.folder, `${engineKey(description)}.lock`)
  await cache.obtain({ ...description, stage: 'x', version: '0' }, () => Promise.resolve(ENGINE))
  writeFileSync(lock, JSON.stringify({ pid: process.pid, host: hostname() }))
  const stop = new AbortController()
  const waiting = cache.obtain(description, never, { signal: stop.signal }).then(never, (error: Error) => error)
  setTimeout(() => stop.abort(new Error('enough')), 60)
  assert.is(((await waiting) as Error).message, 'enough')
  // A lock whose process is gone is taken over.
  writeFileSync(lock, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }))
  const failure = await cache
    .obtain(description, () => Promise.reject(new Error('no build')))
    .then(never, (error: Error) => error)
  assert.is((failure as Error).message, 'no build')
  assert.not(existsSync(lock))
  assert.is((await cache.list()).length, 1)
})

test('who waits for another build of an engine is told so, once', async () => {
  const { cache } = newCache()
  await cache.obtain({ ...description, version: '0' }, () => Promise.resolve(ENGINE)) // makes the folder
  writeFileSync(join(cache.folder, `${engineKey(description)}.lock`), JSON.stringify({ pid: process.pid, host: hostname() }))
  const told: BuildProgress[] = []
  const stop = new AbortController()
  const options = { signal: stop.signal, onBuild: (progress: BuildProgress) => void told.push(progress) }
  const source = { description } as StageSource
  const waiting = obtainEngine({} as TensorRtBuilder, source, cache, options).then(never, (error: Error) => error)
  setTimeout(() => stop.abort(new Error('enough')), 300)
  assert.is(((await waiting) as Error).message, 'enough')
  assert.equal(told, [{ stage: 'first', phase: WAITING, done: 0, of: 1 }])
})

test('engines beyond the limit go, the longest unused first, never those that a model has just used', async () => {
  const { folder } = newCache().cache
  const loaded = () => new EngineCache(folder, { mostBytes: 3300 })
  const obtain = async (cache: EngineCache, ...versions: string[]) => {
    for (const version of versions) {
      await cache.obtain({ ...description, version }, () => Promise.resolve(ENGINE))
      await new Promise((resolve) => setTimeout(resolve, 15))
    }
  }
  const kept = async () => (await loaded().list()).map(({ version }) => version)
  for (const version of ['0', '1', '2', '3', '4']) await obtain(loaded(), version)
  assert.equal(await kept(), ['4', '3'])
  await obtain(loaded(), '3')
  assert.equal(await kept(), ['3', '4'])
  // A model with more engines than fit keeps them: else each load would build some again. Others make room.
  await obtain(loaded(), '3', 'a', 'b', 'c')
  assert.equal(await kept(), ['c', 'b', 'a', '3'])
  await obtain(loaded(), '5')
  assert.equal(await kept(), ['5', 'c'])
  const small = newCache({ mostBytes: 10 })
  await small.cache.obtain(description, () => Promise.resolve(ENGINE))
  assert.is((await small.cache.list()).length, 1)
})

test('a folder that cannot be written: the engine is made, not kept, and a warning says so', async () => {
  const base = mkdtempSync(join(tmpdir(), 'sada-engines-'))
  writeFileSync(join(base, 'file'), '')
  const warnings: string[] = []
  const cache = new EngineCache(join(base, 'file', 'engines'), { warn: (message) => warnings.push(message) })
  for (const stage of ['first', 'second'])
    assert.equal(await cache.obtain({ ...description, stage }, () => Promise.resolve(ENGINE)), ENGINE)
  assert.is(warnings.length, 1)
  assert.match(warnings[0], 'Engines are not kept')
  assert.equal(await cache.list(), [])
})

test('clear deletes the engines and says how much that was; the key stays', async () => {
  const { cache } = newCache()
  await cache.obtain(description, () => Promise.resolve(ENGINE))
  const { engines, bytes } = await cache.clear()
  assert.is(engines, 1)
  assert.ok(bytes > ENGINE.length)
  assert.equal(readdirSync(cache.folder), ['key'])
})

/** A name as the cache gives them. */
const keyOf = (what: string): string => createHash('sha256').update(what).digest('hex')
const KILLED = `${keyOf('killed')}.engine.4711.0123abcd`
const RECENT = `${keyOf('recent')}.engine.4712.0123abcd`

/** Files as damage, other programs and killed processes leave them, beside an engine. */
async function messyCache(): Promise<ReturnType<typeof newCache>> {
  const made = newCache()
  await made.cache.obtain(description, () => Promise.resolve(ENGINE))
  const write = (name: string, content: string | Buffer): void => writeFileSync(join(made.cache.folder, name), content)
  for (const [name, header] of Object.entries({ empty: '{}', number: '5', list: '[]', targets: '{"targets":5}' })) {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(header.length)
    write(keyOf(name) + '.engine', Buffer.concat([Buffer.from('SADAENG1'), length, Buffer.from(header), Buffer.alloc(32)]))
  }
  write(keyOf('short') + '.engine', 'x')
  write('mine.engine', 'of another program')
  write(KILLED, Buffer.alloc(500))
  write(RECENT, Buffer.alloc(500))
  const longAgo = new Date(Date.now() - 7_200_000)
  utimesSync(join(made.cache.folder, KILLED), longAgo, longAgo)
  if (process.platform !== 'win32') symlinkSync('/nonexistent', join(made.cache.folder, keyOf('link') + '.engine'))
  return made
}

test('a list has the engines that can be read, whatever else lies there; clear deletes what has their names', async () => {
  const { cache } = await messyCache()
  assert.equal(
    (await cache.list()).map(({ stage }) => stage),
    ['first'],
  )
  const { bytes } = await cache.clear()
  assert.ok(bytes > ENGINE.length + 1000, String(bytes))
  assert.equal(readdirSync(cache.folder), ['key', 'mine.engine'])
})

test('what a killed process left unfinished goes with the next engine that is kept; what is being written stays', async () => {
  const { cache } = await messyCache()
  await cache.obtain({ ...description, version: '2' }, () => Promise.resolve(ENGINE))
  const unfinished = readdirSync(cache.folder).filter((name) => /engine\.\d/.test(name))
  assert.equal(unfinished, [RECENT])
})

test('SADA_CACHE names the folder', () => {
  const before = process.env.SADA_CACHE
  process.env.SADA_CACHE = '/somewhere'
  assert.is(cacheFolder(), join('/somewhere', 'engines'))
  if (before === undefined) delete process.env.SADA_CACHE
  else process.env.SADA_CACHE = before
})

test('an empty or relative folder of the platform counts as none', () => {
  const before = process.env
  const name = process.platform === 'win32' ? 'LOCALAPPDATA' : 'XDG_CACHE_HOME'
  const found = ['', 'relative'].map((path) => {
    process.env = { ...before, SADA_CACHE: '', [name]: path }
    return cacheFolder()
  })
  process.env = before
  assert.ok(isAbsolute(found[0]), found[0])
  assert.is(found[1], found[0])
})

test.run()
