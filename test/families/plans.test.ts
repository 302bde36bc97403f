import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { familyFolder } from '../support/families.ts'

// What loading says of a network in stages whose plan or files are damaged.

const scratch = mkdtempSync(join(tmpdir(), 'sada-plans-'))
test.after(() => rmSync(scratch, { recursive: true }))

type Edit = (plan: Record<string, any>) => void

async function refusal(change: (unet: string) => void): Promise<SadaError> {
  const folder = join(scratch, 'copy')
  rmSync(folder, { recursive: true, force: true })
  cpSync(familyFolder('sd2'), folder, { recursive: true })
  change(join(folder, 'unet'))
  const error: unknown = await load(folder, { threads: 1 }).then(
    async (pipeline) => pipeline.dispose(),
    (e: unknown) => e,
  )
  const { engines, sessions } = loadAddon().counters()
  assert.equal([engines, sessions], [0, 0], 'something is left behind')
  return error as SadaError
}

const edited = (edit: Edit) => (unet: string) => {
  const path = join(unet, 'plan.json')
  const plan = JSON.parse(readFileSync(path, 'utf8')) as Record<string, any>
  edit(plan)
  writeFileSync(path, JSON.stringify(plan))
}

test('an undamaged plan loads its stages and not the whole', async () => {
  const error = await refusal((unet) => writeFileSync(join(unet, 'model.onnx'), 'not looked at'))
  assert.is(error, undefined)
})

const backwards: Edit = ({ reuse: [, range] }) => ([range.from, range.to] = [range.to, range.from])

test('a range of stages may be one, and may begin with the first', async () => {
  const change = edited(({ stages, reuse }) => (reuse[0] = { from: stages[0].name, to: stages[0].name }))
  assert.is(await refusal(change), undefined)
})

const DAMAGES: [string, (unet: string) => void, string, RegExp][] = [
  ['another schema', edited((p) => (p.schema = 'sada-plan/9')), 'MANIFEST_INVALID', /at \/schema/],
  ['a file outside', edited((p) => (p.stages[0].file = '../embed.onnx')), 'MANIFEST_INVALID', /at \/stages\/0\/file/],
  ['a size that is none', edited((p) => p.tensors.hidden_0.push('depth')), 'MANIFEST_INVALID', /at \/tensors\/hidden_0/],
  ['a tensor without a shape', edited((p) => delete p.tensors.hidden_0), 'MANIFEST_INVALID', /"hidden_0", which has no shape/],
  ['stages in another order', edited((p) => p.stages.reverse()), 'MANIFEST_INVALID', /before anything makes it/],
  [
    'a stage whose name is a path',
    edited((p) => (p.stages[1].name = '../../../escaped')),
    'MANIFEST_INVALID',
    /\/stages\/1\/name/,
  ],
  ['two stages of one name', edited((p) => (p.stages[1].name = p.stages[0].name)), 'MANIFEST_INVALID', /another stage/],
  ['no output', edited((p) => p.stages.pop()), 'MANIFEST_INVALID', /does not make \/output/],
  ['an input nobody reads', edited((p) => p.conditioning.push('y')), 'MANIFEST_INVALID', /no stage reads the input "y"/],
  ['tokens without a grid', edited((p) => (p.tokens.grid = null)), 'MANIFEST_INVALID', /tokens\/grid/],
  [
    'an output that the file lacks',
    edited((p) => (p.stages[1].outputs.push('more'), (p.tensors.more = ['rows', 4]))),
    'IO_MISMATCH',
    /expected .*, more; the file has/,
  ],
  ['a stage without a name', edited((p) => (p.stages[0].name = '')), 'MANIFEST_INVALID', /at \/stages\/0\/name/],
  ['no range', edited((p) => (p.reuse[0].from = 'x')), 'MANIFEST_INVALID', /\/reuse\/0 is no range of stages: "x" to/],
  ['half a range', edited((p) => (p.reuse[1].to = 'x')), 'MANIFEST_INVALID', /\/reuse\/1 is no range of stages/],
  ['a range backwards', edited(backwards), 'MANIFEST_INVALID', /\/reuse\/1 is no range of stages/],
  ['no object', (unet) => writeFileSync(join(unet, 'plan.json'), '7'), 'MANIFEST_INVALID', /plan\.json/],
  ['no file', (unet) => rmSync(join(unet, 'middle.onnx')), 'MODEL_NOT_FOUND', /middle\.onnx/],
  ['no weights', (unet) => rmSync(join(unet, 'model.onnx_data')), 'MODEL_NOT_FOUND', /model\.onnx_data/],
  ['a cut file', (unet) => truncateSync(join(unet, 'middle.onnx'), 1000), 'MODEL_CORRUPT', /middle\.onnx/],
  ['another file', (unet) => cpSync(join(unet, 'up_0.onnx'), join(unet, 'middle.onnx')), 'MODEL_CORRUPT', /sha256/],
  [
    'a file with other tensors',
    edited((p) => Object.assign(p.stages[5], { file: p.stages[6].file, sha256: p.stages[6].sha256 })),
    'IO_MISMATCH',
    /expected .* the file has/,
  ],
]

for (const [name, change, code, message] of DAMAGES) {
  test(`${name}: ${code} at load`, async () => {
    const error = await refusal(change)
    assert.is(error?.code, code, error?.message)
    assert.match(error.message, message)
  })
}

test.run()
