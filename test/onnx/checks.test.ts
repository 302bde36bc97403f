import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFunctions, checkOperators, checkOrder } from '../../ts/onnx/checks.ts'
import { readOnnxModel } from '../../ts/onnx/model.ts'
import { checkSizes } from '../../ts/onnx/sizes.ts'
import { fixtureBytes } from '../support/engines.ts'
import {
  attribute,
  external,
  field,
  functionOf,
  initializer,
  inner,
  integer,
  integers,
  model,
  node,
  shape,
  tensor,
  value,
  varint,
} from '../support/onnx.ts'

/** The code with which a model is refused before an engine sees it. */
function refusal(bytes: Uint8Array): string | undefined {
  try {
    const found = readOnnxModel(Buffer.from(bytes), 'model.onnx')
    for (const check of [checkOperators, checkFunctions, checkOrder, checkSizes]) check(found, 'model.onnx')
    return undefined
  } catch (error) {
    return (error as { code?: string }).code
  }
}

test('models that ask for other code than ONNX Runtime are refused', () => {
  assert.is(refusal(model([node('Add'), node('Gelu', { domain: 'com.microsoft' })])), undefined)
  assert.is(refusal(model([node('EPContext', { domain: 'com.microsoft' })])), 'UNTRUSTED_CODE')
  assert.is(refusal(model([node('Run', { domain: 'my.ops' })])), 'UNTRUSTED_CODE')
  assert.is(
    refusal(model([node('If', { attributes: [inner('then_branch', node('Run', { domain: 'my.ops' }))] })])),
    'UNTRUSTED_CODE',
  )
  assert.is(refusal(model([], functionOf('F', 'own', [node('EPContext', {}, 7)]))), 'UNTRUSTED_CODE')
  const within = inner('else_branch', node('If', { attributes: [inner('then_branch', node('Run', { domain: 'my.ops' }))] }))
  assert.is(refusal(model([node('If', { attributes: [within] })])), 'UNTRUSTED_CODE')
  for (const domain of ['ops', 'ai', 'ai.onnx.ops', 'com.microsoft.ops', 'com.ms.internal'])
    assert.is(refusal(model([node('Run', { domain })])), 'UNTRUSTED_CODE', domain)
  // Graphs of training are read as well.
  assert.is(refusal(model([node('Add')], field(20, field(2, node('Run', { domain: 'my.ops' }))))), 'UNTRUSTED_CODE')
  for (const domain of ['ai.onnx', 'ai.onnx.ml', 'ai.onnx.training', 'com.microsoft.nchwc', 'com.ms.internal.nhwc'])
    assert.is(refusal(model([node('Any', { domain })])), undefined, domain)
  const twice = functionOf('Twice', 'my.ops', [node('Add', { inputs: ['x', 'x'], outputs: ['y'] }, 7)])
  assert.is(refusal(model([node('Twice', { domain: 'my.ops' })], twice)), undefined)
})

test('functions that call themselves, also in circles and in branches, are corrupt', () => {
  const call = (name: string): Buffer => node(name, { domain: 'my.ops', inputs: ['x'], outputs: ['y'] }, 7)
  const of = (name: string, ...nodes: Buffer[]): Buffer => functionOf(name, 'my.ops', nodes)
  assert.is(refusal(model([], of('A', call('A')))), 'MODEL_CORRUPT')
  assert.is(refusal(model([], of('A', call('B')), of('B', call('C')), of('C', call('A')))), 'MODEL_CORRUPT')
  const branch = node('If', { attributes: [inner('then_branch', node('A', { domain: 'my.ops' }))] }, 7)
  assert.is(refusal(model([], of('A', branch))), 'MODEL_CORRUPT')
  assert.is(refusal(model([], of('A', call('B')), of('B', node('Add', {}, 7)))), undefined)
  assert.is(refusal(model([], of('A'), of('A'))), 'MODEL_CORRUPT')
  // One of another domain is another one.
  assert.is(refusal(model([], functionOf('Relu', 'my.ops', [node('Relu', {}, 7)]))), undefined)
  assert.is(refusal(model([], functionOf('bc', 'a', []), functionOf('c', 'ab', []))), undefined)
  // `ai.onnx` is another name of the default domain.
  assert.is(refusal(model([], functionOf('Relu', 'ai.onnx', [node('Relu', {}, 7)]))), 'MODEL_CORRUPT')
})

