import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { OnnxFile } from '../../ts/onnx/file.ts'
import { newEngine } from '../support/engines.ts'

// What a file declares, read here, against what ONNX Runtime says of the same file.

const FIXTURES = join(__dirname, '..', 'fixtures')
const files = ['onnx', 'layouts', 'families/flux', 'families/sd2-controlnet', 'families/musicldm'].flatMap((folder) =>
  readdirSync(join(FIXTURES, folder), { recursive: true })
    .map((file) => join(FIXTURES, folder, String(file)))
    .filter((file) => file.endsWith('.onnx')),
)

test('inputs and outputs of a file are those that ONNX Runtime finds', async () => {
  assert.ok(files.length > 50)
  const engine = newEngine()
  for (const path of files) {
    const own = await OnnxFile.open(path, dirname(path))
    const { inputs, outputs } = await engine.load({ path, threads: 1 })
    assert.equal(own.inputs, inputs, path)
    assert.equal(
      own.outputs.map(({ name, type }) => [name, type]),
      outputs.map(({ name, type }) => [name, type]),
      path,
    )
    // ONNX Runtime may know more of an output than the file says.
    for (const [k, { dims }] of own.outputs.entries())
      for (const [axis, size] of dims.entries()) if (size > 0) assert.is(size, outputs[k].dims[axis], path)
  }
  await engine.dispose()
})

test.run()
