import { cpSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { readManifest } from '../../ts/plan/manifest.ts'

const original = join(__dirname, '../../models/avatar')
let folder: string

test.before.each(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'sada ü ')), 'model')
  cpSync(original, folder, { recursive: true })
})
test.after.each(() => rmSync(join(folder, '..'), { recursive: true, force: true }))

async function refusal(): Promise<SadaError> {
  const error = await load(folder).then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.instance(error, SadaError)
  assert.equal(openFiles(), [])
  return error as SadaError
}

/** Files of the folder that this process has open, where the system tells (Linux). On Windows such a folder cannot be removed. */
function openFiles(): string[] {
  if (process.platform !== 'linux') return []
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd))
    } catch {
      return '' // the listing's own
    }
  })
  return targets.filter((path) => path.startsWith(folder))
}

interface Plan {
  [key: string]: unknown
  stages: Record<string, unknown>[]
  tensors: Record<string, unknown>
  defaults: Record<string, unknown>
  text: Record<string, unknown>
}

/** Rewrites the manifest. */
function change(edit: (plan: Plan) => void): void {
  const path = join(folder, 'plan.json')
  const plan = JSON.parse(readFileSync(path, 'utf8')) as Plan
  edit(plan)
  writeFileSync(path, JSON.stringify(plan))
}

test('a copy of the model, in a folder with a space and an umlaut, works', async () => {
  const pipeline = await load(folder)
  const { images } = await pipeline.generate({ prompt: 'a robot', steps: 1 })
  assert.is(images.length, 1)
  await pipeline.dispose()
})

test('a folder or file that does not exist is named', async () => {
  rmSync(join(folder, 'head.onnx'))
  const missing = await refusal()
  assert.is(missing.code, 'MODEL_NOT_FOUND')
  assert.match(missing.message, /head\.onnx\. It does not exist/)
  assert.is(missing.stage, 'head')
  rmSync(folder, { recursive: true })
  assert.is((await refusal()).code, 'MODEL_NOT_FOUND')
  const typo = await load('avatr').catch((e: unknown) => e as SadaError)
  assert.match((typo as SadaError).message, 'Did you mean "avatar"?')
})

test('a stage that is truncated or edited is MODEL_CORRUPT, before anything runs', async () => {
  for (const bytes of [0, 1, 1000, 1_000_000]) {
    truncateSync(join(folder, 'embed.onnx'), bytes)
    const error = await refusal()
    assert.is(error.code, 'MODEL_CORRUPT')
    assert.is(error.stage, 'embed')
  }
  cpSync(join(original, 'embed.onnx'), join(folder, 'embed.onnx'))
  const edited = readFileSync(join(folder, 'last.onnx'))
  edited[edited.length >> 1] ^= 1
  writeFileSync(join(folder, 'last.onnx'), edited)
  assert.is((await refusal()).stage, 'last')
})

for (const [name, text] of [
  ['empty', ''],
  ['cut', '{"schema": "sada-plan/1", "na'],
  ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
  ['an array', '[]'],
  ['huge', ' '.repeat(2 << 20)],
] as const) {
  test(`a manifest that is ${name} is MANIFEST_INVALID`, async () => {
    writeFileSync(join(folder, 'plan.json'), text)
    assert.is((await refusal()).code, 'MANIFEST_INVALID')
  })
}

const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels))

