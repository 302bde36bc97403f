import { invalidArgument } from '../errors.ts'
import type { Slice, StepMember } from './types.ts'

/**
 * Steps as one array of numbers: reading the request's objects one property at a time across Node-API costs more than the
 * arithmetic on SDXL-sized latents. `native/bind/read_step.cpp` reads it in the same order.
 *
 *   member := inputs:count (slice)* · rows:count (terms:count (input weight)* store)* · sums:count (a b signed)* · tokens
 *   slice  := tensor offset        a tensor of the workspace by its id, or −1−k for the k-th of `callers`
 *   store  := 0 | 1 slice
 *   b      := −1 where the sum has none
 *   tokens := 0 | 1 sum channelsFirst channels gridHeight gridWidth patchHeight patchWidth slice
 */
export interface StepProgram {
  /** Valid until the next call of `encodeStep`. */
  readonly numbers: Float64Array
  readonly count: number
  readonly callers: readonly Float32Array[]
}

let numbers = new Float64Array(1024)
let count = 0

export function encodeStep(members: readonly StepMember[]): StepProgram {
  const callers: Float32Array[] = []
  count = 0
  for (const member of members) encodeMember(member, callers)
  return { numbers, count, callers }
}

function encodeMember({ inputs, rows, sums, tokens }: StepMember, callers: Float32Array[]): void {
  put(inputs.length)
  for (const slice of inputs) putSlice(slice, callers)
  put(rows.length)
  for (const row of rows) {
    const { length } = row.weights
    if (length !== row.inputs.length)
      throw invalidArgument('rows.weights', `as many as the row's ${row.inputs.length} inputs`, length)
    put(length)
    for (let k = 0; k < row.inputs.length; k++) {
      put(row.inputs[k])
      put(row.weights[k])
    }
    put(row.store === undefined ? 0 : 1)
    if (row.store !== undefined) putSlice(row.store, callers)
  }
  put(sums.length)
  for (const { a, b, signed } of sums) {
    put(a)
    put(b ?? -1)
    put(signed ? 1 : 0)
  }
  put(tokens === undefined ? 0 : 1)
  if (tokens === undefined) return
  const { order, channels, grid, patch } = tokens.layout
  for (const n of [tokens.sum, order === 'channels-first' ? 1 : 0, channels, ...grid, ...patch]) put(n)
  putSlice(tokens.store, callers)
}

function putSlice({ tensor, offset }: Slice, callers: Float32Array[]): void {
  if (typeof tensor === 'number' && !(tensor >= 0)) throw invalidArgument('tensor', 'an id that "allocate" returned', tensor)
  put(typeof tensor === 'number' ? tensor : -callers.push(tensor))
  put(offset)
}

function put(number: number): void {
  if (count === numbers.length) {
    const grown = new Float64Array(2 * count)
    grown.set(numbers)
    numbers = grown
  }
  numbers[count++] = number
}
