import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Component, type LoadContext } from '../../ts/families/component.ts'
import { Folder } from '../../ts/families/folder.ts'
import { load, type SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import type { Engine } from '../../ts/native/types.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { external, initializer, model, node, tensor, value } from '../support/onnx.ts'

// Where the parts of a folder lie. What is said of them is in component.test.ts.

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )
const scratch = mkdtempSync(join(tmpdir(), 'sada-component-'))
test.after(() => rmSync(scratch, { recursive: true }))

/** A new folder with these files. */
async function folderOf(name: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<LoadContext> {
  const root = join(scratch, name)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return { folder: await Folder.open(root), engine: {} as Engine }
}

test('a part is model.onnx in the folder of its name, or what is given instead: a folder, or a file', () => {
  const pathOf = (given?: string) =>
    Component.pathOf({ ...(given !== undefined && { paths: { unet: given } }) } as LoadContext, 'unet')
  assert.is(pathOf(), join('unet', 'model.onnx'))
  assert.is(pathOf('net'), join('net', 'model.onnx'))
  assert.is(pathOf('net/half.onnx'), 'net/half.onnx')
  assert.is(pathOf('net.onnx.d'), join('net.onnx.d', 'model.onnx'))
})

test('paths that are none are named, at load and for engines; one that is undefined is left out', async () => {
  const folder = join(__dirname, '../fixtures/layouts/optimum')
  const attempts: [unknown, RegExp][] = [
    ...[null, 'unet', 7, ['unet']].map((paths): [unknown, RegExp] => [paths, /^Expected "paths" to be an object /]),
    ...[null, 7, {}].map((unet): [unknown, RegExp] => [
      { vae_decoder: 'vae_decoder', unet },
      /^Expected "paths\.unet" to be a path, /,
    ]),
  ]
  for (const [paths, said] of attempts) {
    for (const take of [load, filesForEngines]) {
      const { code, message } = (await failure(take(folder, { paths: paths as never }))) as SadaError
      assert.is(code, 'INVALID_ARGUMENT', message)
      assert.match(message, said)
    }
  }
  await (await load(folder, { threads: 1, paths: { unet: undefined } })).dispose()
})

test('a path of a role that the family does not have is UNKNOWN_NAME, at load and for engines, with the roles that it has', async () => {
  const folder = join(__dirname, '../fixtures/layouts/optimum')
  for (const take of [load, filesForEngines]) {
    const error = (await failure(take(folder, { paths: { unet: 'unet', vae_decodr: 'vae_decoder' } }))) as SadaError
    assert.equal([error.code, error.argument], ['UNKNOWN_NAME', 'paths.vae_decodr'])
    assert.match(error.message, /^"paths" has no option "vae_decodr"\. Did you mean "vae_decoder"\? Known: .*\bunet\b/)
  }
})

test('roles that a family has are those that its folders have, and those are taken; others are refused before anything is loaded', async () => {
  const families = join(__dirname, '../fixtures/families')
  for (const family of readdirSync(families).filter((name) => existsSync(join(families, name, 'model_index.json')))) {
    const folder = join(families, family)
    const parts = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'model.onnx')))
    const before = loadAddon().counters().engines
    const { code, message } = (await failure(load(folder, { paths: { nothing: 'nope' } }))) as SadaError
    assert.is(code, 'UNKNOWN_NAME', message)
    assert.is(loadAddon().counters().engines, before)
    const known = /Known: (.*)\.$/.exec(message)![1].split(', ')
    for (const part of parts) assert.ok(known.includes(part.replace(/^controlnet_1$/, 'controlnet')), `${family}: ${part}`)
    for (const role of known.filter((each) => !parts.includes(each)))
      assert.is(((await failure(load(folder, { paths: { [role]: 'nope' } }))) as SadaError).code, 'MODEL_NOT_FOUND', role)
    await (await load(folder, { threads: 1, paths: Object.fromEntries(parts.map((part) => [part, part])) })).dispose()
  }
})

test('a part that a model may lack is not left out where a path of it is given that leads nowhere', async () => {
  const families = join(__dirname, '../fixtures/families')
  for (const [family, role] of [
    ['sd3', 'text_encoder_3'],
    ['sd2-controlnet', 'controlnet'],
    ['sdxl', 'text_encoder'],
    ['flux', 'vae_encoder'],
  ]) {
    const { code, message } = (await failure(load(join(families, family), { paths: { [role]: 'nope' } }))) as SadaError
    assert.is(code, 'MODEL_NOT_FOUND', message)
    assert.match(message, /nope/)
  }
})

test('what a file and a configuration are refused for says the part', async () => {
  const context = await folderOf('damaged', { 'unet/config.json': '{', 'unet/model.onnx': 'no model' })
  const stageOf = async (promise: Promise<unknown>) => ((await failure(promise)) as SadaError).stage
  assert.is(await stageOf(Component.configOf(context, 'unet')), 'unet')
  writeFileSync(join(context.folder.root, 'unet/config.json'), '{}')
  assert.is(await stageOf(Component.load(context, 'unet')), 'unet')
})

test('a field that is not followed is refused wherever it is set, and said in 60 characters', async () => {
  const long = Array<number>(100).fill(1)
  const context = await folderOf('set', { 'unet/config.json': JSON.stringify({ a: false, b: null, c: 0, d: long }) })
  await Component.refuseSet(context, 'unet', 'a', 'b', 'e')
  for (const [field, said] of [
    ['c', '0'],
    ['d', '[' + '1,'.repeat(29) + '1'],
  ]) {
    const { code, stage, message } = (await failure(Component.refuseSet(context, 'unet', 'a', field))) as SadaError
    assert.equal([code, stage], ['UNSUPPORTED', 'unet'])
    assert.ok(message.endsWith(`expected no "${field}", which is not followed here; the file has ${said}.`), message)
  }
})

test('a model that is a link has no weights in files beside it: they would be others than those beside what it leads to', async () => {
  const lies = outside('w.bin')
  const context = await folderOf('link', {
    'store/model.onnx': lies,
    'store/w.bin': new Uint8Array(16),
    'unet/config.json': '{}',
  })
  symlinkSync(join(context.folder.root, 'store/model.onnx'), join(context.folder.root, 'unet/model.onnx'))
  const { code, message } = (await failure(Component.load(context, 'unet'))) as SadaError
  assert.is(code, 'PATH_UNSAFE', message)
  assert.match(message, /keeps weights in files beside it, but is a link/)
})

/** A model whose weights, four numbers, lie in a file. */
function outside(file: string): Uint8Array {
  const add = node('Add', { inputs: ['x', 'w'], outputs: ['y'] })
  return model([initializer(tensor('w', [4], external(file))), add, value(11, 'x', [4]), value(12, 'y', [4])])
}

test.run()