const wrong: [string, (plan: Plan) => void, RegExp][] = [
  ['of a newer schema', (plan) => (plan.schema = 'sada-plan/2'), /at \/schema/],
  ['with a path that leaves the folder', (plan) => (plan.stages[0].file = '../embed.onnx'), /at \/stages\/0\/file/],
  ['with an absolute path', (plan) => (plan.stages[0].file = '/etc/passwd'), /at \/stages\/0\/file/],
  ['with a stage whose name is a path', (plan) => (plan.stages[0].name = '../embed'), /at \/stages\/0\/name/],
  ['with two stages of one name', (plan) => (plan.stages[2].name = 'first'), /\/stages\/2 has the name "first" of another/],
  ['with a stage named like the text encoder', (plan) => (plan.stages[2].name = 'text'), /\/stages\/2 has the name "text"/],
  [
    'whose input is no latents',
    (plan) => (plan.tensors.sample = ['rows', 3, 'tokens', 64]),
    /\/tensors\/sample to be \[rows, 3, 64, 64\]/,
  ],
  ['whose latents are others', (plan) => (plan.latents = [3, 32, 32]), /\/tensors\/sample to be \[rows, 3, 32, 32\]/],
  ['without levels', (plan) => (plan.tensors.level = [1]), /\/tensors\/level to be \[rows\], it is \[1\]/],
  ['whose last stage makes nothing', (plan) => (plan.stages.at(-1)!.outputs = []), /last of \/stages makes nothing/],
  [
    'whose tokens are fewer',
    (plan) => (plan.tokens = { grid: [4, 8], patch: [8, 8] }),
    /\/tokens cover 32 × 64 of latents that are 64 × 64/,
  ],
  ['with a negative size', (plan) => (plan.latents = [3, -64, 64]), /at \/latents\/1/],
  ['with a stage that reads what nothing makes', (plan) => (plan.stages[0].inputs = ['hidden_3']), /before anything makes it/],
  ['with a tensor without a shape', (plan) => delete plan.tensors.hidden_2, /"hidden_2".*no shape/],
  ['with token stages apart from each other', (plan) => (plan.stages[2].kind = 'dense'), /must follow each other/],
  [
    'whose stages are all of tokens',
    (plan) => plan.stages.forEach((stage) => (stage.kind = 'tokens')),
    /"embed" of kind "tokens" makes "\w+", \[rows, [\d, ]+\], which is not of tokens/,
  ],
  ['with more steps than a call may have', (plan) => (plan.defaults.steps = 1001), /at \/defaults\/steps/],
  [
    'with stronger guidance than a call may have',
    (plan) => (plan.defaults.guidance_scale = 101),
    /at \/defaults\/guidance_scale/,
  ],
  ['with half a token', (plan) => (plan.text.pad = 0.5), /at \/text\/pad/],
  ['with a token between two', (plan) => (plan.text.unconditional = [2, 1.5]), /at \/text\/unconditional\/1/],
  ['that is nested without end', (plan) => (plan.grammar = nested(64)), /more than 64 levels of nesting/],
  ['with a pattern of its own', (plan) => (plan.text.pattern = '(a+)+$'), /at \/text\/pattern/],
]
for (const [name, edit, message] of wrong) {
  test(`a manifest ${name} is MANIFEST_INVALID, with the place`, async () => {
    change(edit)
    const error = await refusal()
    assert.is(error.code, 'MANIFEST_INVALID')
    assert.match(error.message, message)
  })
}

test('a token that the vocabulary has no word for is TOKENIZER_INVALID, when the model is loaded', async () => {
  const words = (JSON.parse(readFileSync(join(folder, 'vocab.json'), 'utf8')) as string[]).length
  for (const [key, value] of [
    ['pad', words],
    ['unknown', 1e9],
    ['unconditional', [2, words]],
  ] as const) {
    cpSync(join(original, 'plan.json'), join(folder, 'plan.json'))
    change((plan) => (plan.text[key] = value))
    const { code, message } = await refusal()
    assert.is(code, 'TOKENIZER_INVALID')
    assert.match(message, new RegExp(`token ${[value].flat().at(-1)}, and these are ${words} words`))
  }
})

test('a manifest that is right but for another shape or name is IO_MISMATCH: file, expected, found', async () => {
  change((plan) => (plan.tensors.skip = ['rows', 96, 8, 8]))
  const shape = await refusal()
  assert.equal([shape.code, shape.stage], ['IO_MISMATCH', 'embed'])
  assert.match(shape.message, /embed\.onnx.*"skip".*\[rows, 96, 8, 8\].*\[-1, 96, 16, 16\]/)
})

test('of two stages that do not load the first is named, also where the next is read before, and no file stays open', async () => {
  change((plan) => (plan.tensors.skip = ['rows', 96, 8, 8]))
  for (const bytes of [1, 2 ** 28]) {
    truncateSync(join(folder, 'first.onnx'), bytes)
    assert.is((await refusal()).stage, 'embed')
  }
})

