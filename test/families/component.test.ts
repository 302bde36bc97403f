import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Component, hostOf, loadFile, type LoadContext } from '../../ts/families/component.ts'
import type { Folder } from '../../ts/families/folder.ts'
import type { SadaError } from '../../ts/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import type { Engine, TensorInfo } from '../../ts/native/types.ts'

const MODEL = join('folder', 'unet', 'model.onnx')
const CONFIG = join('folder', 'unet', 'config.json')
const info = (name: string, dims: readonly number[] = [], type: TensorInfo['type'] = 'float32'): TensorInfo => ({
  name,
  type,
  dims,
  symbols: dims.map(() => ''),
})
interface Parts {
  readonly inputs?: readonly TensorInfo[]
  readonly outputs?: readonly TensorInfo[]
  readonly config?: Readonly<Record<string, unknown>>
  readonly engine?: Engine
}
const part = ({ inputs = [], outputs = [], config = {}, engine = {} as Engine }: Parts): Component =>
  new Component('unet', MODEL, config, { session: 7, inputs, outputs }, engine)
const named = (...names: string[]): TensorInfo[] => names.map((name) => info(name))

/** What is refused, as its code and its message; the error says the part. */
function refusal(refused: () => unknown): string | undefined {
  try {
    refused()
    return undefined
  } catch (error) {
    const { code, message, stage } = error as SadaError
    assert.is(stage, 'unet', message)
    return `${code} ${message}`
  }
}
const mismatch = (expected: string, has: string): string => `IO_MISMATCH ${MODEL}: expected ${expected}; the file has ${has}.`

test('inputs of text, and of what has no name here, are refused', () => {
  for (const type of ['string', 'other'] as const)
    assert.is(
      refusal(() => part({ inputs: [info('x'), info('t', [1], type)] })),
      mismatch('"t" to hold numbers', type),
    )
  for (const type of ['float32', 'float16', 'int64', 'bool', 'uint8'] as const) part({ inputs: [info('t', [1], type)] })
})

test('an input means what one of its names says; those of a model are no more and no less', () => {
  const required = { sample: ['sample', 'latent'], time: ['timestep', 't'] }
  const optional = { mask: ['mask'] }
  const meanings = (...names: string[]) => part({ inputs: named(...names) }).meanings(required, optional)
  assert.equal(meanings('t', 'latent'), { sample: 'latent', time: 't' })
  assert.equal(meanings('mask', 'timestep', 'sample'), { sample: 'sample', time: 'timestep', mask: 'mask' })
  assert.is(
    refusal(() => meanings('latent')),
    mismatch('an input timestep or t', 'latent'),
  )
  assert.is(
    refusal(() => meanings()),
    mismatch('an input sample or latent', 'none'),
  )
  for (const more of ['x', 'latent', 'sampl'])
    assert.is(
      refusal(() => meanings(more, 'sample', 't')),
      mismatch('no input but sample, t', `${more}, sample, t`),
    )
})

test('an output is the first of the names that the model has, in the order of the names', () => {
  const output = (...names: string[]): string => part({ outputs: named('b', 'a') }).output(...names)
  assert.equal([output('a', 'b'), output('b', 'a'), output('c', 'a')], ['a', 'b', 'a'])
  assert.is(
    refusal(() => output('c', 'd')),
    mismatch('an output c or d', 'b, a'),
  )
})

test('numbers of a configuration are from the least to the most, and whole where they have to be; one that is null is not there', () => {
  const number = (value: unknown) => part({ config: { n: value } }).number('n', 3, 2, 4)
  const integer = (value: unknown) => part({ config: { n: value } }).integer('n', 3, 0, 4)
  for (const value of [2, 2.5, 4]) assert.is(number(value), value)
  for (const value of [0, 4]) assert.is(integer(value), value)
  for (const read of [number, integer]) assert.equal([read(undefined), read(null)], [3, 3])
  for (const value of [1.99, 4.01, '3', true, [3], {}, NaN])
    assert.is(
      refusal(() => number(value)),
      `MANIFEST_INVALID ${CONFIG}: expected a number from 2 to 4 at /n.`,
      JSON.stringify(value),
    )
  for (const value of [0.5, '3', true, [3]])
    assert.is(
      refusal(() => integer(value)),
      `MANIFEST_INVALID ${CONFIG}: expected a whole number from 0 to 4 at /n.`,
      JSON.stringify(value),
    )
  for (const value of [-1, 5])
    assert.is(
      refusal(() => integer(value)),
      `MANIFEST_INVALID ${CONFIG}: expected a number from 0 to 4 at /n.`,
    )
})

test('blocks are as many as are listed, 1 to 8', () => {
  const blocks = (value: unknown) => part({ config: { block_out_channels: value } }).blocks(4)
  assert.is(blocks(undefined), 4)
  for (const count of [1, 8]) assert.is(blocks(Array(count).fill(32)), count)
  for (const value of [[], Array(9).fill(32), 'four', { length: 4 }, 4, null])
    assert.is(
      refusal(() => blocks(value)),
      `MANIFEST_INVALID ${CONFIG}: expected a list of 1 to 8 at /block_out_channels.`,
    )
})