test('functions that write out to too many nodes, or call too deep, are too large', () => {
  const doubling = (levels: number): Buffer[] =>
    Array.from({ length: levels }, (_, k) => {
      const next = node(k + 1 < levels ? `F${k + 1}` : 'Relu', { domain: k + 1 < levels ? 'my.ops' : '' }, 7)
      return functionOf(`F${k}`, 'my.ops', [next, next])
    })
  const call = node('F0', { domain: 'my.ops' })
  assert.is(refusal(model([call], ...doubling(10))), undefined)
  assert.is(refusal(model([call], ...doubling(40))), 'MODEL_TOO_LARGE')
  // 20000 of them, each within the one before, would not fit on the stack.
  for (const length of [100, 20000]) {
    const chain = Array.from({ length }, (_, k) => functionOf(`F${k}`, 'my.ops', [node(`F${k + 1}`, { domain: 'my.ops' }, 7)]))
    assert.is(refusal(model([call], ...chain)), 'MODEL_TOO_LARGE')
    assert.is(refusal(model([call], ...chain.reverse())), 'MODEL_TOO_LARGE')
  }
  const within = (levels: number, innermost: Buffer): Buffer =>
    levels === 0 ? innermost : node('If', { attributes: [inner('then_branch', within(levels - 1, innermost))] })
  const inBranches = (k: number): Buffer =>
    Buffer.concat([Buffer.of(7 * 8 + 2), within(28, node(`F${k}`, { domain: 'my.ops' })).subarray(1)])
  const both = Array.from({ length: 60 }, (_, k) => functionOf(`F${k}`, 'my.ops', [inBranches(k + 1)]))
  assert.is(refusal(model([call], ...both)), 'MODEL_TOO_LARGE')
  assert.is(refusal(model([call], ...both.slice(0, 2))), undefined)
})

test('65536 nodes are not too many, nor are lists of nodes 64 deep; one more is', () => {
  const many = (count: number): Buffer[] => Array<Buffer>(count).fill(node('Relu', { inputs: ['x'], outputs: [''] }))
  assert.is(refusal(model(many(2 ** 16))), undefined)
  assert.is(refusal(model(many(2 ** 16 + 1))), 'MODEL_TOO_LARGE')
  // The graph itself is the first list. What follows a call is less deep.
  const calling = (functions: number): Buffer[] =>
    Array.from({ length: functions }, (_, k) =>
      functionOf(`F${k}`, 'my.ops', [node(`F${k + 1}`, { domain: k + 1 < functions ? 'my.ops' : '' }, 7), node('Relu', {}, 7)]),
    )
  const call = node('F0', { domain: 'my.ops' })
  for (const inOrder of [calling, (functions: number) => calling(functions).reverse()]) {
    for (const [graph, functions] of [
      [[call], 63],
      [[], 64],
    ] as const) {
      assert.is(refusal(model(graph, ...inOrder(functions))), undefined)
      assert.is(refusal(model(graph, ...inOrder(functions + 1))), 'MODEL_TOO_LARGE')
    }
  }
})

test('of functions that nothing calls the largest counts', () => {
  const functions = (...counts: number[]): Buffer[] =>
    counts.map((count, k) => functionOf(`F${k}`, 'my.ops', Array<Buffer>(count).fill(node('Relu', {}, 7))))
  const graph = [node('Relu')]
  assert.is(refusal(model(graph, ...functions(3, 2 ** 16 - 1, 3))), undefined)
  assert.is(refusal(model(graph, ...functions(3, 2 ** 16, 3))), 'MODEL_TOO_LARGE')
})

