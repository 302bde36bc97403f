// Messages of onnx.proto by hand: what no library would write has to be written as well.

export const varint = (n: number | bigint): number[] => {
  const rest = BigInt.asUintN(64, BigInt(n))
  return rest < 128n ? [Number(rest)] : [Number(rest & 0x7fn) | 0x80, ...varint(rest >> 7n)]
}

/** A field with a length. */
export const field = (number: number, content: Uint8Array | string): Buffer => {
  const bytes = Buffer.from(content)
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes])
}

/** A field with a number. */
export const integer = (number: number, value: number | bigint): Buffer => Buffer.from([...varint(number * 8), ...varint(value)])

const join = (...parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts)
const opset = (domain: string, version: number): Buffer => field(8, join(field(1, domain), integer(2, version)))

export interface NodeParts {
  readonly domain?: string
  readonly inputs?: readonly string[]
  readonly outputs?: readonly string[]
  readonly attributes?: readonly Uint8Array[]
}

/** A node of a graph (field 1) or of a function (field 7). */
export const node = (type: string, parts: NodeParts = {}, number = 1): Buffer => {
  const { domain = '', inputs = [], outputs = [], attributes = [] } = parts
  return field(
    number,
    join(
      ...inputs.map((name) => field(1, name)),
      ...outputs.map((name) => field(2, name)),
      field(4, type),
      ...attributes.map((each) => field(5, each)),
      field(7, domain),
    ),
  )
}

const KINDS = { tensor: 4, graph: 5, ints: 7 }
export const attribute = (name: string, kind: keyof typeof KINDS, content: Uint8Array): Buffer =>
  join(field(1, name), integer(20, KINDS[kind]), content)
export const inner = (name: string, ...graph: Uint8Array[]): Buffer => attribute(name, 'graph', field(6, join(...graph)))
export const integers = (name: string, values: readonly (number | bigint)[]): Buffer =>
  attribute(name, 'ints', join(...values.map((each) => integer(8, each))))

/** A tensor's content: float unless `type` says otherwise. */
export const tensor = (name: string, dims: readonly (number | bigint)[], rest: Uint8Array = Buffer.alloc(0), type = 1): Buffer =>
  join(...dims.map((n) => integer(1, n)), integer(2, type), field(8, name), rest)
export const shape = (name: string, values: readonly (number | bigint)[]): Buffer =>
  tensor(name, [values.length], field(9, Buffer.from(BigInt64Array.from(values, BigInt).buffer)), 7)
export const initializer = (content: Uint8Array): Buffer => field(5, content)
export const external = (location: string, places: Readonly<Record<string, string>> = {}): Buffer =>
  join(
    ...Object.entries({ location, ...places }).map(([key, value]) => field(13, join(field(1, key), field(2, value)))),
    integer(14, 1),
  )

/** An input (field 11) or output (field 12), of floats unless `type` says otherwise; -1 is a free size. */
export const value = (number: 11 | 12, name: string, dims: readonly number[], type = 1): Buffer => {
  const sizes = dims.map((n) => field(1, n < 0 ? field(2, `free${name}`) : integer(1, n)))
  return field(number, join(field(1, name), field(2, field(1, join(integer(1, type), field(2, join(...sizes)))))))
}

export interface FunctionParts {
  readonly inputs?: readonly string[]
  readonly outputs?: readonly string[]
}
export const functionOf = (name: string, domain: string, nodes: readonly Uint8Array[], parts: FunctionParts = {}): Buffer => {
  const { inputs = ['x'], outputs = ['y'] } = parts
  const names = join(...inputs.map((each) => field(4, each)), ...outputs.map((each) => field(5, each)))
  const opsets = [
    ['', 17],
    [domain, 1],
  ] as const
  const imports = opsets.map(([of, version]) => field(9, join(field(1, of), integer(2, version))))
  return field(25, join(field(1, name), names, ...nodes, ...imports, field(10, domain)))
}

/** A model of a graph's fields, and more fields of its own. */
export const model = (graph: readonly Uint8Array[], ...more: readonly Uint8Array[]): Buffer =>
  join(integer(1, 8), opset('', 17), opset('my.ops', 1), ...more, field(7, join(field(2, 'graph'), ...graph)))
