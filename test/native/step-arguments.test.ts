import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import type { Workspace } from '../../ts/native/types.ts'
import { Numbers } from '../support/numbers.ts'

const addon = loadAddon()
const length = 16

/** A workspace with three tensors, and a valid member over them, of which a test spoils one thing. */
function valid() {
  const workspace = new addon.Workspace()
  const at = (offset = 0) => ({ tensor: workspace.allocate(length), offset })
  const member = {
    inputs: [at(), at()],
    rows: [
      { inputs: [0, 1], weights: [1, 2], store: at() },
      { inputs: [1], weights: [1] },
    ],
    sums: [{ a: 0 }, { a: 0, b: 1 }],
    tokens: { sum: 0, layout: { order: 'tokens', channels: 4, grid: [2, 2], patch: [1, 1] }, store: at() },
  }
  return { workspace, member }
}
type Member = ReturnType<typeof valid>['member']

function coded(code: string, message?: RegExp) {
  return (error: Error & { code?: string }): boolean => {
    if (error.code !== code) assert.unreachable(`${error.code}: ${error.message}`)
    if (message) assert.match(error.message, message)
    return true
  }
}
const invalid = (message?: RegExp) => coded('INVALID_ARGUMENT', message)
const many = <T>(value: T, count: number): T[] => Array.from({ length: count }, () => value)

/** What a spoiled member's error says. */
const spoiled: [string, (member: any) => unknown, RegExp][] = [
  ['an unknown tensor', (m) => (m.inputs[0].tensor = 99), /no tensor 99/],
  ['a negative tensor', (m) => (m.inputs[0].tensor = -1), /"tensor".*-1/],
  ['a fractional tensor', (m) => (m.inputs[0].tensor = 0.5), /"inputs".*0\.5/],
  ['a tensor of another type', (m) => (m.inputs[0].tensor = '0'), /Float32Array/],
  ['a Float64Array', (m) => (m.inputs[0].tensor = new Float64Array(length)), /Float32Array/],
  ['a plain array', (m) => (m.inputs[0].tensor = many(0, length)), /Float32Array/],
  ['a short array', (m) => (m.inputs[0].tensor = new Float32Array(length - 1)), /to hold 16 floats from 0, received .* 15/],
  ['a detached array', (m) => (m.inputs[0].tensor = detached(length)), /to hold 16 floats from 0, received .* 0/],
  ['an offset beyond', (m) => (m.inputs[1].offset = 1), /outside tensor 1 of length 16/],
  ['a negative offset', (m) => (m.inputs[1].offset = -1), /"offset".*-1/],
  ['an offset of NaN', (m) => (m.inputs[1].offset = NaN), /"offset".*nan/],
  ['an offset of 2^53', (m) => (m.inputs[1].offset = 2 ** 53), /"offset"/],
  ['a missing offset', (m) => delete m.inputs[1].offset, /"offset".*nan/],
  ['nine inputs', (m) => (m.inputs = many(m.inputs[0], 9)), /"inputs.length".*0 to 8.*9/],
  ['nine rows', (m) => (m.rows = many(m.rows[1], 9)), /"rows.length".*0 to 8/],
  ['a row of an unknown input', (m) => (m.rows[1].inputs = [2]), /"rows.inputs".*0 to 1, received 2/],
  ['a row of a negative input', (m) => (m.rows[1].inputs = [-1]), /"rows.inputs".*-1/],
  ['an input named twice', (m) => (m.rows[1] = { inputs: [1, 1], weights: [1, 1] }), /each of its "inputs" once/],
  ['nine terms', (m) => (m.rows[1] = { inputs: many(0, 9), weights: many(0, 9) }), /"rows.inputs.length".*0 to 8/],
  ['fewer weights than inputs', (m) => (m.rows[0].weights = [1]), /"rows.weights".*2 inputs, received 1/],
  [
    'seven stores',
    (m) => (m.rows = many(0, 7).map(() => ({ inputs: [], weights: [], store: { tensor: fresh(), offset: 0 } }))),
    /at most 6/,
  ],
  ['a store outside', (m) => (m.rows[0].store.offset = 5), /outside tensor 2/],
  ['seven sums', (m) => (m.sums = many({ a: 0 }, 7)), /"sums.length".*0 to 6/],
  ['a sum of an unknown row', (m) => (m.sums[0].a = 2), /"sums.a".*0 to 1, received 2/],
  ['a sum with an unknown row', (m) => (m.sums[1].b = 7), /"sums.b".*7/],
  ['tokens of an unknown sum', (m) => (m.tokens.sum = 2), /"tokens.sum".*0 to 1/],
  ['a grid of one number', (m) => (m.tokens.layout.grid = [4]), /Expected/],
  ['a grid of three numbers', (m) => (m.tokens.layout.grid = [1, 2, 2]), /Expected/],
  ['a layout of another size', (m) => (m.tokens.layout.channels = 5), /layout of 16 elements/],
  ['a layout whose size overflows', (m) => (m.tokens.layout = huge), /layout of 16 elements/],
  ['no channels', (m) => (m.tokens.layout.channels = 0), /"channels"/],
  ['a patch of tokens', (m) => (m.tokens.layout.patch = [1, 2]), /"patch"/],
  ['a short store of means', (m) => (m.tokens.store.offset = 13), /outside tensor 3/],
  ['a store that overlaps an input in part', (m) => (m.rows[0].store = { tensor: padded(m), offset: 1 }), /overlap/],
  ['two stores in one place', (m) => (m.rows[1].store = m.rows[0].store), /overlap/],
]
const huge = { order: 'channels-first', channels: 2 ** 20, grid: [2 ** 20, 2 ** 20], patch: [2 ** 20, 2 ** 20] }

