import type { TensorInfo } from '../native/types.ts'
import { WireReader } from './wire.ts'

// What an ONNX file asks for, without its weights. Field numbers are those of onnx.proto.

export interface OnnxTensor {
  readonly name: string
  /** ONNX's number of the element type. */
  readonly type: number
  readonly dims: readonly number[]
  /** Its values where it is a short list of whole numbers, as shapes are. */
  readonly values?: readonly number[]
  /** `location`, `offset` and `length` where its bytes lie in another file. */
  readonly external?: ReadonlyMap<string, string>
}

export interface OnnxNode {
  readonly type: string
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: readonly OnnxAttribute[]
}

export interface OnnxAttribute {
  readonly name: string
  readonly values: readonly number[]
  readonly tensors: readonly OnnxTensor[]
  readonly graphs: readonly OnnxGraph[]
  readonly sparse: readonly OnnxSparse[]
}

/** A tensor given by some of its elements; all of them are made when the model loads. */
export interface OnnxSparse {
  readonly dims: readonly number[]
  readonly tensors: readonly OnnxTensor[]
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[]
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly initializers: readonly OnnxTensor[]
  readonly sparse: readonly OnnxSparse[]
}

export interface OnnxFunction {
  readonly name: string
  readonly domain: string
  readonly nodes: readonly OnnxNode[]
}

export interface OnnxModel {
  readonly graph: OnnxGraph
  /** Graphs of training, which inference has no use for, but reads. */
  readonly training: readonly OnnxGraph[]
  readonly functions: readonly OnnxFunction[]
}

/** Lists that could be shapes are at most so long. */
const LONGEST_SHAPE = 64
const INT32 = 6
const INT64 = 7
/** Protobuf cuts larger numbers of types to 32 bits. */
const MOST_INT32 = 2 ** 31 - 1

/** Reads the bytes of a model file. Throws MODEL_CORRUPT, MODEL_TOO_LARGE. */
export function readOnnxModel(bytes: Buffer, path: string): OnnxModel {
  const reader = new WireReader(bytes, path)
  if (bytes.length === 0) throw reader.corrupt('it is empty')
  const graphs: OnnxGraph[] = []
  const [training, functions]: [OnnxGraph[], OnnxFunction[]] = [[], []]
  reader.message(reader.size, (field, end) => {
    if (field === 7) graphs.push(readGraph(reader, end))
    else if (field === 20) readTraining(reader, end, training)
    else if (field === 25) functions.push(readFunction(reader, end))
  })
  // Protobuf would join several into one, which are then not what each of them looked like.
  if (graphs.length !== 1) throw reader.corrupt(`it has ${graphs.length} graphs`)
  return { graph: graphs[0], training, functions }
}

function readTraining(reader: WireReader, end: number, into: OnnxGraph[]): void {
  const once = onceOf(reader, [1, 2], 'training')
  reader.message(end, (field, to) => {
    once(field)
    if (field <= 2) into.push(readGraph(reader, to))
  })
}

/** Refuses the second message of a field that has one: protobuf joins them into what none of them looked like. */
function onceOf(reader: WireReader, single: readonly number[], what: string): (field: number) => void {
  const seen = new Set<number>()
  return (field) => {
    if (!single.includes(field)) return
    if (seen.has(field)) throw reader.corrupt(`${what} holds twice what it has once`)
    seen.add(field)
  }
}

function readFunction(reader: WireReader, end: number): OnnxFunction {
  const nodes: OnnxNode[] = []
  let [name, domain] = ['', '']
  reader.message(end, (field, to) => {
    if (field === 1) name = reader.string(to)
    else if (field === 7) nodes.push(readNode(reader, to))
    else if (field === 10) domain = domainOf(reader.string(to))
    else if (field === 11) readAttribute(reader, to)
    else if (field === 12) readValue(reader, to)
  })
  return { name, domain, nodes }
}

function readGraph(reader: WireReader, end: number): OnnxGraph {
  const nodes: OnnxNode[] = []
  const [inputs, outputs]: [TensorInfo[], TensorInfo[]] = [[], []]
  const [initializers, sparse]: [OnnxTensor[], OnnxSparse[]] = [[], []]
  reader.message(end, (field, to) => {
    if (field === 1) nodes.push(readNode(reader, to))
    else if (field === 5) initializers.push(readTensor(reader, to))
    else if (field === 11) inputs.push(readValue(reader, to))
    else if (field === 12) outputs.push(readValue(reader, to))
    else if (field === 13) readValue(reader, to)
    else if (field === 15) sparse.push(readSparse(reader, to))
  })
  return { nodes, inputs, outputs, initializers, sparse }
}

function readNode(reader: WireReader, end: number): OnnxNode {
  const [inputs, outputs, attributes]: [string[], string[], OnnxAttribute[]] = [[], [], []]
  let [type, domain] = ['', '']
  reader.message(end, (field, to) => {
    if (field === 1) inputs.push(reader.string(to))
    else if (field === 2) outputs.push(reader.string(to))
    else if (field === 4) type = reader.string(to)
    else if (field === 5) attributes.push(readAttribute(reader, to))
    else if (field === 7) domain = domainOf(reader.string(to))
  })
  return { type, domain, inputs, outputs, attributes }
}

