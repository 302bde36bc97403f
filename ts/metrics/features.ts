import { invalidArgument } from '../errors.ts'
import type { TorchGenerator } from '../noise.ts'

/** What a network says of `count` pictures: [count, dim], one row per picture. */
export interface Features {
  /** At least 2. */
  readonly count: number
  /** Numbers for each picture; 2048 of the Inception network. */
  readonly dim: number
  /** [count, dim], each at most 10²⁴ in size: the spread of KID takes the twelfth power. */
  readonly values: Float64Array
}

const LARGEST = 1e24

/** Throws INVALID_ARGUMENT where the length does not fit, there are fewer than two rows, or a value is too large. */
export function checkFeatures(name: string, features: Features): void {
  if (typeof features !== 'object' || features === null) throw invalidArgument(name, '{ count, dim, values }', features)
  const { count, dim, values } = features
  if (!Number.isSafeInteger(count) || count < 2) throw invalidArgument(`${name}.count`, 'at least 2 pictures', count)
  if (!Number.isSafeInteger(dim) || dim < 1) throw invalidArgument(`${name}.dim`, 'at least 1', dim)
  if (!ArrayBuffer.isView(values) || values.length !== count * dim)
    throw invalidArgument(`${name}.values`, `${count} · ${dim} = ${count * dim} values in a Float64Array`, values)
  const wrong = values.findIndex((value) => !(Math.abs(value) <= LARGEST))
  if (wrong >= 0) throw invalidArgument(`${name}.values[${wrong}]`, 'finite, at most 1e24 in size', values[wrong])
}

/** Both sets checked, and of one width. */
export function checkPair(a: Features, b: Features): void {
  checkFeatures('a', a)
  checkFeatures('b', b)
  if (a.dim !== b.dim) throw invalidArgument('b.dim', `${a.dim}, that of a`, b.dim)
}

/** The rows at `indices`, in that order. */
export function take(features: Features, indices: readonly number[]): Features {
  const { dim } = features
  const values = new Float64Array(indices.length * dim)
  indices.forEach((from, to) => values.set(features.values.subarray(from * dim, (from + 1) * dim), to * dim))
  return { count: indices.length, dim, values }
}

/** `size` different indices below `count`, each subset as likely as any other (Fisher–Yates, ended early). */
export function drawSubset(generator: TorchGenerator, count: number, size: number): number[] {
  const indices = Array.from({ length: count }, (_, k) => k)
  const uniform = generator.rand(size)
  for (let k = 0; k < size; k++) {
    const other = k + Math.floor(uniform[k] * (count - k))
    ;[indices[k], indices[other]] = [indices[other], indices[k]]
  }
  return indices.slice(0, size)
}
