import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Engine } from '../../ts/native/types.ts'
import { OnnxFile } from '../../ts/onnx/file.ts'
import { addon, bound, codeOf, fixtureBytes, newEngine, read } from '../support/engines.ts'
import { attribute, external, field, initializer, inner, model, node, tensor, value } from '../support/onnx.ts'

const outside = mkdtempSync(join(tmpdir(), 'sada-outside-'))
const folder = join(outside, 'model')
mkdirSync(folder)
const engine = newEngine()
test.after(async () => {
  await engine.dispose()
  rmSync(outside, { recursive: true })
})

/** y = x + w with x [3] and `w` at `location`. */
const sum = (location: string, places: Readonly<Record<string, string>> = {}, dims = [3]): Buffer =>
  model([
    node('Add', { inputs: ['x', 'w'], outputs: ['y'] }),
    initializer(tensor('w', dims, external(location, places))),
    value(11, 'x', [3]),
    value(12, 'y', [...dims.slice(0, -1), 3]),
  ])

/** A node that gives the three floats at `location`. */
const constantOf = (name: string, location: string, places: Readonly<Record<string, string>> = {}): Buffer => {
  const held = attribute('value', 'tensor', field(5, tensor('', [3], external(location, places))))
  return node('Constant', { outputs: [name], attributes: [held] })
}

function written(bytes: Uint8Array): string {
  const path = join(folder, 'model.onnx')
  writeFileSync(path, bytes)
  return path
}

const loaded = async (bytes: Uint8Array, on: Engine = engine) =>
  (await OnnxFile.open(written(bytes), folder)).load(on, { threads: 1 })

writeFileSync(join(folder, 'weights'), Buffer.from(Float32Array.of(9, 1, 2, 3).buffer))

test('weights in another file are read from their place', async () => {
  const { session, inputs } = await loaded(sum('weights', { offset: '4', length: '12' }))
  assert.equal(
    inputs.map(({ name }) => name),
    ['x'],
  )
  const workspace = new addon.Workspace()
  const [x, y] = [bound(workspace, 'x', [10, 20, 30]), bound(workspace, 'y', [0, 0, 0])]
  await engine.run(workspace, [{ kind: 'stage', session, inputs: [x], outputs: [y] }]).done
  assert.equal(read(workspace, y), [11, 22, 33])
  workspace.dispose()
  assert.is(await codeOf(loaded(sum('./weights'))), 'resolved')
})

test('so is what a constant of the graph holds', async () => {
  const sides = [value(11, 'x', [3]), value(12, 'y', [3])]
  const add = node('Add', { inputs: ['x', 'w'], outputs: ['y'] })
  const { session } = await loaded(model([constantOf('w', 'weights', { offset: '4' }), add, ...sides]))
  const workspace = new addon.Workspace()
  const [x, y] = [bound(workspace, 'x', [10, 20, 30]), bound(workspace, 'y', [0, 0, 0])]
  await engine.run(workspace, [{ kind: 'stage', session, inputs: [x], outputs: [y] }]).done
  assert.equal(read(workspace, y), [11, 22, 33])
  workspace.dispose()
})

test('weights are a plain file below the model, and lie in it as their shape says', async () => {
  for (const location of ['../weights', '/etc/passwd', 'a/../../weights', 'C:\\weights', '\\\\host\\weights', 'weights\0', ''])
    assert.is(await codeOf(loaded(sum(location))), 'PATH_ESCAPE', location)
  assert.is(await codeOf(loaded(sum('none'))), 'MODEL_NOT_FOUND')
  writeFileSync(join(outside, 'secret'), Buffer.alloc(64))
  symlinkSync(join(outside, 'secret'), join(folder, 'link'))
  linkSync(join(outside, 'secret'), join(folder, 'hard'))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  for (const location of ['link', 'hard', 'pipe', '.', '*/_ORT_MEM_ADDR_/*'])
    assert.is(await codeOf(loaded(sum(location))), 'PATH_UNSAFE', location)
  mkdirSync(join(folder, 'own', 'deeper'), { recursive: true })
  writeFileSync(join(folder, 'own', 'deeper', 'weights'), Buffer.alloc(12))
  assert.is(await codeOf(loaded(sum('own/deeper/weights'))), 'resolved')
  mkdirSync(join(outside, 'others'))
  writeFileSync(join(outside, 'others', 'weights'), Buffer.alloc(12))
  symlinkSync(join(outside, 'others'), join(folder, 'own', 'elsewhere'))
  assert.is(await codeOf(loaded(sum('own/elsewhere/weights'))), 'PATH_UNSAFE')
  const wrong: Record<string, string>[] = [
    { offset: '8' },
    { offset: '-4' },
    { offset: '1e1' },
    { length: '8' },
    { offset: '9'.repeat(15) },
  ]
  for (const places of wrong) assert.is(await codeOf(loaded(sum('weights', places))), 'MODEL_CORRUPT', JSON.stringify(places))
  assert.is(await codeOf(loaded(sum('weights', {}, [-3]))), 'SHAPE_INVALID')
})

