import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/index.ts'
import { filesForEngines, load } from '../../ts/pipeline/load.ts'
import { bundledModels, findModel, unknownModel } from '../../ts/pipeline/model-folder.ts'

test('what is no model, no settings, and settings that are none, are named', async () => {
  const attempts: [model: unknown, settings: unknown, code: string, said: RegExp][] = [
    ...['', 7, null, undefined, {}].map((wrong): [unknown, unknown, string, RegExp] => [
      wrong,
      {},
      'INVALID_ARGUMENT',
      /"model"/,
    ]),
    ...[null, 7, 'cpu'].map((wrong): [unknown, unknown, string, RegExp] => ['avatar', wrong, 'INVALID_ARGUMENT', /"settings"/]),
    ['avatar', { thread: 1 }, 'UNKNOWN_NAME', /"thread".*Did you mean "threads"/],
    ['avatar', { engine: 'openvino' }, 'INVALID_ARGUMENT', /"engine"/],
  ]
  for (const [model, settings, code, said] of attempts) {
    const error = (await load(model as string, settings as object).catch((e: unknown) => e)) as SadaError
    assert.is(error.code, code, error.message)
    assert.match(error.message, said)
  }
})

const refusal = async (settings: object): Promise<SadaError> => {
  const [error, ofEngines] = await Promise.all(
    [load, filesForEngines].map((take) => take('avatar', settings).catch((e: unknown) => e as SadaError)),
  )
  assert.instance(error, Error, JSON.stringify(settings))
  assert.equal((ofEngines as SadaError).toJSON(), (error as SadaError).toJSON())
  return error as SadaError
}

test('what folders of diffusers alone take is refused where there is a plan.json, at load and for engines', async () => {
  const given = { family: 'flux', paths: { unet: 'unet' }, linksInto: '.', stages: false }
  for (const [name, value] of Object.entries(given)) {
    const { code, argument, message } = await refusal({ [name]: value })
    assert.equal([code, argument], ['INVALID_ARGUMENT', name])
    const start = `Expected "${name}" to be left out: a model with a plan.json does not take it, received `
    assert.ok(message.startsWith(start) && message.endsWith('diffusers and Optimum.'), message)
  }
  const none = Object.fromEntries(Object.keys(given).map((name) => [name, undefined]))
  await (await load('avatar', none)).dispose()
})

test('settings of the wrong type are named, whatever the model and the engine', async () => {
  const attempts: [settings: object, argument: string][] = [
    ...[5, null, ['unet'], 'unet'].map((paths): [object, string] => [{ paths }, 'paths']),
    [{ paths: { unet: 5 } }, 'paths.unet'],
    ...['family', 'linksInto', 'onnxruntime'].flatMap((name) =>
      [5, null, {}].map((value): [object, string] => [{ [name]: value }, name]),
    ),
    ...[5, null, 'x'].map((engines): [object, string] => [{ engines }, 'engines']),
    [{ engines: { folder: 7, sha256: 'a'.repeat(64) } }, 'engines.folder'],
    [{ engines: { folder: 'x', sha256: 'a' } }, 'engines.sha256'],
    ...[5, null, 'openvino'].map((engine): [object, string] => [{ engine }, 'engine']),
    [{ engine: 'openvino', engines: { folder: 'x', sha256: 'a'.repeat(64) } }, 'engine'],
    [{ stages: 'no' }, 'stages'],
    [{ memoryArena: 0 }, 'memoryArena'],
    [{ engineSizes: 5 }, 'engineSizes'],
  ]
  for (const [settings, wanted] of attempts) {
    const { code, argument, message } = await refusal(settings)
    assert.equal([code, argument], ['INVALID_ARGUMENT', wanted], message)
    assert.not.match(message, /left out/)
  }
  assert.is((await refusal({ engines: { folder: 'x', sha: 'a' } })).argument, 'engines.sha')
})

