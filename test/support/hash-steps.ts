import { createHash } from 'node:crypto'
import { loadAddon } from '../../ts/native/load.ts'
import type { StepMember } from '../../ts/native/types.ts'
import { Numbers } from './numbers.ts'

// Prints the instruction set and a hash over the results of many steps and some convolutions: run by test/native/instruction-sets.test.ts.
const addon = loadAddon()
const hash = createHash('sha256')
const numbers = new Numbers(2026)
const lengths = [0, 1, 7, 8, 9, 31, 32, 33, 1000, 1023, 1024, 1025, 2047, 4096, 4097, 16384]
for (let seed = 0; seed < 400; seed++) {
  const length = lengths[seed % lengths.length]
  const workspace = new addon.Workspace()
  const inputs = Array.from({ length: 1 + numbers.below(8) }, () => {
    const tensor = workspace.allocate(length + 8)
    const offset = numbers.below(8)
    workspace.write(tensor, offset, numbers.floats(length))
    return { tensor, offset }
  })
  const stores = Array.from({ length: 4 }, () => ({ tensor: workspace.allocate(length + 8), offset: numbers.below(8) }))
  if (seed % 3 === 0) stores[0] = inputs[0]
  const rows = Array.from({ length: 8 }, (_, r) => {
    const of = numbers.some(numbers.below(9), inputs.length)
    return { inputs: of, weights: of.map(() => numbers.next() / 2 ** 30 - 2), store: stores[r] }
  })
  const sums = Array.from({ length: 6 }, (_, s) => {
    return { a: numbers.below(8), b: s % 2 === 0 ? numbers.below(8) : undefined, signed: s % 3 === 0 }
  })
  const pixels = { order: 'channels-first', channels: 2, grid: [4, 64], patch: [2, 16] } as const
  const layout = length === 16384 ? pixels : ({ order: 'tokens', channels: length, grid: [1, 1], patch: [1, 1] } as const)
  const store = { tensor: workspace.allocate(256), offset: 0 }
  const member: StepMember = { inputs, rows, sums, ...(length > 0 && { tokens: { sum: 0, layout, store } }) }
  hash.update(workspace.step(length, [member]) as Float64Array)
  for (const { tensor, offset } of [...stores, ...(length > 0 ? [store] : [])]) {
    const values = new Float32Array(tensor === store.tensor ? 256 : length)
    workspace.read(tensor, offset, values)
    hash.update(values)
  }
  workspace.dispose()
}
for (const [n, stride] of [
  [1, 5],
  [3, 7],
  [64, 1],
  [30, 33],
]) {
  const values = numbers.floats(2 * n * stride)
  addon.convolve(values, numbers.floats(n), stride)
  hash.update(values)
}
console.log(JSON.stringify({ instructionSet: addon.instructionSet, hash: hash.digest('hex') }))
