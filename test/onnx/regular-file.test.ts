import { execFileSync } from 'node:child_process'
import { appendFileSync, readdirSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkRelative, checkUnchanged, openRegular, readRegular } from '../../ts/onnx/regular-file.ts'
import { codeOf } from '../support/engines.ts'
import { emptyFolder } from '../support/spawn.ts'

const folder = emptyFolder()
const path = join(folder, 'file')
const BYTES = Buffer.from('0123456789')

/** While something else happens at every read of a file. */
async function withReads<T>(
  read: (plain: FileHandle['read'], ...given: number[]) => unknown,
  work: () => Promise<T>,
): Promise<T> {
  const handle = await open(folder)
  const prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const plain = prototype.read as (this: FileHandle, into: Buffer, ...given: number[]) => unknown
  prototype.read = function (this: FileHandle, into: Buffer, ...given: number[]) {
    return read(((...changed: number[]) => plain.call(this, into, ...changed)) as never, ...given)
  } as never
  try {
    return await work()
  } finally {
    prototype.read = plain as never
  }
}

test('a file is read up to the size that is allowed, in however many pieces it comes', async () => {
  writeFileSync(path, BYTES)
  assert.equal(await readRegular(path, BYTES.length), BYTES)
  assert.is(await codeOf(readRegular(path, BYTES.length - 1)), 'MODEL_TOO_LARGE')
  const few = (plain: FileHandle['read'], ...[at, length, position]: number[]) =>
    (plain as unknown as (...given: number[]) => unknown)(at, Math.min(3, length), position)
  assert.equal(await withReads(few, () => readRegular(path, BYTES.length)), BYTES)
})

test('a file that becomes shorter or longer while it is read has changed', async () => {
  const afterwards =
    (change: () => void) =>
    async (plain: FileHandle['read'], ...given: number[]) => {
      const [at, length, position] = given
      const read = await (plain as unknown as (...given: number[]) => unknown)(at, Math.min(3, length), position)
      change()
      return read
    }
  for (const change of [() => truncateSync(path, 2), () => appendFileSync(path, 'x')]) {
    writeFileSync(path, BYTES)
    assert.is(await codeOf(withReads(afterwards(change), () => readRegular(path, 100))), 'MODEL_CHANGED')
  }
})

test('a file that was written to has changed, also where its size and its time are what they were', async () => {
  writeFileSync(path, BYTES)
  utimesSync(path, 1000, 1000)
  const file = await openRegular(path)
  await checkUnchanged(file)
  // File systems tell times apart that are a tick of the clock apart.
  await new Promise((resolve) => setTimeout(resolve, 50))
  writeFileSync(path, Buffer.from(BYTES).reverse())
  utimesSync(path, 1000, 1000)
  assert.is(await codeOf(checkUnchanged(file)), 'MODEL_CHANGED')
  await file.handle.close()
})

test('a link is said to be one, and what is refused or read is not left open', async () => {
  writeFileSync(path, BYTES)
  symlinkSync(path, join(folder, 'link'))
  await openRegular(join(folder, 'link')).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /link is a link\.$/),
  )
  if (process.platform !== 'linux') return
  execFileSync('mkfifo', [join(folder, 'pipe')])
  const opened = (): string[] => readdirSync('/proc/self/fd')
  const before = opened()
  await readRegular(path, 100)
  for (const refused of [folder, join(folder, 'pipe')]) assert.is(await codeOf(openRegular(refused)), 'PATH_UNSAFE')
  assert.is(await codeOf(readRegular(path, 1)), 'MODEL_TOO_LARGE')
  assert.is(opened().length, before.length)
})

test('a path within the folder is written plainly, whichever way its parts are separated', () => {
  for (const written of ['a/b', 'a\\b', 'a/./b', './a//b', 'a/b/']) assert.is(checkRelative(written).replace(/\/$/, ''), 'a/b')
  assert.is(checkRelative('..a/b..'), '..a/b..')
})

test.run()
