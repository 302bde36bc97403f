import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import type { Slice, StepMember, StepRow, StepSum, TokenLayout, Workspace } from '../../ts/native/types.ts'
import { Numbers } from '../support/numbers.ts'
import { fma32, oracleStep } from '../support/step-oracle.ts'

const addon = loadAddon()
const sizes = [0, 1, 7, 8, 9, 31, 32, 33, 1023, 1024, 1025, 4097]

/** Rows of none to all of the inputs, named in any order; every kind of sum. */
function memberOf(numbers: Numbers, inputs: readonly Slice[], stores: readonly (Slice | undefined)[] = []): StepMember {
  const rows: StepRow[] = [0, 1, 2, 3, 4, 5, 7, 8].map((terms, r) => {
    const of = numbers.some(terms, inputs.length)
    return { inputs: of, weights: of.map(() => (numbers.next() / 2 ** 31 - 1) * 4), store: stores[r] }
  })
  const sums: StepSum[] = [
    { a: 3 },
    { a: 4, signed: true },
    { a: 5, b: 6 },
    { a: 7, b: 7 },
    { a: 0 },
    { a: 1, b: 2, signed: true },
  ]
  return { inputs, rows, sums }
}

function tensor(workspace: Workspace, values: Float32Array, before = 0, after = 0): Slice {
  const id = workspace.allocate(before + values.length + after)
  workspace.write(id, before, values)
  return { tensor: id, offset: before }
}

function valuesOf(workspace: Workspace, { tensor, offset }: Slice, length: number): Float32Array {
  const values = new Float32Array(length)
  workspace.read(tensor as number, offset, values)
  return values
}