function detached(length: number): Float32Array {
  const array = new Float32Array(length)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}
let current: ReturnType<typeof valid>
const fresh = (): number => current.workspace.allocate(length)
function padded(member: Member): number {
  const tensor = current.workspace.allocate(length + 1)
  member.inputs[0] = { tensor, offset: 0 }
  return tensor
}

for (const [name, spoil, message] of spoiled) {
  test(`step: ${name}`, () => {
    current = valid()
    void current.workspace.step(length, [current.member as never])
    spoil(current.member)
    assert.throws(() => current.workspace.step(length, [current.member as never]), invalid(message))
  })
}

test('step: its own two arguments', () => {
  const { workspace, member } = valid()
  for (const wrong of [NaN, -1, 1.5, Infinity, '16', undefined, null, 16n, 2 ** 53]) {
    assert.throws(() => workspace.step(wrong as number, [member as never]), invalid(/"length"/))
  }
  for (const wrong of [undefined, null, {}, 'members', [undefined], [null], [7]])
    assert.throws(() => workspace.step(length, wrong as never))
  assert.throws(() => workspace.step(2 ** 31 + 1, []), invalid(/"length".*2147483648/))
})

test("step: callers' memory is refused above 2^19 elements", () => {
  const workspace = new addon.Workspace()
  const inputs = [{ tensor: new Float32Array(2 ** 19 + 1), offset: 0 }]
  assert.throws(() => workspace.step(2 ** 19 + 1, [{ inputs, rows: [], sums: [] }]), invalid(/2\^19/))
  void workspace.step(2 ** 19, [{ inputs, rows: [], sums: [] }])
})

/** A valid program of numbers, as ts/native/step-program.ts writes it. */
function program(workspace: Workspace): number[] {
  const [a, b, c] = [0, 1, 2].map(() => workspace.allocate(length))
  const rows = [2, 0, 1, 1, 2, 1, c, 0, 1, 1, 1, 0]
  return [2, a, 0, b, 0, 2, ...rows, 2, 0, -1, 0, 0, 1, 0, 1, 0, 0, 4, 2, 2, 1, 1, workspace.allocate(4), 0]
}

test('a program of numbers, cut or altered: an error with a code or sums, never a read outside', () => {
  const numbers = new Numbers(1)
  const workspace = new addon.Workspace() as Workspace & { stepEncoded(...values: unknown[]): Float64Array }
  const whole = program(workspace)
  const run = (values: number[]): Float64Array => workspace.stepEncoded(length, Float64Array.from(values), values.length, [])
  assert.is(run(whole).length, 2)
  for (let end = 1; end < whole.length; end++) assert.throws(() => run(whole.slice(0, end)), invalid(/numbers end/))
  const odd = [
    -1,
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    15,
    16,
    17,
    0.5,
    NaN,
    Infinity,
    -Infinity,
    -0,
    1e300,
    2 ** 31,
    2 ** 40,
    2 ** 53,
    -(2 ** 53),
  ]
  let refused = 0
  for (let seed = 0; seed < 20000; seed++) {
    const altered = [...whole]
    for (let n = numbers.below(3); n >= 0; n--) altered[numbers.below(whole.length)] = odd[numbers.below(odd.length)]
    try {
      run(altered)
    } catch (error) {
      refused++
      invalid()(error as Error)
    }
  }
  assert.ok(refused > 10000 && refused < 20000)
})

