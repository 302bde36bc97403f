import { execFile, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import fs from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Journal } from '../../ts/bench/table1/journal.ts'
import { OutputFile } from '../../ts/cli/output-file.ts'
import type { SadaError } from '../../ts/errors.ts'
import { commandOf, emptyFolder } from '../support/spawn.ts'

test('a file that was there is kept until it is written, one that was not goes again; what is written stays', async () => {
  const folder = emptyFolder()
  writeFileSync(join(folder, 'old'), 'kept')
  const files = await OutputFile.reserveAll(
    ['old', 'new', 'written'].map((name) => ({ path: join(folder, name), folders: false })),
  )
  assert.equal(readdirSync(folder), ['new', 'old', 'written'])
  await files[2].write('done')
  for (const file of files) file.release()
  assert.equal(readdirSync(folder), ['old', 'written'])
  assert.equal([readFileSync(join(folder, 'old'), 'utf8'), readFileSync(join(folder, 'written'), 'utf8')], ['kept', 'done'])
})

test('a link that led nowhere stays, and what was made at its end goes again', async () => {
  const folder = emptyFolder()
  symlinkSync(join(folder, 'target'), join(folder, 'link'))
  ;(await OutputFile.reserve(join(folder, 'link'))).release()
  assert.equal(readdirSync(folder), ['link'])
})

/** Writes over what is there. */
async function overwrite(path: string, data: string): Promise<void> {
  await (await OutputFile.reserve(path)).write(data)
}

test('what is there is replaced as a whole: who has it open reads on in the old one; its mode stays, and links lead to the new one', async () => {
  const folder = emptyFolder()
  const [real, link] = [join(folder, 'real'), join(folder, 'link')]
  writeFileSync(real, 'the old one')
  chmodSync(real, 0o640)
  symlinkSync('real', link)
  const open = await fs.open(real, 'r')
  await overwrite(link, 'new')
  assert.is(await open.readFile('utf8'), 'the old one')
  await open.close()
  assert.equal([readFileSync(real, 'utf8'), readdirSync(folder)], ['new', ['link', 'real']])
  if (process.platform !== 'win32') assert.is(statSync(real).mode & 0o7777, 0o640)
})

test("a file with several names is the same under all of them, another's stays theirs, and pipes and devices are written to", async () => {
  const folder = emptyFolder()
  const [one, other, pipe] = ['one', 'other', 'pipe'].map((name) => join(folder, name))
  writeFileSync(one, 'the old one')
  linkSync(one, other)
  await overwrite(one, 'new')
  assert.is(readFileSync(other, 'utf8'), 'new')
  if (process.getuid?.() === 0) {
    rmSync(other)
    chownSync(one, 1234, 1234)
    await overwrite(one, 'new')
    assert.equal([readFileSync(one, 'utf8'), statSync(one).uid], ['new', 1234])
  }
  if (process.platform === 'win32') return
  spawnSync('mkfifo', [pipe])
  // It reads until the pipe is closed for the first time.
  const read = new Promise((resolve) => execFile('cat', [pipe], (_, text) => resolve(text)))
  await overwrite(pipe, 'new')
  assert.is(await read, 'new')
  await overwrite('/dev/null', 'new')
  assert.ok(statSync('/dev/null').isCharacterDevice())
})

if (process.platform === 'linux') {
  test('a folder that is there is not said to be missing, where no file can be made in it', async () => {
    const folder = emptyFolder()
    const link = join(folder, 'link')
    symlinkSync(join(folder, 'missing', 'x.png'), link)
    const said = (path: string) => OutputFile.reserve(path).catch(({ message }: SadaError) => message)
    assert.is(await said('/proc/x.png'), 'Cannot write /proc/x.png: no file can be made in its folder.')
    assert.is(await said(link), `Cannot write ${link}: it is a link into a folder that does not exist.`)
  })
}

if (process.platform !== 'win32') {
  test('a pipe that nobody reads is waited for until that is aborted', async () => {
    const pipe = join(emptyFolder(), 'pipe')
    spawnSync('mkfifo', [pipe])
    const file = await OutputFile.reserve(pipe)
    const signal = AbortSignal.timeout(100)
    const error: unknown = await file.write('new', signal).catch((reason: unknown) => reason)
    assert.is(error, signal.reason)
  })
}

test('where nothing can be put beside a file or in its place, it is written to; a full disk keeps it', async () => {
  const folder = emptyFolder()
  const path = join(folder, 'old')
  const plain = { open: fs.open, rename: fs.rename }
  const failing = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }))
  try {
    for (const [broken, code, kept] of [
      ['open', 'EACCES', false],
      ['open', 'ENOSPC', true],
      ['rename', 'EBUSY', false],
    ] as const) {
      writeFileSync(path, 'old')
      const file = await OutputFile.reserve(path)
      fs[broken] = failing(code)
      const error = await file.write('new').catch((e: unknown) => e as SadaError)
      Object.assign(fs, plain)
      assert.equal(
        [readFileSync(path, 'utf8'), (error as SadaError | undefined)?.code],
        kept ? ['old', 'OUTPUT_FAILED'] : ['new', undefined],
      )
      assert.equal(readdirSync(folder), ['old'])
    }
  } finally {
    Object.assign(fs, plain)
  }
})