const otherFiles: [string, (plan: Plan) => void, stage: string, RegExp][] = [
  [
    'reads an input that its file has not',
    (plan) => (plan.stages[1].inputs = [...(plan.stages[1].inputs as string[]), 'sample']),
    'first',
    /first\.onnx: expected inputs .*, sample; the file has /,
  ],
  [
    'lacks an input of its file',
    (plan) => (plan.stages[1].inputs = (plan.stages[1].inputs as string[]).slice(1)),
    'first',
    /first\.onnx: expected inputs .*; the file has hidden_0/,
  ],
  [
    'makes an output that its file has not',
    (plan) => {
      plan.stages[0].outputs = [...(plan.stages[0].outputs as string[]), 'extra']
      plan.tensors.extra = ['rows', 3]
    },
    'embed',
    /embed\.onnx: expected outputs .*, extra; the file has /,
  ],
  [
    'makes a tensor of another rank',
    (plan) => (plan.tensors.embedding = ['rows', 192, 1]),
    'embed',
    /"embedding" to be \[rows, 192, 1\], the file has \[-1, 192\]/,
  ],
  [
    'reads prompts of another length',
    (plan) => (plan.text.length = 39),
    'text',
    /"ids" to be \[rows, 39\], the file has \[-1, 40\]/,
  ],
]
for (const [name, edit, stage, message] of otherFiles) {
  test(`a stage that ${name} is IO_MISMATCH`, async () => {
    change(edit)
    const error = await refusal()
    assert.equal([error.code, error.stage], ['IO_MISMATCH', stage], error.message)
    assert.match(error.message, message)
  })
}

test('a folder that brings compiled code is UNTRUSTED_CODE', async () => {
  for (const name of ['ops.so', 'ops.so.1.2', 'OPS.DLL', 'ops.dylib', 'ops.node', 'ops.exe']) {
    writeFileSync(join(folder, name), '')
    const { code, message } = await refusal()
    assert.is(code, 'UNTRUSTED_CODE', name)
    assert.ok(message.startsWith(join(folder, name)), message)
    rmSync(join(folder, name))
  }
})

test('a vocabulary that is not a list of words is TOKENIZER_INVALID', async () => {
  for (const text of ['{}', '[1, 2]', '["a", 1]', '[']) {
    writeFileSync(join(folder, 'vocab.json'), text)
    assert.is((await refusal()).code, 'TOKENIZER_INVALID')
  }
  rmSync(join(folder, 'vocab.json'))
  assert.is((await refusal()).code, 'MODEL_NOT_FOUND')
})

test("names of an object's own prototype are no tensors", () => {
  const plan = JSON.parse(readFileSync(join(original, 'plan.json'), 'utf8')) as Plan
  plan.stages[0].inputs = ['sample', 'level', 'constructor']
  assert.throws(() => readManifest(plan, 'plan.json'), /"constructor".*no shape/)
})

test('sizes are whole numbers from 1 to 2³¹ − 1; what is read without a prompt fits; every output has a shape', () => {
  const reading = (edit: (plan: Plan) => void) => () => {
    const plan = JSON.parse(readFileSync(join(original, 'plan.json'), 'utf8')) as Plan
    edit(plan)
    return readManifest(plan, 'plan.json')
  }
  const channels = (size: number) => (plan: Plan) => {
    plan.latents = [size, 64, 64]
    plan.tensors.sample = plan.tensors.denoised = ['rows', size, 64, 64]
  }
  for (const size of [1, 2 ** 31 - 1]) reading(channels(size))()
  for (const size of [0, 1.5, 2 ** 31, '3'])
    assert.throws(
      reading((plan) => (plan.latents = [size, 64, 64])),
      /at \/latents\/0/,
    )
  const unconditional = (count: number) => (plan: Plan) => (plan.text.unconditional = Array(count).fill(0))
  reading(unconditional(40))()
  assert.throws(reading(unconditional(41)), /\/text\/unconditional has more tokens than \/text\/length, 40/)
  assert.throws(
    reading((plan) => (plan.stages[0].outputs as string[]).push('extra')),
    /\/stages\/0 uses "extra", which has no shape/,
  )
  assert.throws(
    reading((plan) => (plan.stages = [])),
    /at \/stages/,
  )
  assert.throws(() => readManifest(7, 'plan.json'), /plan\.json: .* at \/\./)
})

test('nothing is left of what did not load', async () => {
  truncateSync(join(folder, 'head.onnx'), 10)
  const { engines, sessions } = loadAddon().counters()
  await refusal()
  const after = loadAddon().counters()
  assert.equal([after.engines, after.sessions], [engines, sessions])
})

test.run()
