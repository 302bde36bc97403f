import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Component, type LoadContext } from '../../ts/families/component.ts'
import {
  checkLength,
  checkRows,
  checkSize,
  LATENT_AXES,
  partProfiles,
  planProfiles,
  sizeRange,
} from '../../ts/families/size-range.ts'
import type { Engine } from '../../ts/native/types.ts'
import type { EngineSizes } from '../../ts/plan/engine-sizes.ts'

// What a folder's engines make of these is in profiles.test.ts.

/** Of a model whose own pictures are 8 × 16 latents of 8 pixels, on an engine that compiles, or not. */
const rangeOf = (engineSizes?: EngineSizes, compiles = true) =>
  sizeRange({ device: { compiles }, engineSizes } as unknown as LoadContext, 8, { own: [8, 16], patch: 2, length: [4, 77] })!

test('sizes are multiples of a token’s pixels, from the least to the most; the own one is the usual where it lies between', () => {
  const { smallest, usual, largest } = rangeOf({ pictures: 3, width: [32, 64], height: [64, 96] })
  assert.equal(
    [smallest, usual, largest],
    [
      { rows: 1, size: [8, 4], length: 4 },
      { rows: 2, size: [8, 8], length: 77 },
      { rows: 6, size: [12, 8], length: 77 },
    ],
  )
  assert.equal(rangeOf({ width: [256, 512] }).usual.size, [8, 32])
  for (const width of [
    [24, 64],
    [32, 40],
    [64, 32],
    [0, 32],
    [-16, 32],
  ] as [number, number][])
    assert.throws(() => rangeOf({ width }), /"engineSizes\.width" to be two multiples of 16 that ascend/)
})

test('an engine that compiles serves what it was made for, another one anything', () => {
  const calls: ((range: ReturnType<typeof rangeOf>, beyond: number) => void)[] = [
    (range, beyond) => checkSize(range, [8, 8 + beyond]),
    (range, beyond) => checkSize(range, [8, 4 - beyond]),
    (range, beyond) => checkSize(range, [8 + beyond, 8]),
    (range, beyond) => checkRows(range, 3 + beyond, 2),
    (range, beyond) => checkRows(range, 6 + beyond, 1),
    (range, beyond) => checkLength(range, 77 + beyond, 77),
  ]
  const sizes: EngineSizes = { pictures: 3, width: [32, 64] }
  for (const call of calls) {
    call(rangeOf(sizes), 0)
    assert.throws(() => call(rangeOf(sizes), 1), 'for which the engines were made')
    call(rangeOf(sizes, false), 1)
  }
  checkLength(undefined, 512, 77)
})

test('a size that the file fixes is that size; channels that it leaves open are the configuration’s', () => {
  const shapes = (role: string, dims: readonly number[], config: object): (readonly number[])[] => {
    const input = { name: 'sample', type: 'float32', dims, symbols: dims.map(String) } as const
    const component = new Component(
      role,
      'model.onnx',
      config as never,
      { session: 0, inputs: [input], outputs: [] },
      {} as Engine,
    )
    const [[{ smallest, usual, largest }]] = partProfiles(rangeOf({ width: [32, 64] }), LATENT_AXES)(component)
    return [smallest, usual, largest]
  }
  const channels = { latent_channels: 16, in_channels: 5 }
  assert.equal(shapes('vae_decoder', [-1, -1, -1, -1], channels), [
    [1, 16, 8, 4],
    [1, 16, 8, 8],
    [1, 16, 8, 8],
  ])
  assert.equal(shapes('vae_encoder', [-1, -1, -1, -1], channels)[0], [1, 5, 8, 4])
  assert.equal(shapes('vae_decoder', [-1, -1, -1, -1], {})[0], [1, 4, 8, 4])
  assert.equal(shapes('vae_decoder', [-1, 7, 9, -1], channels)[0], [1, 7, 9, 4])
})

test('inputs of a stage have the rows, tokens, height and width of the call, or shares of them', () => {
  const plan = {
    tokens: { patch: [2, 2], grid: ['height/2', 'width/2'] },
    tensors: { map: ['rows', 4, 'height', 'width/2'], tokens: ['rows', 'tokens', 9], text: ['rows', 'length', 5] },
  } as unknown as Parameters<typeof planProfiles>[0]
  const stage = { kind: 'dense', inputs: ['map', 'tokens', 'text'] } as unknown as Parameters<typeof planProfiles>[1]
  const [[map, tokens, text]] = planProfiles(plan, stage, rangeOf({ width: [48, 80] }))
  assert.equal(
    [map.smallest, map.usual, map.largest],
    [
      [1, 4, 8, 3],
      [2, 4, 8, 5],
      [4, 4, 8, 5],
    ],
  )
  assert.equal(
    [tokens.smallest, tokens.largest, text.smallest, text.largest],
    [
      [1, 12, 9],
      [4, 20, 9],
      [1, 4, 5],
      [4, 77, 5],
    ],
  )
})

test.run()
