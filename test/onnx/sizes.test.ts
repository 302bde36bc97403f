import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readOnnxModel } from '../../ts/onnx/model.ts'
import { checkSizes, elementBits, elementsOf, mostFolded } from '../../ts/onnx/sizes.ts'
import { attribute, field, initializer, inner, integer, integers, model, node, shape, tensor } from '../support/onnx.ts'

const GIB = 2 ** 30
/** ONNX's numbers of element types. */
const [UINT8, INT64, DOUBLE] = [2, 7, 11]

const parsed = (...graph: readonly Uint8Array[]) => readOnnxModel(model(graph), 'model.onnx')
function refusal(...graph: readonly Uint8Array[]): string | undefined {
  try {
    checkSizes(parsed(...graph), 'model.onnx')
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

/** So many bytes are just allowed, and one element more is not. */
function assertLimit(elements: number, made: (elements: number) => readonly Uint8Array[]): void {
  assert.is(refusal(...made(elements)), undefined)
  assert.is(refusal(...made(elements + 1)), 'RESOURCE_LIMIT')
}

const valueOf = (type: number): Buffer => attribute('value', 'tensor', field(5, tensor('', [1], Buffer.alloc(0), type)))
const node1 = (type: string, ...inputs: string[]): Buffer => node(type, { inputs, outputs: ['y'] })
const number = (name: string, value: number): Buffer =>
  initializer(tensor(name, [], field(9, Buffer.from(BigInt64Array.of(BigInt(value)).buffer)), INT64))

test('elements take the bits that ONNX says', () => {
  // TensorProto.DataType of onnx.proto, those of no fixed size, or that no weights are of, as 0.
  const bits = { 0: 0, 1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 8: 0, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64 }
  const more = { 14: 0, 15: 0, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 99: 0 }
  for (const [type, expected] of Object.entries({ ...bits, ...more })) assert.is(elementBits(Number(type)), expected, type)
})

test('a shape is countable: at most 32 sizes, none below 0, and no more elements than a number holds exactly', () => {
  assert.is(elementsOf([], 'it'), 1)
  assert.is(elementsOf(Array<number>(32).fill(1), 'it'), 1)
  assert.is(elementsOf([2 ** 52], 'it'), 2 ** 52)
  // Without any elements, however large the other sizes are.
  assert.is(elementsOf([...Array<number>(20).fill(2 ** 62), 0], 'it'), 0)
  for (const dims of [Array<number>(33).fill(1), [2 ** 53], [0, -1]])
    assert.throws(() => elementsOf(dims, 'it'), /^it has the shape \[/)
})

test('shapes of what nodes hold are checked as well', () => {
  const held = (dims: number[]): Buffer =>
    node('Constant', { outputs: ['w'], attributes: [attribute('value', 'tensor', field(5, tensor('', dims)))] })
  assert.is(refusal(held([2])), undefined)
  assert.is(refusal(held([-2])), 'SHAPE_INVALID')
})

test('what nodes make of constants is a GiB at most, in the type that they make', () => {
  const filled = (type: number) => (elements: number) => [
    initializer(shape('s', [elements])),
    node('ConstantOfShape', { inputs: ['s'], outputs: ['y'], attributes: [valueOf(type)] }),
  ]
  assertLimit(GIB, filled(UINT8))
  assertLimit(GIB / 8, filled(INT64))
  assertLimit(GIB / 4, (elements) => [initializer(shape('s', [elements])), node1('ConstantOfShape', 's')])
  for (const type of ['Expand', 'Tile']) {
    assertLimit(GIB / 8, (elements) => [number('x', 1), initializer(shape('s', [elements])), node1(type, 'x', 's')])
    const given = initializer(tensor('x', [1], Buffer.alloc(0), UINT8))
    assertLimit(GIB, (elements) => [given, initializer(shape('s', [elements])), node1(type, 'x', 's')])
  }
  // As often as it says, what has three elements.
  assertLimit(Math.floor(GIB / 12), (elements) => [
    initializer(tensor('x', [3])),
    initializer(shape('s', [elements])),
    node1('Tile', 'x', 's'),
  ])
  // Whole numbers that a node holds as a list.
  const listed = node('Constant', { outputs: ['x'], attributes: [integers('value_ints', [5])] })
  assertLimit(GIB / 8, (elements) => [listed, initializer(shape('s', [elements])), node1('Expand', 'x', 's')])
  for (const type of ['RandomNormal', 'RandomUniform']) {
    const drawn = (attributes: Buffer[]): Buffer => node(type, { outputs: ['y'], attributes })
    assertLimit(GIB / 4, (elements) => [drawn([integers('shape', [elements])])])
    assertLimit(GIB / 8, (elements) => [drawn([integers('shape', [elements]), integers('dtype', [DOUBLE])])])
  }
})

test('a range has the numbers from its start to its limit, by its step', () => {
  const range = (start: number, limit: number, delta: number) => [
    ...[start, limit, delta].map((value, k) => number(`r${k}`, value)),
    node1('Range', 'r0', 'r1', 'r2'),
  ]
  const most = GIB / 8
  assertLimit(most, (elements) => range(0, elements, 1))
  assertLimit(most, (elements) => range(7, 7 + elements, 1))
  assertLimit(most, (elements) => range(elements, 0, -1))
  assertLimit(2 * most, (limit) => range(0, limit, 2))
  assert.is(refusal(...range(2 ** 40, 0, 1)), undefined, 'none')
  assert.is(refusal(...range(0, 5, 0)), 'SHAPE_INVALID', 'without an end')
  // Known when it runs only.
  assert.is(refusal(number('r0', 0), number('r1', 2 ** 40), node1('Range', 'r0', 'r1', 'r2')), undefined)
})

test('sparse tensors count with all their elements, all of them together, also those that nodes hold', () => {
  const sparse = (elements: number): Buffer => Buffer.concat([field(1, tensor('w', [1])), integer(3, elements)])
  assertLimit(GIB / 4, (elements) => [field(15, sparse(elements))])
  assertLimit(GIB / 8, (elements) => [field(15, sparse(elements)), field(15, sparse(GIB / 8))])
  const held = (elements: number): Buffer =>
    node('Constant', { outputs: ['w'], attributes: [Buffer.concat([field(1, 'sparse_value'), field(22, sparse(elements))])] })
  assertLimit(GIB / 4, (elements) => [held(elements)])
  assertLimit(GIB / 8, (elements) => [
    field(15, sparse(GIB / 8)),
    node('If', { attributes: [inner('then_branch', held(elements))] }),
  ])
})

test('a node may make four times the largest tensor of the file, at least 64 MiB and at most a GiB', () => {
  const most = (...sizes: readonly (readonly [elements: number, type: number])[]): number =>
    mostFolded(parsed(...sizes.map(([elements, type], k) => initializer(tensor(`w${k}`, [elements], Buffer.alloc(0), type)))))
  const MIB = 2 ** 20
  assert.is(most(), 64 * MIB)
  assert.is(most([16 * MIB, UINT8]), 64 * MIB)
  assert.is(most([MIB, UINT8], [10 * MIB, INT64], [MIB, 1]), 320 * MIB)
  assert.is(most([256 * MIB, UINT8]), GIB)
  assert.is(most([512 * MIB, UINT8]), GIB)
})

test.run()
