import { SadaError } from '../errors.ts'
import type { OnnxFunction, OnnxGraph, OnnxModel, OnnxNode } from './model.ts'

/** Operators that ONNX Runtime itself brings. */
const DOMAINS = ['', 'ai.onnx.ml', 'ai.onnx.training', 'com.microsoft', 'com.microsoft.nchwc', 'com.ms.internal.nhwc']
/** Nodes with all functions written out. The networks of the families have some ten thousand. */
const MOST_NODES = 2 ** 16
/** Functions that call functions, and graphs within nodes; ONNX Runtime writes them out one within the other, on its stack. */
const DEEPEST_CALLS = 64

/** Every graph of a model, also those inside nodes and functions. */
export function* graphsOf(model: OnnxModel): Generator<OnnxGraph> {
  const bodies = model.functions.map(({ nodes }): OnnxGraph => ({ nodes, inputs: [], outputs: [], initializers: [], sparse: [] }))
  for (const graph of [model.graph, ...model.training, ...bodies]) yield* withInner(graph)
}

function* withInner(graph: OnnxGraph): Generator<OnnxGraph> {
  yield graph
  for (const inner of graph.nodes.flatMap(innerGraphs)) yield* withInner(inner)
}

const innerGraphs = ({ attributes }: OnnxNode): readonly OnnxGraph[] => attributes.flatMap(({ graphs }) => graphs)

/** Throws UNTRUSTED_CODE where a model asks for code other than ONNX Runtime's own. */
export function checkOperators(model: OnnxModel, path: string): void {
  const own = new Set(model.functions.map(({ domain }) => domain))
  for (const { nodes } of graphsOf(model)) {
    for (const { type, domain } of nodes) {
      if (type === 'EPContext') {
        const what = 'holds a compiled engine (an EPContext node), which can run code of its own'
        throw new SadaError('UNTRUSTED_CODE', `${path} ${what}. Use the plain ONNX model.`)
      }
      if (!DOMAINS.includes(domain) && !own.has(domain))
        throw new SadaError('UNTRUSTED_CODE', `${path} needs operators of "${domain}", which ONNX Runtime does not have.`)
    }
  }
}

/** Throws MODEL_CORRUPT where functions call themselves, MODEL_TOO_LARGE where they write out to too many nodes, or too deep. */
export function checkFunctions(model: OnnxModel, path: string): void {
  const functions = new Map<string, OnnxFunction>()
  for (const each of model.functions) functions.set(keyOf(each), each)
  if (functions.size < model.functions.length) throw new SadaError('MODEL_CORRUPT', `${path} defines a function twice.`)
  const sizes = new Map<string, Written>()
  const calling = new Set<string>()
  const sizeOf = (key: string, depth: number): Written => {
    const called = functions.get(key)
    if (called === undefined) return { nodes: 0, levels: 0 }
    if (calling.has(key)) throw new SadaError('MODEL_CORRUPT', `${path}: the function "${called.name}" calls itself.`)
    calling.add(key)
    const size = sizes.get(key) ?? written(called.nodes, depth)
    calling.delete(key)
    sizes.set(key, size)
    return size
  }
  const written = (list: readonly OnnxNode[], depth: number): Written => {
    let [nodes, levels] = [list.length, 1]
    const checkDepth = (): void => {
      if (depth + levels <= DEEPEST_CALLS) return
      const what = `functions that call functions, or branches within branches, more than ${DEEPEST_CALLS} deep`
      throw new SadaError('MODEL_TOO_LARGE', `${path} has ${what}.`)
    }
    checkDepth() // before it goes deeper: so deep goes the stack here, too
    for (const node of list) {
      const called = sizeOf(keyOf({ domain: node.domain, name: node.type }), depth + 1)
      for (const part of [called, ...innerGraphs(node).map((graph) => written(graph.nodes, depth + 1))]) {
        nodes += part.nodes
        levels = Math.max(levels, part.levels + 1)
      }
    }
    checkDepth() // with what was known already, in whatever order functions stand in the file
    return { nodes, levels }
  }
  const most = [...functions.keys()].reduce((found, key) => Math.max(found, sizeOf(key, 0).nodes), 0)
  const total = most + written(model.graph.nodes, 0).nodes
  if (total > MOST_NODES)
    throw new SadaError('MODEL_TOO_LARGE', `${path} has ${total} nodes with its functions written out; at most ${MOST_NODES}.`)
}

/** Nodes of a list with all functions written out, and how many lists lie one within the other. */
interface Written {
  readonly nodes: number
  readonly levels: number
}

const keyOf = ({ domain, name }: Pick<OnnxFunction, 'domain' | 'name'>): string => `${domain}\0${name}`

/** Throws MODEL_CORRUPT where what a node reads depends on what it makes. */
export function checkOrder(model: OnnxModel, path: string): void {
  for (const { nodes } of graphsOf(model)) {
    const makers = new Map<string, number>()
    for (const [k, { outputs }] of nodes.entries()) for (const name of outputs) if (name !== '') makers.set(name, k)
    const waiting = nodes.map(() => 0)
    const readers = nodes.map((): number[] => [])
    for (const [k, node] of nodes.entries()) {
      for (const name of readsOf(node)) {
        const maker = makers.get(name)
        if (maker === undefined) continue
        readers[maker].push(k)
        waiting[k]++
      }
    }
    const ready = [...nodes.keys()].filter((k) => waiting[k] === 0)
    // `ready` grows while it is gone through.
    for (const done of ready) for (const reader of readers[done]) if (--waiting[reader] === 0) ready.push(reader)
    if (ready.length === nodes.length) continue
    const { outputs } = nodes[waiting.findIndex((count) => count > 0)]
    throw new SadaError('MODEL_CORRUPT', `${path}: what makes "${outputs[0]}" depends on itself.`)
  }
}

/** Names that a node reads of the graph around it, by itself and in its inner graphs. */
function readsOf(node: OnnxNode): Set<string> {
  const names = new Set(node.inputs)
  for (const graph of innerGraphs(node)) {
    const own = new Set([
      ...graph.inputs.map((each) => each.name),
      ...graph.initializers.map(({ name }) => name),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ])
    for (const inner of graph.nodes) for (const name of readsOf(inner)) if (!own.has(name)) names.add(name)
  }
  return names
}