test('a graph whose nodes wait for each other is corrupt; one out of order is not', () => {
  const from = (a: string, b: string): Buffer => node('Relu', { inputs: [a], outputs: [b] })
  assert.is(refusal(model([from('b', 'c'), from('a', 'b')])), undefined)
  assert.is(refusal(model([from('a', 'a')])), 'MODEL_CORRUPT')
  assert.is(refusal(model([from('c', 'a'), from('a', 'b'), from('b', 'c')])), 'MODEL_CORRUPT')
  // It waits for another one as well, which comes.
  const both = node('Add', { inputs: ['x', 'b'], outputs: ['a'] })
  const waiting = readOnnxModel(model([from('in', 'x'), both, from('a', 'b')]), 'model.onnx')
  assert.throws(() => checkOrder(waiting, 'model.onnx'), /^model\.onnx: what makes "a" depends on itself\.$/)
  // What is left out has no name, and is nothing that another one makes.
  const without = node('Clip', { inputs: ['in', '', 'most'], outputs: ['y'] })
  assert.is(refusal(model([without, node('Dropout', { inputs: ['y'], outputs: ['z', ''] })])), undefined)
  const branch = (read: string): Buffer =>
    node('If', { inputs: ['go'], outputs: ['y'], attributes: [inner('then_branch', from(read, 'z'))] })
  assert.is(refusal(model([branch('x')])), undefined)
  const deeper = inner('else_branch', node('If', { outputs: ['q'], attributes: [inner('then_branch', from('y', 'z'))] }))
  assert.is(refusal(model([node('If', { outputs: ['y'], attributes: [deeper] })])), 'MODEL_CORRUPT')
  // What the inner graph has itself is not what the graph around it makes under this name.
  for (const own of [value(11, 'h', [4]), initializer(tensor('h', [1])), from('x', 'h')])
    assert.is(refusal(model([node('Loop', { outputs: ['h'], attributes: [inner('body', own, from('h', 'g'))] })])), undefined)
  assert.is(refusal(model([branch('y')])), 'MODEL_CORRUPT')
  assert.is(refusal(model([node('If', { outputs: ['y'], attributes: [inner('then_branch', from('z', 'z'))] })])), 'MODEL_CORRUPT')
})

test('messages within messages and fields without number are too large', () => {
  let graphs = node('Add')
  for (let k = 0; k < 40; k++) graphs = node('If', { attributes: [inner('then_branch', graphs)] })
  assert.is(refusal(model([graphs])), 'MODEL_TOO_LARGE')
  let type = field(1, integer(1, 1))
  for (let k = 0; k < 60; k++) type = field(4, field(1, type))
  assert.is(refusal(model([field(11, field(2, type))])), 'MODEL_TOO_LARGE')
  assert.is(refusal(model([Buffer.alloc(2 ** 24, Buffer.from([0x0a, 0]))])), 'MODEL_TOO_LARGE')
})

test('shapes that no tensor can have are said so', () => {
  assert.is(refusal(model([initializer(tensor('w', [2, 3]))])), undefined)
  assert.is(refusal(model([initializer(tensor('w', [0, 2 ** 40, 2 ** 40]))])), undefined)
  for (const dims of [[-1], [2 ** 32, 2 ** 32], [2n ** 62n], [4, -(2 ** 40)], Array<number>(40).fill(1)])
    assert.is(refusal(model([initializer(tensor('w', dims))])), 'SHAPE_INVALID', String(dims))
})

test('small files that make large tensors are refused', () => {
  const filled = (dims: number[]): Buffer[] => [
    initializer(shape('s', dims)),
    node('ConstantOfShape', { inputs: ['s'], outputs: ['y'] }),
  ]
  assert.is(refusal(model(filled([256, 1024]))), undefined)
  assert.is(refusal(model(filled([1 << 15, 1 << 14]))), 'RESOURCE_LIMIT')
  assert.is(refusal(model(filled([2 ** 31, 2 ** 31]))), 'SHAPE_INVALID')
  const large = 2 ** 29
  const made = (type: string, ...inputs: string[]): Buffer => node(type, { inputs, outputs: ['y'] })
  const given = [initializer(tensor('x', [1], field(9, Buffer.alloc(4)))), initializer(shape('s', [large]))]
  assert.is(refusal(model([...given, made('Expand', 'x', 's')])), 'RESOURCE_LIMIT')
  assert.is(refusal(model([...given, made('Tile', 'x', 's')])), 'RESOURCE_LIMIT')
  const ends = [0, large, 1].map((n, k) =>
    initializer(tensor(`r${k}`, [], field(9, Buffer.from(BigInt64Array.of(BigInt(n)).buffer)), 7)),
  )
  assert.is(refusal(model([...ends, made('Range', 'r0', 'r1', 'r2')])), 'RESOURCE_LIMIT')
  assert.is(
    refusal(model([node('RandomNormal', { outputs: ['y'], attributes: [integers('shape', [large])] })])),
    'RESOURCE_LIMIT',
  )
  const constant = node('Constant', { outputs: ['s'], attributes: [attribute('value', 'tensor', field(5, shape('', [large])))] })
  assert.is(refusal(model([constant, made('ConstantOfShape', 's')])), 'RESOURCE_LIMIT')
  const inBranch = node('If', { attributes: [inner('then_branch', constant, made('ConstantOfShape', 's'))] })
  assert.is(refusal(model([inBranch])), 'RESOURCE_LIMIT')
  const many = Array.from({ length: 50 }, (_, k) => node('ConstantOfShape', { inputs: ['s'], outputs: [`y${k}`] }))
  assert.is(refusal(model([initializer(shape('s', [1 << 23])), ...many])), 'RESOURCE_LIMIT')
  assert.is(refusal(model([field(15, Buffer.concat([field(1, tensor('w', [1])), integer(3, 2 ** 31)]))])), 'RESOURCE_LIMIT')
})