test('a picture that cannot be written to its end leaves the old one', () => {
  if (process.platform === 'win32') return
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'x.png'), 'the old one')
  const words = [...commandOf('sada'), 'a kid', '--steps', '1', '--policy', 'none', '-o', 'x.png']
  // At most 4 KB in a file.
  const { status, stderr } = spawnSync('bash', ['-c', 'ulimit -f 4; "$@"', 'bash', ...words], { cwd, encoding: 'utf8' })
  assert.is(status, 1, stderr)
  assert.match(stderr, /Cannot write x\.png: EFBIG.*\[OUTPUT_FAILED\]\n$/)
  assert.equal([readFileSync(join(cwd, 'x.png'), 'utf8'), readdirSync(cwd)], ['the old one', ['x.png']])
})

test('a disk that is full is said to be so of finished runs, too', async () => {
  const journal = await Journal.open(join(emptyFolder(), 'runs.jsonl'))
  const { handle } = journal as unknown as { handle: fs.FileHandle }
  const write = handle.appendFile.bind(handle)
  handle.appendFile = () => Promise.reject(Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC' }))
  const error = await journal.add({} as never).catch((e: unknown) => e as SadaError)
  handle.appendFile = write
  await journal.close()
  assert.match((error as SadaError).message, /runs\.jsonl: the disk is full\.$/)
})

test('all are reserved, or none', async () => {
  const folder = emptyFolder()
  const wanted = ['a', join('missing', 'b')].map((name) => ({ path: join(folder, name), folders: false }))
  const error = await OutputFile.reserveAll(wanted).catch((e: unknown) => e as SadaError)
  assert.is((error as SadaError).code, 'OUTPUT_FAILED')
  assert.equal(readdirSync(folder), [])
})

test('folders that were made for files go with them, unless they hold anything else', async () => {
  for (const isUsed of [false, true]) {
    const folder = emptyFolder()
    mkdirSync(join(folder, 'old'))
    const paths = ['new/deep/a', 'new/deep/b', 'new/c', 'old/d'].map((name) => join(folder, name))
    const files = await OutputFile.reserveAll(paths.map((path) => ({ path, folders: true })))
    if (isUsed) writeFileSync(join(folder, 'new', 'mine'), '')
    OutputFile.releaseAll(files)
    assert.equal(readdirSync(folder).sort(), isUsed ? ['new', 'old'] : ['old'])
    if (isUsed) assert.equal(readdirSync(join(folder, 'new')), ['mine'])
  }
})

test('folders that are missing are made where that is asked for', async () => {
  const folder = emptyFolder()
  const file = await OutputFile.reserve(join(folder, 'a', 'b', 'c'), { folders: true })
  await file.write('done')
  assert.is(readFileSync(join(folder, 'a', 'b', 'c'), 'utf8'), 'done')
})

test('a new name is the first that is free; where none is, and where none can be, that is said', async () => {
  const folder = emptyFolder()
  const names = ['a', 'b', 'c'].map((name) => join(folder, name))
  const said = (candidates: string[]): Promise<string> =>
    OutputFile.reserveNew(candidates).then(
      ({ path }) => path,
      ({ code, message }: SadaError) => `${code} ${message}`,
    )
  writeFileSync(names[0], 'kept')
  assert.is(await said(names), names[1])
  assert.is(await said(names), names[2])
  assert.is(await said(names), `OUTPUT_FAILED Every name up to ${names[2]} is taken: name a file with --output.`)
  assert.is(readFileSync(names[0], 'utf8'), 'kept')
  const nowhere = join(folder, 'missing', 'a')
  assert.is(
    await said([nowhere, join(folder, 'd')]),
    `OUTPUT_FAILED Cannot write ${nowhere}: its folder does not exist; make it first.`,
  )
})

if (process.platform !== 'win32') {
  test('links that lead in a circle are said to', async () => {
    const link = join(emptyFolder(), 'a')
    symlinkSync(link, link)
    const { message } = (await OutputFile.reserve(link).catch((error: unknown) => error)) as SadaError
    assert.is(message, `Cannot write ${link}: its links lead in a circle.`)
  })

  test('stdout by another name is stdout: a file that it leads to holds the picture alone', () => {
    const file = join(emptyFolder(), 'a.png')
    const sada = join(__dirname, '../../dist/cli/sada.js')
    const stdout = openSync(file, 'w')
    const args = [sada, 'a kid', '--steps', '2', '--policy', 'none', '-o', '/dev/stdout']
    const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', stdout, 'pipe'], encoding: 'utf8' })
    closeSync(stdout)
    assert.is(status, 0)
    assert.match(stderr, /^stdout: 1 picture/m)
    assert.equal(readFileSync(file).subarray(0, 8), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))
  })
}

test.run()
