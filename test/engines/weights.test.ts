import { createHash } from 'node:crypto'
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { obtainEngine, StageSources } from '../../ts/engines/build.ts'
import { EngineCache } from '../../ts/engines/cache.ts'
import { engineKey } from '../../ts/engines/description.ts'
import type { EngineBuildRequest, TensorRtBuilder } from '../../ts/native/types.ts'
import { OnnxFile } from '../../ts/onnx/file.ts'
import type { NetworkFile } from '../../ts/plan/device-engine.ts'
import { failure } from '../support/failure.ts'
import { familyFolder } from '../support/families.ts'

// Engines of files whose weights lie in another one, which is neither in the file's own hash nor in its bytes.

const scratch = mkdtempSync(join(tmpdir(), 'sada-weights-'))
test.after(() => rmSync(scratch, { recursive: true }))
const folder = join(scratch, 'unet')
const weights = join(folder, 'model.onnx_data')
test.before.each(() => cpSync(join(familyFolder('sd2'), 'unet'), folder, { recursive: true }))
test.after.each(() => rmSync(folder, { recursive: true }))

const library = { flavour: 'tensorrt-rtx', version: '1.7.1' } as const
const open = async (stage: string): Promise<NetworkFile> => {
  const file = await OnnxFile.open(join(folder, `${stage}.onnx`), folder)
  return { model: 'm', stage, file, profiles: [] }
}
/** The same weights but for a bit. */
function change(): void {
  const bytes = readFileSync(weights)
  bytes[bytes.length >> 1] ^= 1
  writeFileSync(weights, bytes)
}
const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

test('the key of an engine follows the file and its weights, also where they change while stages are read', async () => {
  const sources = new StageSources(library, { targets: [89] })
  const [middle, head] = [await open('middle'), await open('head')]
  const keyOf = async (file: NetworkFile): Promise<string> => engineKey((await sources.read(file)).description)
  const key = await keyOf(middle)
  assert.is(await keyOf(middle), key)
  const other = await keyOf(head)
  assert.is.not(other, key)
  const { source } = (await sources.read(middle)).description
  assert.is(source, sha256(`${sha256(readFileSync(join(folder, 'middle.onnx')))} ${sha256(readFileSync(weights))}`))
  change()
  const changed = [await keyOf(middle), await keyOf(head)]
  assert.is(new Set([key, other, ...changed]).size, 4)
  change()
  assert.equal([await keyOf(middle), await keyOf(head)], [key, other])
})

/** A builder that takes notes, and does something else meanwhile; a cache. */
function setUp(meanwhile: () => void = () => {}) {
  const requests: EngineBuildRequest[] = []
  const build = (request: EngineBuildRequest) => {
    requests.push(request)
    meanwhile()
    const made = { engine: Uint8Array.of(9), timingCache: new Uint8Array(0) }
    return { done: Promise.resolve(made), abort: () => {}, progress: () => [] }
  }
  const cache = new EngineCache(join(scratch, 'cache'))
  return { requests, cache, builder: { ...library, build } as unknown as TensorRtBuilder }
}

test('weights that were written to after they were hashed, or while they are built of, make no engine', async () => {
  for (const isBefore of [true, false]) {
    const { requests, cache, builder } = setUp(isBefore ? undefined : () => appendFileSync(weights, 'x'))
    const source = await new StageSources(library, { targets: [89] }).read(await open('middle'))
    if (isBefore) change()
    const error = await failure(obtainEngine(builder, source, cache, {}))
    assert.is(error.code, 'MODEL_CHANGED', error.message)
    assert.is(requests.length, isBefore ? 0 : 1)
    assert.is(await cache.read(source.description), undefined)
  }
})

test('the builder is told where to find weights for files that have some elsewhere, and of no place for others', async () => {
  const { requests, cache, builder } = setUp()
  const sources = new StageSources(library, { targets: [89] })
  const middle = await open('middle')
  const alone = await OnnxFile.open(
    join(familyFolder('musicldm'), 'vocoder/model.onnx'),
    join(familyFolder('musicldm'), 'vocoder'),
  )
  for (const file of [middle, { ...middle, file: alone }]) await obtainEngine(builder, await sources.read(file), cache, {})
  assert.equal(
    requests.map(({ modelPath }) => modelPath),
    [middle.file.path, undefined],
  )
})

test.run()
