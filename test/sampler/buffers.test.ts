import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Slice, Workspace } from '../../ts/native/types.ts'
import type { Storage, TensorUse } from '../../ts/native/workspace-plan.ts'
import { Buffers, StepRequest, type BufferPool } from '../../ts/sampler/buffers.ts'

function made(own: BufferPool, history: BufferPool) {
  const tensors: [length: number, storage: Storage, use: TensorUse][] = []
  const allocate = (length: number, storage: Storage, use: TensorUse): number => tensors.push([length, storage, use]) - 1
  return { buffers: new Buffers({ allocate } as unknown as Workspace, 7, own, history), tensors }
}
const pool = (count: number, use: TensorUse, storage: Storage): BufferPool => ({ count, use, storage })
const sorted = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b)

test('stored otherwise, buffers of history are their own, and come back to where they are from', () => {
  const { buffers, tensors } = made(pool(2, 'latents', 'float32'), pool(1, 'history', 'float16'))
  assert.equal(tensors, [
    [7, 'float32', 'latents'],
    [7, 'float32', 'latents'],
    [7, 'float16', 'history'],
  ])
  for (let again = 0; again < 2; again++) {
    assert.is(buffers.take('history'), 2)
    assert.throws(() => buffers.take('history'), 'more buffers than its capacity')
    const own = [buffers.take('own'), buffers.take('own')]
    assert.equal(sorted(own), [0, 1])
    assert.throws(() => buffers.take('own'), 'more buffers than its capacity')
    for (const each of [2, ...own]) buffers.giveBack(each)
  }
})

test('stored in one way they serve each other', () => {
  const { buffers } = made(pool(2, 'latents', 'float32'), pool(1, 'history', 'float32'))
  for (const all of ['own', 'history'] as const) {
    const taken = [0, 1, 2].map(() => buffers.take(all))
    assert.equal(sorted(taken), [0, 1, 2])
    assert.throws(() => buffers.take(all), 'more buffers than its capacity')
    for (const each of taken) buffers.giveBack(each)
  }
})

test('all are there, once each, those that names refer to first', () => {
  for (const storage of ['float32', 'float16'] as const) {
    const { buffers } = made(pool(3, 'latents', 'float32'), pool(2, 'history', storage))
    const [state, kept] = [buffers.take('own'), buffers.take('history')]
    buffers.bind(['x'], state)
    buffers.bind(['x0Prev', 'x0@1'], kept)
    assert.equal(buffers.all().slice(0, 2), [state, kept])
    assert.equal(sorted(buffers.all()), [0, 1, 2, 3, 4])
  }
})

test('a buffer is free again when its last name refers to another, or is forgotten; the loop’s own names stay', () => {
  const { buffers } = made(pool(4, 'latents', 'float32'), pool(0, 'history', 'float32'))
  const at = (name: string): number | undefined => buffers.get(name)?.tensor as number | undefined
  const [a, b, c] = [buffers.take('own'), buffers.take('own'), buffers.take('own')]
  buffers.bind(['x'], a)
  buffers.bind(['x0Prev', 'x0@1'], b)
  buffers.bind(['y'], c)
  buffers.bind(['y'], c)
  buffers.bind(['x0Prev'], a)
  buffers.bind(['x0Prev'], a)
  assert.equal(['x', 'x0Prev', 'x0@1', 'y'].map(at), [a, a, b, c])
  buffers.take('own')
  assert.throws(() => buffers.take('own'), 'more buffers than its capacity')
  buffers.retainOnly(['y'])
  assert.equal(['x', 'x0Prev', 'x0@1', 'y'].map(at), [a, a, undefined, c])
  assert.is(buffers.take('own'), b)
  assert.throws(() => buffers.take('own'), 'more buffers than its capacity')
})

test('a request has each buffer once, however many rows read it, and says which sums are of signed values', () => {
  const places: Record<string, Slice> = { x: { tensor: 5, offset: 0 }, y: { tensor: 3, offset: 8 } }
  const request = new StepRequest((name) => places[name])
  assert.equal([request.row({ x: 1, y: 2 }), request.row({ y: 3, x: 4 }, places.x)], [0, 1])
  assert.equal([request.sum(0), request.sum(0, 1), request.sum(1, undefined, true)], [0, 1, 2])
  const { inputs, rows, sums } = request.build()
  assert.equal(inputs, [places.x, places.y])
  assert.equal(
    rows.map(({ inputs: slots, weights, store }) => [slots, weights, store]),
    [
      [[0, 1], [1, 2], undefined],
      [[1, 0], [3, 4], places.x],
    ],
  )
  assert.equal(
    sums.map(({ a, b, signed }) => [a, b, signed ?? false]),
    [
      [0, undefined, false],
      [0, 1, false],
      [1, undefined, true],
    ],
  )
  assert.throws(() => request.row({ z: 1 }), 'the buffer "z", which it did not keep')
})

test.run()
