import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { OutputFile } from '../../ts/cli/output-file.ts'
import type { SadaError } from '../../ts/errors.ts'
import { emptyFolder } from '../support/spawn.ts'

test('a file that was there is kept until it is written, one that was not goes again; what is written stays', async () => {
  const folder = emptyFolder()
  writeFileSync(join(folder, 'old'), 'kept')
  const files = await OutputFile.reserveAll(
    ['old', 'new', 'written'].map((name) => ({ path: join(folder, name), folders: false })),
  )
  assert.equal(readdirSync(folder), ['new', 'old', 'written'])
  await files[2].write('done')
  for (const file of files) await file.release()
  assert.equal(readdirSync(folder), ['old', 'written'])
  assert.equal([readFileSync(join(folder, 'old'), 'utf8'), readFileSync(join(folder, 'written'), 'utf8')], ['kept', 'done'])
})

test('a link that led nowhere stays, and what was made at its end goes again', async () => {
  const folder = emptyFolder()
  symlinkSync(join(folder, 'target'), join(folder, 'link'))
  await (await OutputFile.reserve(join(folder, 'link'))).release()
  assert.equal(readdirSync(folder), ['link'])
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
    await OutputFile.releaseAll(files)
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

test.run()