test('what would be joined into something else than it looks like is corrupt', () => {
  const whole = model([node('Add')])
  assert.is(refusal(Buffer.concat([whole, field(7, node('Mul'))])), 'MODEL_CORRUPT')
  assert.is(refusal(model([initializer(tensor('w', [1], Buffer.concat([external('a'), external('b')])))])), 'MODEL_CORRUPT')
  assert.is(refusal(integer(1, 8)), 'MODEL_CORRUPT')
})

test('what ONNX Runtime would read as something else is corrupt', () => {
  const x = value(11, 'x', [4])
  /** A field by a number that protobuf cuts to this one. */
  const cut = (number: number, content: Uint8Array): Buffer => {
    const [tag, ...rest] = field(number, content)
    return Buffer.from([...varint(2n ** 32n + BigInt(tag)), ...rest])
  }
  assert.is(refusal(Buffer.concat([model([node('Add'), x]), cut(7, node('EPContext'))])), 'MODEL_CORRUPT')
  // A number where the text belongs leaves the text that came before.
  const typed = field(1, Buffer.concat([field(4, 'EPContext'), integer(4, 1)]))
  assert.is(refusal(model([typed])), 'MODEL_CORRUPT')
  assert.is(refusal(model([initializer(Buffer.concat([shape('s', [1 << 30]), integer(9, 1)]))])), 'MODEL_CORRUPT')
  // 2 ** 32 + 7 is cut to 7, whole numbers.
  const wide = tensor('s', [1], integer(7, 1 << 30), 2 ** 32 + 7)
  assert.is(refusal(model([initializer(wide), node('ConstantOfShape', { inputs: ['s'] })])), 'MODEL_CORRUPT')
})

test('what an attribute has once and says twice is corrupt: together that is something else', () => {
  const half = (dims: number): Buffer => field(5, Buffer.concat([integer(1, dims), integer(2, 7), integer(7, 1 << 16)]))
  const both = attribute('value', 'tensor', Buffer.concat([half(1), half(2)]))
  const constant = node('Constant', { outputs: ['s'], attributes: [both] })
  assert.is(refusal(model([constant, node('ConstantOfShape', { inputs: ['s'] })])), 'MODEL_CORRUPT')
  const branch = inner('then_branch', node('Add', { inputs: ['b'], outputs: ['a'] }))
  const more = field(6, node('Add', { inputs: ['a'], outputs: ['b'] }))
  assert.is(refusal(model([node('If', { attributes: [Buffer.concat([branch, more])] })])), 'MODEL_CORRUPT')
  const values = field(1, tensor('w', [1]))
  assert.is(refusal(model([field(15, Buffer.concat([values, values, integer(3, 2)]))])), 'MODEL_CORRUPT')
  assert.is(refusal(model([], field(20, Buffer.concat([field(1, ''), field(1, '')])))), 'MODEL_CORRUPT')
})

test('files that are cut or damaged are corrupt or pass, never anything else', () => {
  const whole = fixtureBytes('add_matmul')
  assert.is(refusal(whole), undefined)
  assert.is(refusal(new Uint8Array(0)), 'MODEL_CORRUPT')
  for (let length = 1; length < whole.length; length++) {
    const code = refusal(whole.subarray(0, length))
    assert.ok(code === undefined || code === 'MODEL_CORRUPT', `${length}: ${code}`)
  }
  assert.is(refusal(model([value(11, 'x', [1, -1])])), undefined)
})

test.run()
