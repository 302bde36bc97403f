import { existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lockFile } from '../../ts/engines/lock.ts'

const STALE_MS = 240
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'sada-lock-')), 'x.lock')
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('a lock that names a process that lives, or none of this machine, is taken over when nobody has touched it for a while', async () => {
  // As after a container's restart, where every start has the same host name and process ids.
  for (const content of [
    JSON.stringify({ pid: process.pid, host: hostname() }),
    JSON.stringify({ pid: 1, host: hostname() }),
    JSON.stringify({ pid: 1, host: 'gone' }),
    JSON.stringify({ pid: 2 ** 30, host: 'another one' }),
    // Of one that is being written.
    '',
    '{"pid":',
  ]) {
    const path = newPath()
    writeFileSync(path, content)
    const from = performance.now()
    const unlock = await lockFile(path, { signal: AbortSignal.timeout(20 * STALE_MS), staleMs: STALE_MS })
    assert.ok(performance.now() - from >= STALE_MS, 'taken over at once')
    await unlock()
    assert.not(existsSync(path))
  }
})

test('a lock that is held stays held, however long', async () => {
  const path = newPath()
  let [waits, isSecond] = [0, false]
  const options = { staleMs: STALE_MS, onWait: (): number => ++waits }
  const unlock = await lockFile(path, options)
  assert.is(waits, 0)
  const second = lockFile(path, options).then((end) => ((isSecond = true), end))
  await wait(5 * STALE_MS)
  assert.equal([isSecond, waits], [false, 1], 'waits, and has said so once')
  await unlock()
  await (
    await second
  )()
  assert.not(existsSync(path))
})

test('of many who find a lock stale one has it at a time, also where one of them ended while taking it over', async () => {
  const gone = JSON.stringify({ pid: 2 ** 30, host: hostname() })
  for (let round = 0; round < 4; round++) {
    const path = newPath()
    writeFileSync(path, gone)
    if (round === 0) writeFileSync(`${path}.taking`, gone)
    let [holders, most] = [0, 0]
    const hold = async (): Promise<void> => {
      const unlock = await lockFile(path)
      most = Math.max(most, ++holders)
      await wait(2)
      holders--
      await unlock()
    }
    await Promise.all(Array.from({ length: 12 }, hold))
    assert.equal([most, existsSync(path), existsSync(`${path}.taking`)], [1, false, false])
  }
})

test('who lost a lock does not take it from who has it now', async () => {
  const path = newPath()
  const unlock = await lockFile(path)
  writeFileSync(path, 'another one')
  await unlock()
  assert.is(readFileSync(path, 'utf8'), 'another one')
})

test('a lock is its owner’s alone, touched while it is held and no longer, and keeps no process', async () => {
  const path = newPath()
  const timers = (): number => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
  const before = timers()
  const unlock = await lockFile(path, { staleMs: STALE_MS })
  assert.is(timers(), before)
  if (process.platform !== 'win32') assert.is(statSync(path).mode & 0o777, 0o600)
  const isTouched = async (): Promise<boolean> => {
    utimesSync(path, 1000, 1000)
    await wait(STALE_MS)
    return statSync(path).mtimeMs !== 1_000_000
  }
  assert.ok(await isTouched())
  await unlock()
  writeFileSync(path, 'another one')
  assert.not(await isTouched())
})

test('waiting ends with the signal’s reason, and makes no lock afterwards', async () => {
  const path = newPath()
  const end = new AbortController()
  const unlock = await lockFile(path)
  const reason = new Error('enough')
  const waiting = lockFile(path, { signal: end.signal, onWait: () => end.abort(reason) }).catch((error: unknown) => error)
  assert.is(await waiting, reason)
  await unlock()
  assert.is(await lockFile(path, { signal: end.signal }).catch((error: unknown) => error), reason)
  assert.not(existsSync(path))
})

/** While a function of `node:fs/promises` does something else. */
async function instead<K extends 'open' | 'writeFile'>(
  name: K,
  by: (plain: (typeof fs)[K]) => unknown,
  work: () => Promise<void>,
) {
  const plain = fs[name]
  fs[name] = by(plain) as never
  try {
    await work()
  } finally {
    fs[name] = plain
  }
}

test('a lock that cannot be written is none, and is not left open', async () => {
  const path = newPath()
  const full = new Error('the disk is full')
  let closed = 0
  const refusing = (plain: typeof fs.open) => async (place: string, flags: string, mode: number) => {
    const file = await plain(place, flags, mode)
    file.writeFile = () => Promise.reject(full)
    const close = file.close.bind(file)
    file.close = () => (closed++, close())
    return file
  }
  await instead('open', refusing, async () => {
    assert.is(await lockFile(path).catch((error: unknown) => error), full)
  })
  assert.equal([existsSync(path), closed], [false, 1])
})

test('a stale lock that somebody else has taken over in the meantime is theirs', async () => {
  const path = newPath()
  writeFileSync(path, JSON.stringify({ pid: 2 ** 30, host: hostname() }))
  const theirs = JSON.stringify({ pid: process.pid, host: hostname(), id: 'theirs' })
  // Between finding it stale and removing it.
  const late = (plain: typeof fs.writeFile) => (place: string, content: string, options: { flag: string }) => {
    if (place.endsWith('.taking')) writeFileSync(path, theirs)
    return plain(place, content, options)
  }
  const end = new AbortController()
  await instead('writeFile', late, async () => {
    await lockFile(path, { signal: end.signal, onWait: () => end.abort() }).then(
      () => assert.unreachable(),
      () => {},
    )
  })
  assert.is(readFileSync(path, 'utf8'), theirs)
})

test('what can be no lock is an error, not a wait', async () => {
  const nowhere = join(newPath(), 'x.lock')
  let waits = 0
  const failed = await lockFile(nowhere, { staleMs: STALE_MS, onWait: () => ++waits }).catch((error: unknown) => error)
  assert.equal([(failed as NodeJS.ErrnoException).code, waits], ['ENOENT', 0])
  const path = newPath()
  mkdirSync(path)
  const end = await lockFile(path, { signal: AbortSignal.timeout(20 * STALE_MS), staleMs: STALE_MS }).then(
    () => 'locked',
    (error: Error) => error.name,
  )
  assert.is.not(end, 'TimeoutError')
  assert.is.not(end, 'locked')
})

test.run()
