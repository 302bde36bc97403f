import { SadaError } from '../errors.ts'
import { graphsOf } from './checks.ts'
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxTensor } from './model.ts'

/** Bits of an element, by ONNX's number of its type; 0 for those without a fixed size. Those that a model's weights can be of. */
const ELEMENT_BITS = [0, 32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 0, 0, 16, 8, 8, 8, 8, 4, 4, 4]
const MOST_DIMS = 32
/**
 * Bytes of what nodes make of constants alone, together. ONNX Runtime makes it when the model loads; masks and positions take
 * some megabytes.
 */
const MOST_MADE = 2 ** 30

/** Weights are widened to twice their bytes at most, and may be joined before. */
const WIDENING = 4
const LEAST_FOLDED = 2 ** 26

export const elementBits = (type: number): number => ELEMENT_BITS[type] ?? 0

/** Elements of a tensor. Throws SHAPE_INVALID where they cannot be counted. */
export function elementsOf(dims: readonly number[], what: string): number {
  const count = dims.includes(0) ? 0 : dims.reduce((product, n) => product * n, 1)
  const isCountable = dims.length <= MOST_DIMS && dims.every((n) => n >= 0) && count <= Number.MAX_SAFE_INTEGER
  if (isCountable) return count
  throw new SadaError(
    'SHAPE_INVALID',
    `${what} has the shape [${dims.slice(0, MOST_DIMS).join(', ')}], which no tensor can have.`,
  )
}

/** Throws SHAPE_INVALID for tensors of impossible shapes, RESOURCE_LIMIT where a small file makes large ones. */
export function checkSizes(model: OnnxModel, path: string): void {
  let made = 0
  for (const graph of graphsOf(model)) {
    const tensors = [
      ...graph.initializers,
      ...graph.nodes.flatMap(({ attributes }) => attributes.flatMap((each) => each.tensors)),
    ]
    for (const { name, dims } of tensors) elementsOf(dims, `${path}: the tensor "${name}"`)
    for (const { dims, tensors: parts } of [...graph.sparse, ...graph.nodes.flatMap(sparseOf)]) {
      made += (elementsOf(dims, `${path}: a sparse tensor`) * elementBits(parts[0]?.type ?? 1)) / 8
    }
    made += madeOf(graph, path)
    if (made > MOST_MADE) {
      const what = `makes tensors of ${Math.ceil(made / 2 ** 20)} MiB of constants when it is loaded`
      throw new SadaError('RESOURCE_LIMIT', `${path} ${what}; no model of these families needs more than ${MOST_MADE / 2 ** 20}.`)
    }
  }
}

/** Bytes of what one node should be let make of constants: some times the largest tensor of the file. */
export function mostFolded(model: OnnxModel): number {
  const bytes = model.graph.initializers.map(({ name, type, dims }) => (elementsOf(dims, name) * elementBits(type)) / 8)
  return Math.min(
    MOST_MADE,
    bytes.reduce((most, each) => Math.max(most, WIDENING * each), LEAST_FOLDED),
  )
}

export const sparseOf = ({ attributes }: OnnxNode) => attributes.flatMap(({ sparse }) => sparse)

/** Bytes of what a graph's nodes make of shapes that stand in the file. */
function madeOf(graph: OnnxGraph, path: string): number {
  const known = new Map<string, Pick<OnnxTensor, 'dims' | 'values' | 'type'>>(graph.initializers.map((each) => [each.name, each]))
  for (const { type, outputs, attributes } of graph.nodes) {
    if (type !== 'Constant') continue
    for (const { tensors, values } of attributes) known.set(outputs[0], tensors[0] ?? { dims: [values.length], type: 7, values })
  }
  return graph.nodes.reduce((sum, node) => sum + bytesOf(node, known, path), 0)
}

function bytesOf(node: OnnxNode, known: ReadonlyMap<string, Pick<OnnxTensor, 'dims' | 'values' | 'type'>>, path: string): number {
  const { type, inputs, attributes } = node
  const what = `${path}: what ${type} "${node.outputs[0]}" makes`
  const valuesOf = (index: number): readonly number[] => known.get(inputs[index])?.values ?? []
  const bytes = (dims: readonly number[], element = 1): number => (elementsOf(dims, what) * elementBits(element)) / 8
  const attribute = (name: string) => attributes.find((each) => each.name === name)
  switch (type) {
    case 'ConstantOfShape':
      return bytes(valuesOf(0), attribute('value')?.tensors[0]?.type)
    case 'Expand':
      return bytes(valuesOf(1), known.get(inputs[0])?.type)
    case 'Tile': {
      const tiled = known.get(inputs[0])
      return bytes([...(tiled?.dims ?? []), ...valuesOf(1)], tiled?.type)
    }
    case 'RandomNormal':
    case 'RandomUniform':
      return bytes(attribute('shape')?.values ?? [], attribute('dtype')?.values[0])
    case 'Range': {
      const [start, limit, delta] = [0, 1, 2].map((k) => valuesOf(k)[0])
      return bytes([Math.max(0, Math.ceil((limit - start) / delta)) || 0], 7)
    }
    default:
      return 0
  }
}
