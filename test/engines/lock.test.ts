import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lockFile } from '../../ts/engines/lock.ts'

const STALE_MS = 240
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'sada-lock-')), 'x.lock')
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('a lock that names a process that lives, and is not its, is taken over when nobody has touched it for a while', async () => {
  // As after a container's restart, where every start has the same host name and process ids.
  for (const owner of [
    { pid: process.pid, host: hostname() },
    { pid: 1, host: hostname() },
    { pid: 1, host: 'gone' },
  ]) {
    const path = newPath()
    writeFileSync(path, JSON.stringify(owner))
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

test('what can be no lock is an error, not a wait', async () => {
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
