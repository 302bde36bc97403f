import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Folder, checkRelative } from '../../ts/families/folder.ts'
import { checkOnnxFile } from '../../ts/families/onnx-file.ts'
import { fixture, fixtureBytes } from '../support/engines.ts'

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
  assert.is(await codeOf(() => folder.bytes('none')), 'MODEL_NOT_FOUND')
  assert.equal(await folder.json('within'), { a: 1 })
  // The Hugging Face cache: the caller names where links may lead.
  assert.equal(await (await Folder.open(root, outside)).json('leaf'), {})
})

test('what is no JSON object, no UTF-8 or has libraries in it is said so', async () => {
  const folder = await Folder.open(root)
  for (const [name, content] of [
    ['list.json', '[1]'],
    ['cut.json', '{"a":'],
    ['latin.json', Buffer.from([0x7b, 0xe9, 0x7d])],
    ['deep.json', '['.repeat(1e5)],
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

// A few messages of onnx.proto by hand: field number, wire type 2, length, content.
const field = (number: number, content: Uint8Array | string): Buffer => {
  const bytes = Buffer.from(content)
  const length = [bytes.length & 0x7f, bytes.length >> 7]
  return Buffer.concat([
    Buffer.from(varint(number * 8 + 2)),
    Buffer.from(length[1] > 0 ? [length[0] | 0x80, length[1]] : [length[0]]),
    bytes,
  ])
}
const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 0x7f) | 0x80, ...varint(n >> 7)])
const node = (type: string, domain = ''): Buffer => field(1, Buffer.concat([field(4, type), field(7, domain)]))
const model = (...graph: Buffer[]): Buffer => field(7, Buffer.concat(graph))
const external = (location: string): Buffer => field(5, field(13, Buffer.concat([field(1, 'location'), field(2, location)])))

function written(bytes: Uint8Array): string {
  const path = join(root, 'unet', 'model.onnx')
  writeFileSync(path, bytes)
  return path
}

test('models that ask for other code than ONNX Runtime are refused', async () => {
  assert.is(await codeOf(() => checkOnnxFile(written(model(node('Add'), node('Gelu', 'com.microsoft'))))), undefined)
  assert.is(await codeOf(() => checkOnnxFile(written(model(node('EPContext', 'com.microsoft'))))), 'UNTRUSTED_CODE')
  assert.is(await codeOf(() => checkOnnxFile(written(model(node('Run', 'my.ops'))))), 'UNTRUSTED_CODE')
  const inBranch = field(1, field(5, field(6, node('Run', 'my.ops'))))
  assert.is(await codeOf(() => checkOnnxFile(written(model(inBranch)))), 'UNTRUSTED_CODE')
  const ownFunction = Buffer.concat([
    model(node('Twice', 'my.ops')),
    field(25, Buffer.concat([field(1, 'Twice'), field(10, 'my.ops')])),
  ])
  assert.is(await codeOf(() => checkOnnxFile(written(ownFunction))), undefined)
  let nested = node('Add')
  for (let k = 0; k < 70; k++) nested = field(1, field(5, field(6, nested)))
  assert.is(await codeOf(() => checkOnnxFile(written(model(nested)))), 'MODEL_CORRUPT')
})

test('external weights are a plain file beside the model', async () => {
  const beside = join(root, 'unet', 'weights')
  writeFileSync(beside, 'x')
  assert.is(await codeOf(() => checkOnnxFile(written(model(external('weights'))))), undefined)
  for (const location of ['../own.json', '/etc/passwd', 'a/../../own.json'])
    assert.is(await codeOf(() => checkOnnxFile(written(model(external(location))))), 'PATH_ESCAPE', location)
  assert.is(await codeOf(() => checkOnnxFile(written(model(external('none'))))), 'MODEL_NOT_FOUND')
  symlinkSync(join(outside, 'secret'), join(root, 'unet', 'link'))
  linkSync(join(outside, 'secret'), join(root, 'unet', 'hard'))
  for (const location of ['link', 'hard', '.'])
    assert.is(await codeOf(() => checkOnnxFile(written(model(external(location))))), 'PATH_UNSAFE', location)
})

test('weights are looked for beside the model itself, not beside a link to it', async () => {
  writeFileSync(join(root, 'unet', 'weights'), 'x')
  const path = written(model(external('weights')))
  assert.is(await codeOf(() => checkOnnxFile(path, join(root, 'unet'))), undefined)
  assert.is(await codeOf(() => checkOnnxFile(path, join(outside, 'snapshot'))), 'PATH_UNSAFE')
  assert.is(await codeOf(() => checkOnnxFile(written(model(node('Add'))), join(outside, 'snapshot'))), undefined)
})

test('files that are cut or damaged are corrupt or pass, never anything else', async () => {
  assert.is(await codeOf(() => checkOnnxFile(fixture('add_matmul'))), undefined)
  const whole = fixtureBytes('add_matmul')
  assert.is(await codeOf(() => checkOnnxFile(written(new Uint8Array(0)))), 'MODEL_CORRUPT')
  for (let length = 1; length < whole.length; length++) {
    const code = await codeOf(() => checkOnnxFile(written(whole.subarray(0, length))))
    assert.ok(code === undefined || code === 'MODEL_CORRUPT', `${length}: ${code}`)
  }
})

test.run()
