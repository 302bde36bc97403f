import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findModelFile, readModelFile, refuseLibraries } from '../../ts/plan/files.ts'
import { codeOf } from '../support/engines.ts'
import { emptyFolder } from '../support/spawn.ts'

const base = emptyFolder()
const folder = join(base, 'model')
for (const name of ['model', 'model2']) {
  mkdirSync(join(base, name))
  writeFileSync(join(base, name, 'file'), name)
}

test('a file is in its folder, also where the folder is a link; one beside it is out of it, whatever its name begins with', async () => {
  symlinkSync(folder, join(base, 'link'))
  assert.is(String(await readModelFile(join(base, 'link'), 'file')), 'model')
  symlinkSync(join(base, 'model2', 'file'), join(folder, 'out'))
  assert.is(await codeOf(findModelFile(folder, 'out')), 'PATH_UNSAFE')
  symlinkSync(join(folder, 'file'), join(folder, 'in'))
  assert.is(String(await readModelFile(folder, 'in')), 'model')
})

test('a text of a model has 64 MiB at most', async () => {
  writeFileSync(join(folder, 'large'), '')
  truncateSync(join(folder, 'large'), 2 ** 26)
  assert.is((await readModelFile(folder, 'large')).length, 2 ** 26)
  truncateSync(join(folder, 'large'), 2 ** 26 + 1)
  assert.is(await codeOf(readModelFile(folder, 'large')), 'MODEL_TOO_LARGE')
})

test('why a file is not found is said as it is', async () => {
  const said = (name: string): Promise<string> => findModelFile(folder, name).catch((error: Error) => error.message)
  assert.match(await said('none'), 'It does not exist; a model folder holds plan.json')
  assert.match(await said(join('file', 'none')), 'ENOTDIR')
})

test('compiled code by any of its names is refused, a folder that is not there holds none', async () => {
  await refuseLibraries(join(base, 'missing'))
  await refuseLibraries(folder)
  for (const name of ['a.so', 'a.so.11', 'a.so.11.2', 'a.dll', 'a.dylib', 'a.node', 'a.exe', 'A.DLL']) {
    const other = emptyFolder()
    writeFileSync(join(other, name), '')
    assert.is(await codeOf(refuseLibraries(other)), 'UNTRUSTED_CODE', name)
  }
  for (const name of ['a.so.txt', 'also', 'a.onnx']) writeFileSync(join(folder, name), '')
  await refuseLibraries(folder)
})

test.run()