function readAttribute(reader: WireReader, end: number): OnnxAttribute {
  const [values, tensors]: [number[], OnnxTensor[]] = [[], []]
  const [graphs, sparse]: [OnnxGraph[], OnnxSparse[]] = [[], []]
  let name = ''
  const once = onceOf(reader, [5, 6, 14, 22], 'an attribute')
  reader.message(end, (field, to, value) => {
    once(field)
    if (field === 1) name = reader.string(to)
    else if (field === 3 || field === 8) values.push(...reader.numbers(to, value, LONGEST_SHAPE))
    else if (field === 5 || field === 10) tensors.push(readTensor(reader, to))
    else if (field === 6 || field === 11) graphs.push(readGraph(reader, to))
    else if (field === 14 || field === 15) readType(reader, to)
    else if (field === 22 || field === 23) sparse.push(readSparse(reader, to))
  })
  return { name, values, tensors, graphs, sparse }
}

function readSparse(reader: WireReader, end: number): OnnxSparse {
  const [dims, tensors]: [number[], OnnxTensor[]] = [[], []]
  const once = onceOf(reader, [1, 2], 'a sparse tensor')
  reader.message(end, (field, to, value) => {
    once(field)
    if (field === 1 || field === 2) tensors.push(readTensor(reader, to))
    else if (field === 3) dims.push(...reader.numbers(to, value, LONGEST_SHAPE))
  })
  return { dims, tensors }
}

function readTensor(reader: WireReader, end: number): OnnxTensor {
  const [dims, listed]: [number[], number[]] = [[], []]
  const external = new Map<string, string>()
  let [name, type, isExternal] = ['', 0, false]
  let raw: Buffer | undefined
  reader.message(end, (field, to, value) => {
    if (field === 1) dims.push(...reader.numbers(to, value, LONGEST_SHAPE))
    else if (field === 2) type = value ?? type
    else if (field === 5 || field === 7) listed.push(...reader.numbers(to, value, LONGEST_SHAPE))
    else if (field === 8) name = reader.string(to)
    else if (field === 9) raw = reader.content(to)
    else if (field === 13) readEntry(reader, to, external)
    else if (field === 14) isExternal ||= value === 1
  })
  if (Math.abs(type) > MOST_INT32) throw reader.corrupt(`the tensor "${name}" is of the type ${type}`)
  const values = type !== INT32 && type !== INT64 ? undefined : raw ? wholeNumbers(raw, type) : listed
  return { name, type, dims, values, ...((isExternal || external.size > 0) && { external }) }
}

function wholeNumbers(raw: Buffer, type: number): number[] | undefined {
  const width = type === INT64 ? 8 : 4
  if (raw.length > LONGEST_SHAPE * width) return undefined
  const at = (k: number): number => (type === INT64 ? Number(raw.readBigInt64LE(k * 8)) : raw.readInt32LE(k * 4))
  return Array.from({ length: Math.floor(raw.length / width) }, (_, k) => at(k))
}

function readEntry(reader: WireReader, end: number, into: Map<string, string>): void {
  let [key, value] = ['', '']
  reader.message(end, (field, to) => {
    if (field === 1) key = reader.string(to)
    else if (field === 2) value = reader.string(to)
  })
  if (into.has(key)) throw reader.corrupt(`a tensor says twice what its "${key}" is`)
  into.set(key, value)
}

/** An input, an output or what lies between: its name, and of a tensor its type and dimensions. */
function readValue(reader: WireReader, end: number): TensorInfo {
  let [name, tensor] = ['', NO_TENSOR]
  reader.message(end, (field, to) => {
    if (field === 1) name = reader.string(to)
    else if (field === 2) tensor = readType(reader, to)
  })
  return { name, ...tensor }
}

const NO_TENSOR: Omit<TensorInfo, 'name'> = { type: 'other', dims: [], symbols: [] }

function readType(reader: WireReader, end: number): Omit<TensorInfo, 'name'> {
  let tensor = NO_TENSOR
  reader.message(end, (kind, to) => {
    // Sequences, maps and optional values hold types themselves; tensors do not.
    if (kind === 1) tensor = readTensorType(reader, to)
    else if (kind === 4 || kind === 5 || kind === 9) reader.message(to, (field, e) => field <= 2 && readType(reader, e))
  })
  return tensor
}

function readTensorType(reader: WireReader, end: number): Omit<TensorInfo, 'name'> {
  let type: TensorInfo['type'] = 'other'
  const [dims, symbols]: [number[], string[]] = [[], []]
  reader.message(end, (field, to, value) => {
    if (field === 1) type = TYPES[value ?? 0] ?? 'other'
    else if (field === 2) {
      reader.message(to, (f, e) => {
        if (f === 1) readDimension(reader, e, dims, symbols)
      })
    }
  })
  return { type, dims, symbols }
}

function readDimension(reader: WireReader, end: number, dims: number[], symbols: string[]): void {
  let [size, symbol] = [-1, '']
  reader.message(end, (field, to, value) => {
    if (field === 1) size = Math.max(-1, value ?? -1)
    else if (field === 2) symbol = reader.string(to)
  })
  dims.push(size)
  symbols.push(symbol)
}

/** TensorProto.DataType. */
const TYPES: Readonly<Record<number, TensorInfo['type']>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  16: 'bfloat16',
}

/** The default domain has two names. */
const domainOf = (written: string): string => (written === 'ai.onnx' ? '' : written)
