import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tsxArguments } from '../support/child.ts'

/** The cache of engines between processes. */

const SCRIPT = join(__dirname, '../support/obtain-engine.ts')

function newFolder(): { folder: string; builders: string; built: () => number } {
  const base = mkdtempSync(join(tmpdir(), 'sada-engines-'))
  const builders = join(base, 'builders')
  writeFileSync(builders, '')
  return { folder: join(base, 'engines'), builders, built: () => readFileSync(builders, 'utf8').split('\n').length - 1 }
}

interface Ended {
  readonly stdout: string
  readonly end: number | string | null
}

function obtain(folder: string, builders: string, name: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = spawn(process.execPath, [...tsxArguments(SCRIPT), folder, builders, name], { env: { ...process.env, ...env } })
  let stdout = ''
  child.stdout.on('data', (text) => (stdout += String(text)))
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ stdout, end: signal ?? code })))
}

test('processes that want the same engine at once build it once, also where the cache is new', async () => {
  const { folder, builders, built } = newFolder()
  const all = await Promise.all([1, 2, 3].map(() => obtain(folder, builders, 'same')))
  for (const each of all) assert.equal(each, { stdout: '100000', end: 0 })
  assert.is(built(), 1)
  assert.equal(readdirSync(folder).filter((name) => name !== 'key').length, 1)
})

test('processes that want different engines at once make one key, and believe each other', async () => {
  const { folder, builders, built } = newFolder()
  await Promise.all(['a', 'b', 'c'].map((name) => obtain(folder, builders, name)))
  assert.is(built(), 3)
  await Promise.all(['a', 'b', 'c'].map((name) => obtain(folder, builders, name)))
  assert.is(built(), 3)
})

test('a build whose process was killed is taken over at once, and leaves no half engine', async () => {
  const { folder, builders, built } = newFolder()
  const killed = await obtain(folder, builders, 'same', { DIE_BUILDING: '1' })
  assert.is(killed.end, 'SIGKILL')
  assert.ok(readdirSync(folder).some((name) => name.endsWith('.lock')))
  assert.not(readdirSync(folder).some((name) => name.endsWith('.engine')))
  assert.is((await obtain(folder, builders, 'same')).stdout, '100000')
  assert.is(built(), 2)
  assert.not(readdirSync(folder).some((name) => name.endsWith('.lock')))
})

test('a disk that takes no more: the engine is made, not kept, and a warning says so', async () => {
  // A limit on the size of files: writes beyond it fail as on a full disk, after some bytes.
  const { folder, builders } = newFolder()
  const command = `trap '' XFSZ; ulimit -f 16; exec "$@"`
  const args = [process.execPath, ...tsxArguments(SCRIPT), folder, builders, 'same']
  const child = spawn('bash', ['-c', command, 'bash', ...args], { env: process.env })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text) => (stdout += String(text)))
  child.stderr.on('data', (text) => (stderr += String(text)))
  await new Promise((resolve) => child.on('close', resolve))
  assert.is(stdout, '100000')
  assert.match(stderr, 'are not kept: EFBIG')
  assert.equal(readdirSync(folder), ['key'])
})

test.run()