test('weights with holes that take more than the memory there is are refused before they are read', async () => {
  const file = openSync(join(folder, 'holes'), 'w')
  ftruncateSync(file, 2 ** 42)
  closeSync(file)
  assert.is(await codeOf(loaded(sum('holes', {}, [2 ** 40]))), 'RESOURCE_LIMIT')
})

test('tensors that an engine would have to look for itself are refused', async () => {
  const inBranch = node('If', { attributes: [inner('then_branch', constantOf('w', 'weights'))] })
  assert.is(await codeOf(loaded(model([inBranch]))), 'UNSUPPORTED')
  const inOther = node('Other', { attributes: [attribute('value', 'tensor', field(5, tensor('w', [3], external('weights'))))] })
  assert.is(await codeOf(loaded(model([inOther]))), 'UNSUPPORTED')
  const sparse = field(15, field(1, tensor('w', [3], external('weights'))))
  assert.is(await codeOf(loaded(model([sparse]))), 'UNSUPPORTED')
})

test('weights are looked for beside the model itself, not beside a link to it; without a folder not at all', async () => {
  const path = written(sum('weights'))
  assert.is(await codeOf(OnnxFile.open(path, join(outside, 'snapshot'))), 'PATH_UNSAFE')
  assert.is(await codeOf(OnnxFile.open(path)), 'PATH_UNSAFE')
  assert.is(await codeOf(OnnxFile.open(written(model([node('Add')])))), 'resolved')
})

test('a model file of more than 2 GiB, a pipe, a folder and a device are refused at once', async () => {
  const large = openSync(join(folder, 'large.onnx'), 'w')
  ftruncateSync(large, 2 ** 31)
  closeSync(large)
  assert.is(await codeOf(OnnxFile.open(join(folder, 'large.onnx'), folder)), 'MODEL_TOO_LARGE')
  for (const path of [join(folder, 'pipe'), folder, '/dev/zero', join(folder, 'link')])
    assert.is(await codeOf(OnnxFile.open(path)), 'PATH_UNSAFE', path)
})

test('files that are written to or shrink while they are loaded: MODEL_CHANGED, and the process lives', async () => {
  const weights = join(folder, 'shrinking')
  /** An engine in whose `load` something happens to the weights first. */
  const meanwhile = (happens: () => void): Engine =>
    ({ load: (options: Parameters<Engine['load']>[0]) => (happens(), engine.load(options)) }) as unknown as Engine
  for (const happens of [
    () => writeFileSync(weights, ''),
    () => appendFileSync(weights, 'x'),
    () => writeFileSync(weights, Buffer.alloc(2 ** 20, 1)),
  ]) {
    writeFileSync(weights, Buffer.alloc(2 ** 20))
    assert.is(await codeOf(loaded(sum('shrinking', {}, [2 ** 18, 1]), meanwhile(happens))), 'MODEL_CHANGED')
  }
})

test('what an engine has read does not change with the file', async () => {
  const weights = join(folder, 'later')
  writeFileSync(weights, Buffer.from(Float32Array.of(1, 2, 3).buffer))
  const { session } = await loaded(sum('later'))
  // A mapped file that shrinks ends the process (SIGBUS) when it is read.
  writeFileSync(weights, '')
  const workspace = new addon.Workspace()
  const [x, y] = [bound(workspace, 'x', [0, 0, 0]), bound(workspace, 'y', [0, 0, 0])]
  await engine.run(workspace, [{ kind: 'stage', session, inputs: [x], outputs: [y] }]).done
  assert.equal(read(workspace, y), [1, 2, 3])
  workspace.dispose()
})

test('the bytes of a file are freed when an engine has them, which leaves others as they are', async () => {
  const file = await OnnxFile.open(written(sum('weights', { offset: '4' })), folder)
  const { inputs, outputs } = await file.load(engine, { threads: 1 })
  assert.is(file.bytes.buffer.byteLength, 0)
  assert.equal([inputs, outputs], [file.inputs, file.outputs])
  const bytes = fixtureBytes('add_matmul')
  await engine.load({ bytes })
  assert.ok(bytes.length > 0)
})

test("bytes that are ONNX Runtime's own format as well are read as ONNX", async () => {
  // The mark of that format at byte 4, within a field that protobuf skips.
  const marked = Buffer.concat([field(2, 'xxORTM'), sum('weights', { offset: '4' })])
  assert.is(marked.toString('latin1', 4, 8), 'ORTM')
  assert.is(await codeOf(loaded(marked)), 'resolved')
})

test.run()