const same = (actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void => {
  assert.is(actual.length, expected.length, what)
  for (let k = 0; k < expected.length; k++) {
    if (!Object.is(actual[k], expected[k])) assert.unreachable(`${what}: ${actual[k]} instead of ${expected[k]} at ${k}`)
  }
}

test('the oracle rounds a fused multiply-add once', () => {
  const tiny = 2 ** -40
  assert.is(fma32(1, 1, 2 ** -24), 1)
  assert.is(fma32(1 + 2 ** -23, 1, 2 ** -24), 1 + 2 ** -22) // a tie goes to even
  assert.is(fma32(2 ** -24, 1 + 2 ** -23, 1), 1 + 2 ** -23) // just above a tie
  assert.is(fma32(-tiny, tiny, 1 + 2 ** -23), 1 + 2 ** -23)
  assert.is(fma32(4097, 4097, -16785408), 1) // the product alone rounds to 16785408
})

for (const length of sizes) {
  test(`length ${length}: rows and sums are the oracle's, bit for bit`, () => {
    const numbers = new Numbers(length)
    const workspace = new addon.Workspace()
    const inputs = Array.from({ length: 8 }, () => numbers.floats(length))
    const slices = inputs.map((values, k) => (k % 2 === 0 ? tensor(workspace, values, k, 3) : { tensor: values, offset: 0 }))
    const stores = [undefined, 0, undefined, 1, undefined, 2, undefined, 3].map((at) =>
      at === undefined ? undefined : tensor(workspace, new Float32Array(length), at, 1),
    )
    const member = memberOf(numbers, slices, stores)
    const expected = oracleStep(inputs, length, member)
    same(workspace.step(length, [member]) as Float64Array, expected.sums, 'sums')
    stores.forEach((store, r) => store && same(valuesOf(workspace, store, length), expected.rows[r], `row ${r}`))
    for (const store of stores)
      if (store) same(valuesOf(workspace, { ...store, offset: store.offset + length }, 1), [0], 'after the store')
    workspace.dispose()
  })

  test(`length ${length}: stores may be inputs, and several members are made in order`, () => {
    const numbers = new Numbers(length + 1)
    const workspace = new addon.Workspace()
    const inputs = Array.from({ length: 4 }, () => numbers.floats(length))
    const slices = inputs.map((values) => tensor(workspace, values))
    const member = memberOf(numbers, slices, [
      slices[1],
      undefined,
      slices[0],
      undefined,
      slices[3],
      undefined,
      undefined,
      slices[2],
    ])
    const first = oracleStep(inputs, length, member)
    const after = [2, 0, 7, 4].map((row) => first.rows[row])
    const second = oracleStep(after, length, member)
    same(workspace.step(length, [member, member]) as Float64Array, [...first.sums, ...second.sums], 'sums')
    slices.forEach((slice, k) => same(valuesOf(workspace, slice, length), second.rows[[2, 0, 7, 4][k]], `input ${k}`))
  })

  test(`length ${length}: a caller's own memory may be stored to`, () => {
    const workspace = new addon.Workspace()
    const values = new Numbers(length).floats(length)
    const target = new Float32Array(length + 2).fill(9)
    const rows = [{ inputs: [0], weights: [2], store: { tensor: target, offset: 1 } }]
    void workspace.step(length, [{ inputs: [{ tensor: values, offset: 0 }], rows, sums: [] }])
    same(target, [9, ...values.map((value) => 2 * value), 9], 'target')
  })
}

const layouts: [string, TokenLayout][] = [
  ['pixels', { order: 'channels-first', channels: 4, grid: [16, 9], patch: [1, 1] }],
  ['patches', { order: 'channels-first', channels: 3, grid: [5, 7], patch: [2, 4] }],
  ['patches wider than a tile', { order: 'channels-first', channels: 2, grid: [1, 2], patch: [3, 600] }],
  ['one token', { order: 'channels-first', channels: 16, grid: [1, 1], patch: [16, 16] }],
  ['tokens', { order: 'tokens', channels: 64, grid: [8, 8], patch: [1, 1] }],
  ['tokens of 13 channels', { order: 'tokens', channels: 13, grid: [1, 101], patch: [1, 1] }],
  ['tokens of one channel', { order: 'tokens', channels: 1, grid: [33, 1], patch: [1, 1] }],
  ['tokens larger than a tile', { order: 'tokens', channels: 1500, grid: [2, 2], patch: [1, 1] }],
]
for (const [name, layout] of layouts) {
  test(`means per token: ${name}`, () => {
    const numbers = new Numbers(99)
    const tokens = layout.grid[0] * layout.grid[1]
    const length = layout.channels * tokens * layout.patch[0] * layout.patch[1]
    const workspace = new addon.Workspace()
    const inputs = [numbers.floats(length), numbers.floats(length)]
    const store = tensor(workspace, new Float32Array(tokens), 2, 1)
    for (const sum of [0, 1, 2]) {
      const member: StepMember = {
        inputs: inputs.map((values) => tensor(workspace, values)),
        rows: [
          { inputs: [0, 1], weights: [0.5, -1.5] },
          { inputs: [1], weights: [1] },
        ],
        sums: [{ a: 0 }, { a: 0, b: 1 }, { a: 1, signed: true }],
        tokens: { sum, layout, store },
      }
      const expected = oracleStep(inputs, length, member)
      same(workspace.step(length, [member]) as Float64Array, expected.sums, 'sums')
      same(valuesOf(workspace, store, tokens), expected.tokenMeans!, 'means')
    }
    same(valuesOf(workspace, { ...store, offset: 0 }, 2), [0, 0], 'before the store')
  })
}

test('a step on the thread gives the bits of steps made where they are called', async () => {
  const length = 2 ** 19 + 1025
  const numbers = new Numbers(7)
  const workspace = new addon.Workspace()
  const inputs = Array.from({ length: 3 }, () => tensor(workspace, numbers.floats(length)))
  const stores = [0, 1].map(() => tensor(workspace, new Float32Array(length)))
  const member = memberOf(numbers, inputs, [undefined, undefined, undefined, stores[0], undefined, undefined, stores[1]])
  const promise = workspace.step(length, [member])
  assert.instance(promise, Promise)
  const sums = await promise
  assert.is(sums.length, 6)
  // The same rows in two halves, each made at once.
  const half = 2 ** 18
  for (const at of [0, half, length - half]) {
    const shifted = inputs.map((slice) => ({ ...slice, offset: at }))
    const store = tensor(workspace, new Float32Array(half))
    const made = workspace.step(half, [{ inputs: shifted, rows: [{ ...member.rows[3], store }], sums: [] }])
    assert.instance(made, Float64Array)
    same(valuesOf(workspace, store, half), valuesOf(workspace, { ...stores[0], offset: at }, half), `from ${at}`)
  }
  const copies = inputs.map((slice) => valuesOf(workspace, slice, length))
  const expected = oracleStep(copies, length, member)
  same(sums, expected.sums, 'sums')
  same(valuesOf(workspace, stores[1], length), expected.rows[6], 'row 6')
})

test('a workspace disposed while its step is under way: the step completes', async () => {
  const length = 2 ** 20
  const workspace = new addon.Workspace()
  const id = workspace.allocate(length)
  workspace.write(id, 0, new Float32Array(length).fill(1))
  const row = { inputs: [0], weights: [3], store: { tensor: id, offset: 0 } }
  const done = workspace.step(length, [{ inputs: [{ tensor: id, offset: 0 }], rows: [row], sums: [{ a: 0 }] }])
  workspace.dispose()
  assert.equal([...(await done)], [3 * length])
})

test('no members, no sums, no rows', () => {
  const workspace = new addon.Workspace()
  assert.is((workspace.step(5, []) as Float64Array).length, 0)
  assert.is((workspace.step(5, [{ inputs: [], rows: [], sums: [] }]) as Float64Array).length, 0)
  assert.equal(
    [...(workspace.step(5, [{ inputs: [], rows: [{ inputs: [], weights: [] }], sums: [{ a: 0 }] }]) as Float64Array)],
    [0],
  )
})

test('a sum of negative zeros has the sign that the padding leaves it', () => {
  for (const length of [1, 3, 1023, 1024, 1025, 2048, 3000, 2 ** 19]) {
    const workspace = new addon.Workspace()
    const zeros = new Float32Array(length).fill(-0)
    const member: StepMember = {
      inputs: [tensor(workspace, zeros)],
      rows: [{ inputs: [0], weights: [1] }],
      sums: [{ a: 0, signed: true }],
    }
    same(workspace.step(length, [member]) as Float64Array, oracleStep([zeros], length, member).sums, `length ${length}`)
  }
})

test('infinities and NaN come through', () => {
  const workspace = new addon.Workspace()
  const step = (...values: number[]): number[] => {
    const member = {
      inputs: [tensor(workspace, Float32Array.from(values))],
      rows: [{ inputs: [0], weights: [1] }],
      sums: [{ a: 0 }],
    }
    return [...(workspace.step(values.length, [member]) as Float64Array)]
  }
  assert.equal(step(1, -Infinity, 2), [Infinity])
  assert.equal(step(1, NaN, 2), [NaN])
  assert.equal(step(3e38, 3e38), [Infinity])
})

test.run()
