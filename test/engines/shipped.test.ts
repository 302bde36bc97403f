import { createHash } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { StageSources, targetOf, type StageEngine } from '../../ts/engines/build.ts'
import type { EngineDescription } from '../../ts/engines/description.ts'
import { openTensorRt } from '../../ts/engines/library.ts'
import { prepareShipped, ShippedEngines, writeShipped } from '../../ts/engines/shipped.ts'
import { load } from '../../ts/index.ts'
import { findGpu, inspectGpus } from '../../ts/native/gpu.ts'
import { filesForEngines } from '../../ts/pipeline/load.ts'
import { loadManifest } from '../../ts/plan/model.ts'
import { emulatedGpu } from '../support/emulated-gpu.ts'
import { hasTensorRtDouble, packStage, tensorRtDouble } from '../support/tensorrt-double.ts'
import { failure } from '../support/failure.ts'

/** Engines that an application brings along: used where its hash vouches for them, never else. */

const MODEL = join(__dirname, '../../models/avatar')
const newFolder = (): string => mkdtempSync(join(tmpdir(), 'sada-shipped-'))
const description: EngineDescription = {
  model: 'avatar',
  stage: 'unet.embed',
  source: 'a'.repeat(64),
  flavour: 'tensorrt-rtx',
  version: '1.7.1',
  targets: [86, 89],
  profiles: [[{ input: 'x', smallest: [1], usual: [2], largest: [16] }]],
}
const ENGINE = Uint8Array.from({ length: 1000 }, (_, k) => (k * 7) & 255)

test('what was written is found for each of its targets, and for nothing else', async () => {
  const folder = newFolder()
  const sha256 = await writeShipped(folder, [{ description, engine: ENGINE }])
  const shipped = await ShippedEngines.open({ folder, sha256 })
  for (const target of [86, 89]) {
    assert.equal(Uint8Array.from((await shipped.find({ ...description, model: 'other', targets: [target] }))!), ENGINE)
  }
  const others: Partial<EngineDescription>[] = [
    { targets: [120] },
    { targets: [] },
    { targets: [], gpu: 'A' },
    { source: 'b'.repeat(64) },
    { flavour: 'tensorrt' },
    { version: '1.8.0' },
    { profiles: [[{ input: 'x', smallest: [1], usual: [2], largest: [8] }]] },
  ]
  for (const other of others)
    assert.is(await shipped.find({ ...description, targets: [89], ...other }), undefined, JSON.stringify(other))
})

test('a folder to write to is made with those above it; one that can be none is OUTPUT_FAILED, and ends soon', async () => {
  const folder = join(newFolder(), 'a', 'b')
  await Promise.all([prepareShipped(folder), prepareShipped(folder)])
  assert.equal(readdirSync(folder), [])
  const file = join(folder, 'file')
  writeFileSync(file, 'kept')
  for (const place of [file, join(file, 'below'), ...(existsSync('/proc/self') ? ['/proc/x', '/proc/x/y'] : [])]) {
    const { code, argument, message } = await failure(prepareShipped(place))
    assert.equal([code, argument], ['OUTPUT_FAILED', 'out'])
    assert.match(message, `${place}: `)
  }
  assert.is(readFileSync(file, 'utf8'), 'kept')
})

test('no name is no folder: it would be the one that is worked in', async () => {
  const { code, argument } = await failure(prepareShipped(''))
  assert.equal([code, argument], ['INVALID_ARGUMENT', 'out'])
})

test('another index than the one that is trusted, a changed, cut, exchanged or missing engine: ENGINE_UNTRUSTED', async () => {
  const other = { ...description, stage: 'unet.head', source: 'c'.repeat(64) }
  const folder = newFolder()
  const sha256 = await writeShipped(folder, [
    { description, engine: ENGINE },
    { description: other, engine: Uint8Array.from(ENGINE).reverse() },
  ])
  const damages: ((copy: string) => void)[] = [
    (copy) => appendFileSync(join(copy, 'engines.json'), ' '),
    (copy) =>
      writeFileSync(
        join(copy, 'unet.embed.engine'),
        ENGINE.map((byte, k) => (k === 500 ? byte ^ 1 : byte)),
      ),
    (copy) => writeFileSync(join(copy, 'unet.embed.engine'), ENGINE.subarray(1)),
    (copy) => cpSync(join(copy, 'unet.head.engine'), join(copy, 'unet.embed.engine')),
    (copy) => rmSync(join(copy, 'unet.embed.engine')),
  ]
  for (const damage of damages) {
    const copy = newFolder()
    cpSync(folder, copy, { recursive: true })
    damage(copy)
    const error = await failure(ShippedEngines.open({ folder: copy, sha256 }).then((each) => each.find(description)))
    assert.is(error.code, 'ENGINE_UNTRUSTED', error.message)
  }
  // An index whose maker is another, whatever it says.
  const foreign = newFolder()
  await writeShipped(foreign, [{ description, engine: Uint8Array.of(0xcc) }])
  assert.is((await failure(ShippedEngines.open({ folder: foreign, sha256 }))).code, 'ENGINE_UNTRUSTED')
})

