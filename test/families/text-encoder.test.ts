import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Folder } from '../../ts/families/folder.ts'
import { TextEncoder } from '../../ts/families/text-encoder.ts'
import { TextTokenizer } from '../../ts/families/tokenizers.ts'
import { load, type SadaError } from '../../ts/index.ts'
import { newEngine } from '../support/engines.ts'
import { field, initializer, model, node, shape, tensor, value } from '../support/onnx.ts'

const layout = join(__dirname, '../fixtures/layouts/optimum')
const floats = (...values: number[]): Uint8Array => field(9, Buffer.from(Float32Array.from(values).buffer))

/** The text encoder of test/fixtures/layouts/make.py, of which only what the mask leaves is read. */
const masked = model([
  initializer(tensor('scale', [1, 1, 4], floats(0.001, 0.001, 0.001, 0.001))),
  initializer(shape('last', [2])),
  node('Mul', { inputs: ['input_ids', 'attention_mask'], outputs: ['read'] }),
  node('Unsqueeze', { inputs: ['read', 'last'], outputs: ['column'] }),
  node('Mul', { inputs: ['column', 'scale'], outputs: ['last_hidden_state'] }),
  value(11, 'input_ids', [-1, -1]),
  value(11, 'attention_mask', [-1, -1]),
  value(12, 'last_hidden_state', [-1, -1, 4]),
])

test('CLIP reads its padding, as in diffusers, also where a file asks for a mask', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-text-'))
  const call = { prompt: 'a cat', steps: 3, seed: 3, guidanceScale: 3, policy: 'none' } as const
  const latents: Float32Array[] = []
  cpSync(layout, folder, { recursive: true })
  for (const change of [() => {}, () => writeFileSync(join(folder, 'text_encoder/model.onnx'), masked)]) {
    change()
    const pipeline = await load(folder, { threads: 1 })
    latents.push((await pipeline.generate(call)).latents)
    await pipeline.dispose()
  }
  assert.equal(latents[1], latents[0])
  rmSync(folder, { recursive: true })
})

test('the second last of hidden states is that by its number, however many there are', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sada-text-'))
  cpSync(layout, root, { recursive: true })
  const layers = Array.from({ length: 12 }, (_, k) => [
    initializer(tensor(`scale${k}`, [1, 1, 4], floats(k + 1, k + 1, k + 1, k + 1))),
    node('Mul', { inputs: ['column', `scale${k}`], outputs: [`hidden_states.${k}`] }),
    value(12, `hidden_states.${k}`, [-1, -1, 4]),
  ])
  const column = node('Unsqueeze', { inputs: ['input_ids', 'last'], outputs: ['column'] })
  const graph = [initializer(shape('last', [2])), column, ...layers.reverse().flat(), value(11, 'input_ids', [-1, -1])]
  writeFileSync(join(root, 'text_encoder/model.onnx'), model(graph))
  const engine = newEngine()
  const statesOf = async (states: readonly string[] | 'penultimate'): Promise<Float32Array> => {
    const context = { folder: await Folder.open(root), engine, threads: 1 }
    const encoder = await TextEncoder.load(context, 'text_encoder', 'tokenizer', { states })
    return (await encoder.encode(['a cat'], new AbortController().signal)).states[0]
  }
  const [first, found] = [await statesOf(['hidden_states.0']), await statesOf('penultimate')]
  assert.ok(first.some((each) => each > 0))
  assert.equal(
    found,
    first.map((each) => 11 * each),
  )
  await engine.dispose()
  rmSync(root, { recursive: true })
})

test('memory() looks for no words, generate() once for those of each prompt; between prompts the event loop turns and an abort is heard', async () => {
  const pipeline = await load(layout, { threads: 1 })
  const own = Object.getOwnPropertyDescriptor(TextTokenizer.prototype, 'encode')!
  const encode = own.value as TextTokenizer['encode']
  let read: string[] = []
  let [turns, isOver, onRead] = [0, false, (): void => {}]
  const readAt: number[] = []
  TextTokenizer.prototype.encode = function (...given) {
    if (given[0] !== '') {
      read.push(given[0])
      readAt.push(turns)
      onRead()
    }
    return encode.apply(this, given)
  }
  const count = (): void => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  try {
    const prompt = ['a cat', 'a dog', 'a fox']
    const call = { prompt, seed: [1, 2, 3], steps: 1, policy: 'none' } as const
    await pipeline.memory(call)
    assert.equal(read, [])
    await pipeline.generate(call)
    assert.equal(read, prompt)
    assert.is(new Set(readAt).size, prompt.length)
    const [controller, reason] = [new AbortController(), new Error('enough')]
    read = []
    onRead = () => controller.abort(reason)
    assert.is(await pipeline.generate({ ...call, signal: controller.signal }).catch((e: unknown) => e), reason)
    assert.equal(read, ['a cat'])
  } finally {
    Object.defineProperty(TextTokenizer.prototype, 'encode', own)
    isOver = true
    await pipeline.dispose()
  }
})

test('an encoder that reads fewer tokens than go around a prompt is refused at load; one that has room for just those is not', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sada-text-'))
  cpSync(layout, root, { recursive: true })
  const engine = newEngine()
  const loadedWith = async (length: number): Promise<TextEncoder> => {
    const graph = [
      initializer(tensor('scale', [1, 1, 4], floats(1, 1, 1, 1))),
      initializer(shape('last', [2])),
      node('Unsqueeze', { inputs: ['input_ids', 'last'], outputs: ['column'] }),
      node('Mul', { inputs: ['column', 'scale'], outputs: ['last_hidden_state'] }),
      value(11, 'input_ids', [1, length]),
      value(12, 'last_hidden_state', [1, length, 4]),
    ]
    writeFileSync(join(root, 'text_encoder/model.onnx'), model(graph))
    const context = { folder: await Folder.open(root), engine, threads: 1 }
    return TextEncoder.load(context, 'text_encoder', 'tokenizer', { states: ['last_hidden_state'] })
  }
  // CLIP's begin and end.
  const encoder = await loadedWith(2)
  assert.is((await encoder.encode(['a cat'], new AbortController().signal)).states[0].length, 2 * 4)
  const error = (await loadedWith(1).catch((e: unknown) => e)) as SadaError
  assert.equal([error.code, error.stage], ['TOKENIZER_INVALID', 'text_encoder'])
  assert.match(error.message, /puts 2 tokens around each prompt; .*model\.onnx reads 1\./)
  await engine.dispose()
  rmSync(root, { recursive: true })
})

test('a prompt that is too long is so for memory(), too', async () => {
  const pipeline = await load(layout, { threads: 1 })
  const call = { prompt: ['a cat', 'x'.repeat(10_001)], seed: [1, 2], steps: 1 }
  for (const wanted of [pipeline.memory(call), pipeline.generate(call)])
    assert.is(await wanted.catch((error: { code?: string }) => error.code), 'PROMPT_TOO_LONG')
  await pipeline.dispose()
})

test.run()