test('the raw call checks its own arguments', () => {
  const workspace = new addon.Workspace() as Workspace & { stepEncoded(...values: unknown[]): Float64Array }
  const values = new Float64Array(8)
  assert.throws(() => workspace.stepEncoded(length, [1], 1, []), invalid(/Float64Array/))
  assert.throws(() => workspace.stepEncoded(length, values, 9, []), invalid(/"count".*0 to 8, received 9/))
  assert.throws(() => workspace.stepEncoded(length, values, -1, []), invalid(/"count"/))
  assert.throws(() => workspace.stepEncoded(length, values, 1, [[1]]), invalid(/Float32Array/))
  // An array whose reading detaches what was passed before it.
  const caller = new Float32Array(length)
  const detaching = [caller, 0]
  Object.defineProperty(detaching, 1, {
    get: () => (structuredClone(caller.buffer, { transfer: [caller.buffer] }), new Float32Array(1)),
  })
  assert.throws(
    () => workspace.stepEncoded(length, Float64Array.of(1, -1, 0, 0, 0, 0), 6, detaching),
    invalid(/received a Float32Array of length 0/),
  )
})

test('allocate', () => {
  const workspace = new addon.Workspace()
  for (const wrong of [-1, NaN, 1.5, Infinity, '1', undefined, {}, 1n])
    assert.throws(() => workspace.allocate(wrong as number), invalid(/"length"/))
  assert.throws(() => workspace.allocate(2 ** 40 + 1), invalid(/1099511627776/))
  assert.throws(() => workspace.allocate(2 ** 40), coded('OUT_OF_MEMORY', /4398046511104 bytes/))
  assert.is(workspace.allocate(0), 0)
  assert.is(workspace.allocate(1), 1)
})

test('write and read', () => {
  const workspace = new addon.Workspace()
  const id = workspace.allocate(4)
  for (const method of ['write', 'read'] as const) {
    const call =
      (...values: unknown[]) =>
      () =>
        (workspace[method] as Function).call(workspace, ...values)
    const floats = new Float32Array(2)
    for (const wrong of [1, -1, NaN, 0.5, '0', undefined, {}]) assert.throws(call(wrong, 0, floats), invalid(/tensor/))
    for (const wrong of [3, -1, NaN, 0.5, 2 ** 53, '0', undefined])
      assert.throws(call(id, wrong, floats), invalid(/tensor|"offset"/))
    for (const wrong of [[1], new Float64Array(1), floats.buffer, null, undefined])
      assert.throws(call(id, 0, wrong), invalid(/Float32Array/))
    assert.throws(call(id, 0, new Float32Array(5)), invalid(/outside tensor 0 of length 4/))
    call(id, 0, detached(4))()
    call(id, 4, new Float32Array(0))()
  }
})

test('a disposed workspace: every method but dispose is refused', () => {
  const { workspace, member } = valid()
  workspace.dispose()
  workspace.dispose()
  assert.throws(() => workspace.allocate(1), coded('DISPOSED'))
  assert.throws(() => workspace.write(0, 0, new Float32Array(1)), coded('DISPOSED'))
  assert.throws(() => workspace.read(0, 0, new Float32Array(1)), coded('DISPOSED'))
  assert.throws(() => workspace.step(length, [member as never]), coded('DISPOSED'))
})

test('methods on objects of another class are refused', () => {
  const { allocate, step } = addon.Workspace.prototype
  for (const other of [{}, Object.create(addon.Workspace.prototype), undefined, 5]) {
    assert.throws(() => allocate.call(other as never, 1))
    assert.throws(() => step.call(other as never, 1, []))
  }
  assert.throws(() => (addon.Workspace as unknown as () => void)(), /new/)
})

test.run()
