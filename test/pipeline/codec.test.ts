import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { encode as encodeJpeg } from 'jpeg-js'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { load } from '../../ts/index.ts'
import { runCodec } from '../../ts/pipeline/codec.ts'
import { Picture, readImage } from '../../ts/pipeline/image.ts'
import { familyFolder } from '../support/families.ts'
import { Numbers } from '../support/numbers.ts'

/** Long work on picture files, which is made on a thread of its own. */

function noise(width: number, height: number): Picture {
  const numbers = new Numbers(width * height)
  return new Picture(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, () => numbers.next()),
  )
}

/** How often the event loop came around until something was done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let [turns, isOver] = [0, false]
  const count = (): void => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  await work.finally(() => (isOver = true))
  return turns
}

test('the same bytes and pixels on both sides of the size from which on a thread makes them', async () => {
  for (const [width, height] of [
    [256, 256],
    [257, 256],
  ]) {
    const picture = noise(width, height)
    const text = { Title: 'x' }
    const file = await picture.png(text)
    assert.equal(file, await runCodec({ kind: 'encode', pixels: picture, text }))
    const read = await readImage('init', file)
    assert.equal([read.width, read.height, [...read.data]], [width, height, [...picture.data]])
    const opaque = Uint8Array.from({ length: width * height * 4 }, (_, k) =>
      k % 4 === 3 ? 255 : picture.data[Math.floor(k / 4) * 3 + (k % 4)],
    )
    const jpeg = new Uint8Array(encodeJpeg({ width, height, data: opaque }, 90).data)
    assert.equal(await readImage('init', jpeg), await runCodec({ kind: 'decode', file: jpeg }))
    // What was given is the caller's still.
    assert.equal([picture.data.length, jpeg.length > 0], [width * height * 3, true])
  }
})

test('text that a PNG file cannot hold is refused, and a picture whose bytes are gone', async () => {
  const picture = noise(2, 2)
  const texts: Record<string, string>[] = [
    { Title: '日本' },
    { '': 'x' },
    { ['x'.repeat(80)]: 'x' },
    { 'a\nb': 'x' },
    { a: '\0' },
  ]
  for (const text of texts) assert.is(((await picture.png(text).catch((e: unknown) => e)) as SadaError).argument, 'text')
  assert.ok((await picture.png({ ['x'.repeat(79)]: 'two\nlines of é' })).length > 0)
  structuredClone(picture.data, { transfer: [picture.data.buffer as ArrayBuffer] })
  const error = (await picture.png().catch((e: unknown) => e)) as SadaError
  assert.equal([error.code, error.argument], ['INVALID_ARGUMENT', 'data'])
})

test('the event loop goes on meanwhile, and calls overlap', async () => {
  const picture = noise(1024, 1024)
  const file = await picture.png()
  assert.ok((await turnsDuring(picture.png())) > 10)
  assert.ok((await turnsDuring(readImage('init', file))) > 10)
  const sides = [300, 310, 320]
  const files = await Promise.all(sides.map((side) => noise(side, side).png()))
  for (const [k, side] of sides.entries()) assert.is((await readImage('init', files[k])).width, side)
})

test('a broken file is named as ever, and the next one is read', async () => {
  const file = await noise(300, 300).png()
  const broken = file.slice()
  broken.fill(0, 60, 200)
  for (const each of [broken, file.subarray(0, 5000)]) {
    const error: unknown = await readImage('init', each).catch((e: unknown) => e)
    assert.match((error as Error).message, /"init" to be a readable PNG file/)
  }
  assert.is((await readImage('init', file)).width, 300)
})

test('a call that waits for a picture to be read ends at once when it is aborted, and when its pipeline is disposed of', async () => {
  const init = await noise(2048, 2048).png()
  const pipeline = await load(familyFolder('sd2'), { threads: 1 })
  const reason = new Error('enough')
  const call = (signal?: AbortSignal) =>
    pipeline.generate({ prompt: 'a cat', steps: 2, init, signal }).then(
      () => assert.unreachable(),
      (error: unknown) => error,
    )
  const controller = new AbortController()
  const aborted = call(controller.signal)
  let isRead = false
  const reading = readImage('init', init).then(() => (isRead = true))
  controller.abort(reason)
  assert.is(await aborted, reason)
  const disposed = call()
  await pipeline.dispose()
  assert.is(((await disposed) as SadaError).code, 'DISPOSED')
  assert.not.ok(isRead)
  await reading
})

const PICTURES = JSON.stringify(join(__dirname, '..', '..', 'dist', 'pipeline', 'image.js'))
const MAKE = `const { Picture } = require(${PICTURES}); const png = () => new Picture(300, 300, new Uint8Array(270000)).png()`

/** What a process of its own prints, and how it ends; SIGKILL where it does not. */
function ended(script: string, ...options: string[]): [printed: string, status: number | null, signal: string | null] {
  const { stdout, status, signal } = spawnSync(process.execPath, [...options, '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  return [stdout, status, signal]
}

test('a process ends when its pictures are made, or when it wants to', () => {
  const length = 'png().then(({ length }) => console.log(length > 200))'
  assert.equal(ended(`${MAKE}; ${length}`), ['true\n', 0, null])
  assert.equal(ended(`${MAKE}; ${length}; setTimeout(() => process.exit(3), 5)`)[1], 3)
  const module = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); ${MAKE}; ${length}`
  assert.equal(ended(module, '--input-type=module'), ['true\n', 0, null])
})

test('a thread that dies fails what it was at work on; the next picture has a new one', () => {
  const script = `${MAKE}; process.once('worker', (thread) => thread.once('message', () => thread.terminate().then(() => thread.emit('message', { id: 0, failure: 'late' }))))
    png().catch(({ code, message }) => { console.log(code, message); return png() }).then(({ length }) => console.log(length > 200))`
  assert.equal(ended(script), ['INTERNAL The thread of picture files ended.\ntrue\n', 0, null])
})

test('where no thread starts, pictures are made all the same', () => {
  const script = `${MAKE}; let threads = 0; process.on('worker', (thread) => { threads++; thread.terminate() })
    Promise.all([png(), png()]).then(png).then(({ length }) => console.log(length > 200, threads))`
  assert.equal(ended(script), ['true 1\n', 0, null])
})

test('a worker that makes pictures can be ended meanwhile', () => {
  const script = `const { Worker } = require('node:worker_threads')
    const thread = new Worker(${JSON.stringify(`${MAKE}; setInterval(() => {}, 1000); require('node:worker_threads').parentPort.postMessage(0); for (let k = 0; k < 9; k++) png()`)}, { eval: true })
    thread.once('message', () => setTimeout(() => thread.terminate().then(() => console.log('ended')), 20))`
  assert.equal(ended(script), ['ended\n', 0, null])
})

test.run()
