import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Folder } from '../../ts/families/folder.ts'
import { checkRelative } from '../../ts/onnx/regular-file.ts'

const outside = mkdtempSync(join(tmpdir(), 'sada-outside-'))
const root = join(outside, 'model')
mkdirSync(join(root, 'unet'), { recursive: true })
test.after(() => rmSync(outside, { recursive: true }))

const codeOf = async (what: () => unknown): Promise<string | undefined> => {
  try {
    await what()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

test('paths that lead out are refused before anything is looked at', async () => {
  const folder = await Folder.open(root)
  const paths = ['../x', 'a/../../x', 'a/..', '/etc/passwd', 'C:\\x', 'c:x', '\\\\host\\share', '..\\x', 'a\0b', '']
  for (const path of paths) {
    assert.is(await codeOf(() => checkRelative(path)), 'PATH_ESCAPE', JSON.stringify(path))
    assert.is(await codeOf(() => folder.bytes(path)), 'PATH_ESCAPE', JSON.stringify(path))
  }
  for (const path of ['a', './a', 'a/b.c', '..a', 'ünet', '雪/🙂'])
    assert.is(await codeOf(() => checkRelative(path)), undefined, path)
})

test('links out of the folder, folders and pipes are no files; a link inside is one', async () => {
  writeFileSync(join(outside, 'secret'), '{}')
  writeFileSync(join(root, 'own.json'), '{"a": 1}')
  symlinkSync(join(outside, 'secret'), join(root, 'leaf'))
  symlinkSync(outside, join(root, 'parent'))
  symlinkSync(join(root, 'own.json'), join(root, 'within'))
  execFileSync('mkfifo', [join(root, 'pipe')])
  const folder = await Folder.open(root)
  for (const name of ['leaf', 'parent/secret', 'unet', 'pipe'])
    assert.is(await codeOf(() => folder.bytes(name)), 'PATH_UNSAFE', name)
  // Also where a file stands in the place of a folder.
  for (const name of ['none', 'own.json/none']) {
    assert.is(await codeOf(() => folder.bytes(name)), 'MODEL_NOT_FOUND')
    assert.equal([await folder.has(name), await folder.optionalJson(name)], [false, {}])
  }
  assert.equal(await folder.json('within'), { a: 1 })
  // The Hugging Face cache: the caller names where links may lead.
  assert.equal(await (await Folder.open(root, outside)).json('leaf'), {})
})

/** An object of a list of so many lists in each other, and what has as many brackets without being nested. */
const nested = (levels: number): string => `{"a": ${'['.repeat(levels)}${']'.repeat(levels)}, "b": "${'['.repeat(100)}"}`

test('a file is nested as deep as a scheduler may be, 64 levels, and no deeper', async () => {
  writeFileSync(join(root, 'nested.json'), nested(63))
  assert.is((await (await Folder.open(root)).json('nested.json')).b, '['.repeat(100))
})

test('what is no JSON object, no UTF-8 or has libraries in it is said so', async () => {
  const folder = await Folder.open(root)
  for (const [name, content] of [
    ['list.json', '[1]'],
    ['null.json', 'null'],
    ['number.json', '7'],
    ['cut.json', '{"a":'],
    ['latin.json', Buffer.from([0x7b, 0xe9, 0x7d])],
    ['deep.json', '['.repeat(1e5)],
    ['nested.json', nested(64)],
    ['far.json', nested(50_000)],
  ] as const) {
    writeFileSync(join(root, name), content)
    assert.is(await codeOf(() => folder.json(name)), 'MANIFEST_INVALID', name)
  }
  assert.is(await codeOf(() => folder.refuseLibraries('unet')), undefined)
  for (const name of ['a.so', 'libx.so.1', 'b.DLL', 'c.dylib']) {
    writeFileSync(join(root, 'unet', name), '')
    assert.is(await codeOf(() => folder.refuseLibraries('unet')), 'UNTRUSTED_CODE', name)
    rmSync(join(root, 'unet', name))
  }
})

test.run()