test('a size is what the file says, else what is said instead, where that is a size', () => {
  const unet = part({ inputs: [info('x', [-1, 4])], outputs: [info('y', [1, -1, 0])] })
  assert.equal([unet.dimension('x', 1), unet.dimension('x', 1, 8), unet.dimension('y', 0, 8)], [4, 4, 1])
  assert.equal(
    [unet.dimension('x', 0, 8), unet.dimension('y', 1, 1), unet.dimension('y', 2, 3), unet.dimension('x', 2, 5)],
    [8, 1, 3, 5],
  )
  for (const otherwise of [undefined, null, '8', 0, -1, 1.5])
    assert.is(
      refusal(() => unet.dimension('x', 0, otherwise)),
      mismatch('"x" to have a known size along axis 0', '[-1, 4]'),
    )
})

test('a tensor of known shape has as many dimensions, and sizes that are fixed are these; others may be anything', () => {
  const unet = part({ inputs: [info('x', [-1, 4, 1]), info('any')] })
  for (const rank of [2, 4])
    assert.is(
      refusal(() => unet.expectRank('x', rank)),
      mismatch(`"x" to have ${rank} dimensions`, '[-1, 4, 1]'),
    )
  unet.expectRank('x', 3)
  unet.expectRank('any', 3)
  for (const [axis, size] of [
    [1, 5],
    [2, 5],
    [3, 5],
  ])
    assert.is(
      refusal(() => unet.expectDimension('x', axis, size, 'as I say')),
      mismatch(`"x" to have size 5 along axis ${axis} (as I say)`, '[-1, 4, 1]'),
    )
  for (const [axis, size] of [
    [0, 5],
    [1, 4],
    [2, 1],
  ])
    unet.expectDimension('x', axis, size, '')
  unet.expectDimension('any', 3, 5, '')
})

// Engines that note what they are asked for.

test('a part runs where something runs networks and it has sizes for that, else on the CPU; both are told what they need', async () => {
  const asked: unknown[] = []
  const cpu = { is: 'cpu' } as unknown as Engine
  const gpu = { is: 'gpu' } as never
  const engine = { is: 'device' } as unknown as Engine
  const device = { engine, onGpu: true, compiles: true, load: (file: unknown) => (asked.push(file), Promise.resolve(9)) }
  const file = {
    inputs: named('x'),
    outputs: named('y'),
    load: (...given: unknown[]) => (asked.push(given), Promise.resolve({ session: 8 })),
  } as never
  const folder = { root: join('models', 'mine') } as unknown as Folder
  const context: LoadContext = { folder, engine: cpu, threads: 3, memoryArena: false }
  const profiles = [] as never
  assert.equal(hostOf(context, profiles), [cpu])
  assert.equal(hostOf({ ...context, device, gpu }, undefined), [cpu])
  assert.equal(hostOf({ ...context, device, gpu }, profiles), [engine, gpu])
  for (const [given, sizes] of [
    [context, profiles],
    [{ ...context, device }, undefined],
  ] as const)
    assert.equal(await loadFile(given, 'unet', file, sizes), { session: 8 })
  assert.equal(asked.splice(0), Array(2).fill([cpu, { threads: 3, memoryArena: false }]))
  const found = await loadFile({ ...context, device }, 'unet.embed', file, profiles)
  assert.equal(found, { inputs: named('x'), outputs: named('y'), session: 9 })
  assert.equal(asked, [{ model: 'mine', stage: 'unet.embed', file, profiles }])
})

/** A part whose run ends as the promise does; and how often it was ended before. */
function running(done: Promise<void>) {
  let aborted = 0
  const engine = { run: () => ({ done, abort: () => aborted++ }) } as unknown as Engine
  return { component: part({ engine }), aborted: () => aborted }
}
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )
const { signal } = new AbortController()
const one = { data: Float32Array.of(1), dims: [] }

test('in planning an output is zeros of its shape, and nothing runs', async () => {
  const made = await part({}).evaluate({ x: one }, { y: [2, 3], z: [] }, 'planning')
  assert.equal(made, { y: new Float32Array(6), z: new Float32Array(1) })
})

test('a run that ends early rejects with the reason as it is, and what it ran in is gone; one that fails says the part', async () => {
  const reason = Object.assign(new Error('enough'), { code: 'MINE' })
  const controller = new AbortController()
  const ended = running(new Promise(() => {}))
  const ending = failure(ended.component.evaluate({ x: one }, { y: [2] }, controller.signal))
  controller.abort(reason)
  assert.is(await ending, reason)
  assert.is(ended.aborted(), 1)
  const failed = running(Promise.reject(Object.assign(new Error('no'), { code: 'NETWORK_FAILED' })))
  const { code, stage } = (await failure(failed.component.evaluate({ x: one }, { y: [2] }, signal))) as SadaError
  assert.equal([code, stage], ['NETWORK_FAILED', 'unet'])
  assert.equal(
    [loadAddon().counters()].map(({ workspaces, tensors }) => [workspaces, tensors]),
    [[0, 0]],
  )
})

test.run()