test('settings that are none, a folder without an index, files outside of it', async () => {
  const folder = newFolder()
  const good = 'a'.repeat(64)
  assert.is((await failure(ShippedEngines.open({ folder, sha256: good }))).code, 'MODEL_NOT_FOUND')
  mkdirSync(join(folder, 'engines.json'))
  assert.is((await failure(ShippedEngines.open({ folder, sha256: good }))).code, 'MODEL_NOT_FOUND')
  for (const sha256 of ['', 'A'.repeat(64), undefined as unknown as string]) {
    const { code, argument } = await failure(ShippedEngines.open({ folder, sha256 }))
    assert.equal([code, argument], ['INVALID_ARGUMENT', 'engines.sha256'])
  }
  const outside = { ...description, stage: '../outside' }
  const sha256 = await writeShipped(join(folder, 'engines'), [{ description: outside, engine: ENGINE }])
  assert.is((await failure(ShippedEngines.open({ folder: join(folder, 'engines'), sha256 }))).code, 'MANIFEST_INVALID')
})

test('an index that is trusted and no JSON, or of another kind: MANIFEST_INVALID', async () => {
  for (const text of ['', 'engines', '{"schema":', '[]', 'null']) {
    const folder = newFolder()
    writeFileSync(join(folder, 'engines.json'), text)
    const sha256 = createHash('sha256').update(text).digest('hex')
    const { code, message } = await failure(ShippedEngines.open({ folder, sha256 }))
    assert.is(code, 'MANIFEST_INVALID', text)
    assert.match(message, join(folder, 'engines.json'))
  }
})

if (!hasTensorRtDouble()) {
  test.skip('pictures on engines that were brought along', () => {})
} else {
  process.env.SADA_CUDA_PATH = emulatedGpu
  process.env.SADA_TENSORRT_PATH = tensorRtDouble
  const options = { prompt: 'a kid', seed: 3, steps: 4 }

  /** The double's engines of the bundled model, as an application ships them; the double builds none itself. */
  async function ship(change: (made: StageEngine) => StageEngine = (made) => made) {
    process.env.SADA_CACHE = newFolder()
    const found = await findGpu()
    if (found.gpu === undefined) throw new Error(found.reason)
    const sources = new StageSources(openTensorRt(), targetOf(openTensorRt(), found.info, (await inspectGpus())!.report))
    const manifest = await loadManifest(MODEL)
    const engines: StageEngine[] = []
    for (const [k, file] of (await filesForEngines('avatar')).entries()) {
      const engine = packStage(MODEL, manifest, manifest.stages[k])
      engines.push(change({ description: (await sources.read(file)).description, engine }))
    }
    const folder = newFolder()
    return { folder, sha256: await writeShipped(folder, engines) }
  }
  const loaded = (engines: { folder: string; sha256: string }) => load('avatar', { device: 'cuda', engine: 'tensorrt', engines })

  test('pictures of shipped engines are those of the CPU, and nothing is built or kept', async () => {
    const engines = await ship()
    const pictures = []
    for (const pipeline of [await load('avatar'), await loaded(engines)]) {
      pictures.push((await pipeline.generate(options)).images[0].data)
      await pipeline.dispose()
    }
    assert.equal(pictures[1], pictures[0])
  })

  test('without a word of the application, or with another one, they are not used', async () => {
    const engines = await ship()
    cpSync(engines.folder, join(process.env.SADA_CACHE!, 'engines'), { recursive: true })
    const builds = await failure(load('avatar', { device: 'cuda', engine: 'tensorrt' }))
    assert.match(builds.message, 'builds nothing')
    assert.is((await failure(loaded({ ...engines, sha256: 'b'.repeat(64) }))).code, 'ENGINE_UNTRUSTED')
    const embed = join(engines.folder, 'embed.engine')
    writeFileSync(
      embed,
      readFileSync(embed).map((byte, k) => (k === 40 ? byte ^ 1 : byte)),
    )
    const { code, stage } = await failure(loaded(engines))
    assert.equal([code, stage], ['ENGINE_UNTRUSTED', 'embed'])
  })

  test('engines for another GPU, or that the library refuses, are built here instead, with a word', async () => {
    const warnings: string[] = []
    const listen = (warning: Error): void => void warnings.push(warning.message)
    process.on('warning', listen)
    try {
      const forOthers = await ship((made) => ({ ...made, description: { ...made.description, gpu: 'another' } }))
      assert.match((await failure(loaded(forOthers))).message, 'builds nothing')
      const refused = await ship((made) => ({ ...made, engine: Buffer.from('sada-double 2\n') }))
      assert.match((await failure(loaded(refused))).message, 'builds nothing')
      await new Promise(setImmediate)
      assert.is(warnings.filter((each) => /brought along.*"embed".*built here/.test(each)).length, 2, warnings.join('\n'))
    } finally {
      process.off('warning', listen)
    }
  })
}

test.run()