test('what the chosen engine does not read is refused, and what may be of use is not', async () => {
  const engines = { folder: 'x', sha256: 'a'.repeat(64) }
  for (const settings of [{ engines }, { engines, engine: 'webgpu' }, { engines, device: 'auto' }]) {
    const { code, argument, message } = await refusal(settings)
    assert.equal([code, argument], ['INVALID_ARGUMENT', 'engines'])
    assert.match(message, /^Expected "engines" to be left out: engine "\w+" does not take it, received .*"engine": "tensorrt"\.$/)
  }
  for (const more of [{}, { device: 'cpu' }, { engine: 'webgpu' }, { engine: 'tensorrt', device: 'cuda' }]) {
    const { code, argument, message } = await refusal({ onnxruntime: '/nowhere', ...more })
    assert.equal([code, argument], ['INVALID_ARGUMENT', 'onnxruntime'])
    assert.match(message, /^Expected "onnxruntime" to be left out.*, received "\/nowhere"\. .*"device": "cuda" or "auto"\.$/)
  }
  const path = process.env.SADA_CUDA_PATH
  process.env.SADA_CUDA_PATH = '/nowhere/libsada_cuda.so'
  try {
    await (await load('avatar', { device: 'auto', onnxruntime: '/nowhere', engineSizes: { pictures: 4 } })).dispose()
  } finally {
    if (path === undefined) delete process.env.SADA_CUDA_PATH
    else process.env.SADA_CUDA_PATH = path
  }
})

test('a folder that is not there is told what is wanted, what it was taken for, and that nothing is downloaded', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'sada-model-'))
  const file = join(scratch, 'model.safetensors')
  writeFileSync(file, '')
  const attempts: [model: string | URL, said: string][] = [
    ['stabilityai/sdxl', `There is no folder ${resolve('stabilityai/sdxl')}. Give`],
    ['./nowhere', `There is no folder ${resolve('nowhere')}. Give`],
    [file, `${file} is a file, not a folder. Give`],
    [pathToFileURL(file), `${file} is a file, not a folder. Give`],
    ['~/models/sdxl', `There is no folder ${resolve('~/models/sdxl')}. "~" is not expanded: `],
    ['~', `There is no folder ${resolve('~')}. "~" is not expanded: `],
    [String(pathToFileURL(scratch)), 'A file: URL is given as a URL object, or as a path by fileURLToPath() of node:url. Give'],
  ]
  for (const [model, said] of attempts) {
    const { code, argument, message } = (await load(model).catch((e: unknown) => e)) as SadaError
    assert.equal([code, argument], ['MODEL_NOT_FOUND', 'model'])
    assert.match(message, said)
    assert.match(
      message,
      /Give a folder with a model_index\.json \(.*\) or a plan\.json, or a bundled model: avatar\. sada downloads nothing; docs\/families\.md /,
    )
  }
  rmSync(scratch, { recursive: true })
})

test('a folder is given by its file: URL as well; other URLs are none', async () => {
  const pipeline = await load(pathToFileURL(await findModel('avatar')))
  assert.is(pipeline.name, 'avatar')
  await pipeline.dispose()
  for (const url of ['https://example.org/sdxl', 'file:///a%2Fb']) {
    const { code, argument, message } = (await load(new URL(url)).catch((e: unknown) => e)) as SadaError
    assert.equal([code, argument], ['INVALID_ARGUMENT', 'model'])
    assert.match(message, `received "${url}". sada downloads nothing`)
  }
})

test('an unknown model is told the bundled ones; where there are none, as in a bundle, why that may be', () => {
  const { code, argument, message } = unknownModel('avatr', bundledModels())
  assert.equal([code, argument], ['UNKNOWN_NAME', 'model'])
  assert.is(message, 'Unknown model "avatr". Did you mean "avatar"? Known: avatar.')
  const bare = unknownModel('avatar', [])
  assert.equal([bare.code, bare.argument], ['UNKNOWN_NAME', 'model'])
  assert.match(bare.message, /^Unknown model "avatar"\. No bundled models are at .*models\. Keep "sada" external/)
  for (const name of ['a"\nb', 'x'.repeat(1e6)]) {
    const { message } = unknownModel(name, [])
    assert.ok(message.length < 2000 && !message.includes('\n'), message.slice(0, 100))
  }
})

test.run()
