import type { StepMember, StepRow, TokenLayout } from '../../ts/native/types.ts'

/** The fused step in JavaScript, bit for bit: one rounding per fused multiply-add, sums in the tree of native/math/tree_sum.h. */
export function oracleStep(inputs: readonly Float32Array[], length: number, member: StepMember): OracleResult {
  const rows = member.rows.map((row) => formRow(row, inputs, length))
  const terms = member.sums.map(({ a, b, signed }) =>
    rows[a].map((value, k) => (b !== undefined ? Math.fround(value * rows[b][k]) : signed ? value : Math.abs(value))),
  )
  const { tokens } = member
  return { rows, sums: terms.map(treeSum), tokenMeans: tokens && tokenMeans(terms[tokens.sum], tokens.layout) }
}

export interface OracleResult {
  readonly rows: Float32Array[]
  readonly sums: number[]
  readonly tokenMeans?: Float32Array
}

/** Its terms in the order of the step's inputs. */
function formRow({ inputs: indices, weights }: StepRow, inputs: readonly Float32Array[], length: number): Float32Array {
  const terms = indices.map((input, t) => ({ input, w: Math.fround(weights[t]) })).sort((a, b) => a.input - b.input)
  return new Float32Array(length).map((_, k) =>
    terms.reduce((sum, { input, w }, t) => (t === 0 ? Math.fround(w * inputs[input][k]) : fma32(w, inputs[input][k], sum)), 0),
  )
}

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)
const [low, high] = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? [0, 1] : [1, 0]

/**
 * a·b + c of float32 numbers, rounded once. a·b is exact in float64; their sum's rounding error comes from a two-sum, and
 * rounding to odd (of the two neighbours of the exact sum the one with an odd mantissa) keeps the second rounding honest.
 */
export function fma32(a: number, b: number, c: number): number {
  const product = a * b
  const sum = product + c
  const part = sum - product
  const error = product - (sum - part) + (c - part)
  if (error === 0 || !Number.isFinite(sum)) return Math.fround(sum)
  double[0] = sum
  if (words[low] % 2 === 1) return Math.fround(sum)
  if (error > 0 === sum > 0) words[low] += 1
  else {
    if (words[low] === 0) words[high] -= 1
    words[low] -= 1
  }
  return Math.fround(double[0])
}

const TILE = 1024

/** Float32 within a tile of 1024 elements, float64 over the tiles. */
export function treeSum(terms: Float32Array): number {
  let partials = tiles(terms.length).map((at) => tileSum(Float32Array.from({ length: TILE }, (_, j) => terms[at + j] ?? 0)))
  while (partials.length > 1) {
    const level = partials
    partials = tiles(level.length).map((at) => tileSum(Float64Array.from({ length: TILE }, (_, j) => level[at + j] ?? 0)))
  }
  return partials[0] ?? 0
}

function tiles(length: number): number[] {
  return Array.from({ length: Math.ceil(length / TILE) }, (_, tile) => tile * TILE)
}

function tileSum(tile: Float32Array | Float64Array): number {
  for (let stride = TILE / 2; stride >= 1; stride /= 2) {
    for (let j = 0; j < stride; j++) tile[j] += tile[j + stride]
  }
  return tile[0]
}

/** Sums per token in the order of native/cpu/step_loop.inl, times the float32 reciprocal of the token's size. */
function tokenMeans(terms: Float32Array, { order, channels, grid, patch }: TokenLayout): Float32Array {
  const tokens = grid[0] * grid[1]
  const scale = Math.fround(1 / (channels * patch[0] * patch[1]))
  const totals = order === 'tokens' ? channelTotals(terms, tokens, channels) : pixelTotals(terms, channels, grid, patch)
  return totals.map((total) => scale * total)
}

/** Eight lanes (channel mod 8), then a tree. */
function channelTotals(terms: Float32Array, tokens: number, channels: number): Float32Array {
  return new Float32Array(tokens).map((_, token) => {
    const s = new Float32Array(8)
    for (let c = 0; c < channels; c++) s[c % 8] += terms[token * channels + c]
    const add = (a: number, b: number): number => Math.fround(a + b)
    return add(add(add(s[0], s[4]), add(s[2], s[6])), add(add(s[1], s[5]), add(s[3], s[7])))
  })
}

/** One running sum per pixel column of a token row, in memory order; then the columns of a patch from left to right. */
function pixelTotals(terms: Float32Array, channels: number, grid: readonly number[], patch: readonly number[]): Float32Array {
  const width = grid[1] * patch[1]
  const height = grid[0] * patch[0]
  const columns = new Float32Array(grid[0] * width)
  for (let k = 0; k < channels * height * width; k++) {
    columns[Math.floor((Math.floor(k / width) % height) / patch[0]) * width + (k % width)] += terms[k]
  }
  return new Float32Array(grid[0] * grid[1]).map((_, token) => {
    const at = Math.floor(token / grid[1]) * width + (token % grid[1]) * patch[1]
    return columns.subarray(at, at + patch[1]).reduce((sum, value) => Math.fround(sum + value))
  })
}
