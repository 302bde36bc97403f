import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Component } from '../../ts/families/component.ts'
import { residualShapes, timeShape } from '../../ts/families/input-shapes.ts'
import type { Engine, TensorInfo } from '../../ts/native/types.ts'

const tensor = (name: string, dims: readonly number[], symbols = dims.map(() => '')): TensorInfo => ({
  name,
  type: 'float32',
  dims: [...dims],
  symbols,
})
const part = (inputs: TensorInfo[], config: object): Component =>
  new Component('unet', 'model.onnx', config as never, { session: 0, inputs, outputs: [] }, {} as Engine)

/** Sizes of what ControlNets add to latents of 9 × 6, in a UNet that takes so much of it; the k-th has k + 1 channels. */
function sizes(config: object, count: number): string[] {
  const names = Array.from({ length: count }, (_, k) =>
    k < count - 1 ? `down_block_additional_residual_${k}` : 'mid_block_additional_residual',
  )
  const unet = part([tensor('sample', [-1, 4, -1, -1]), ...names.map((name, k) => tensor(name, [-1, k + 1, -1, -1]))], config)
  const shapes = residualShapes(unet, [9, 6])
  assert.equal(Object.keys(shapes), names)
  return Object.values(shapes).map(([rows, channels, height, width], k) => {
    assert.equal([rows, channels], ['rows', k + 1])
    return `${height}×${width}`
  })
}
const refusal = (config: object, count: number): string | undefined => {
  try {
    sizes(config, count)
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

test('ControlNets add to the first convolution, to each layer of a block and to its halving, which rounds up, and to the middle', () => {
  const [whole, half, quarter, eighth] = ['9×6', '5×3', '3×2', '2×1']
  // Stable Diffusion: four blocks of two layers.
  const usual = [
    ...Array<string>(3).fill(whole),
    ...Array<string>(3).fill(half),
    ...Array<string>(3).fill(quarter),
    ...Array<string>(4).fill(eighth),
  ]
  assert.equal(sizes({}, 13), usual)
  const blocks = { block_out_channels: [32, 64, 64] }
  assert.equal(sizes({ ...blocks, layers_per_block: [1, 2, 3] }, 10), [
    ...[whole, whole],
    ...[half, half, half],
    ...[quarter, quarter, quarter, quarter, quarter],
  ])
  assert.equal(sizes({ ...blocks, layers_per_block: 1 }, 7), [whole, whole, half, half, quarter, quarter, quarter])
})

test('a UNet takes as much as its blocks have, of 1 to 16 layers each', () => {
  for (const count of [12, 14]) assert.is(refusal({}, count), 'IO_MISMATCH')
  const one = (layers: unknown) => ({ block_out_channels: [32], layers_per_block: layers })
  assert.is(refusal(one(16), 18), undefined)
  for (const layers of [0, 17, '2', [], null]) assert.is(refusal(one(layers), 4), 'MANIFEST_INVALID', JSON.stringify(layers))
})

test('a time is one for each row where the file says that both are as many, else one for all', () => {
  const shape = (dims: readonly number[], symbols: string[], rows: string) =>
    timeShape(part([tensor('sample', [-1, 4], [rows, '']), tensor('t', dims, symbols)], {}), 't', 'sample')
  assert.equal(shape([], [], 'batch'), [])
  assert.equal(shape([1], [''], ''), [1])
  assert.equal(shape([1], ['batch'], 'batch'), [1])
  assert.equal(shape([-1], ['batch'], 'batch'), ['rows'])
  assert.equal(shape([-1], ['steps'], 'batch'), [1])
  assert.equal(shape([-1], [''], ''), [1])
})

test.run()
