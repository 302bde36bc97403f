import { join } from 'node:path'
import { checkNames, checkThreads, invalidArgument, SadaError, unknownName } from '../errors.ts'
import { Folder } from '../families/folder.ts'
import { TextTokenizer } from '../families/tokenizers.ts'
import { asSadaError, findOnnxRuntime, loadAddon } from '../native/load.ts'
import { networkThreads } from '../native/threads.ts'
import type { Binding, Engine, NativeAddon, Workspace } from '../native/types.ts'
import { CONVERTERS, readNetwork, unavailable, type NetworkName, type Sidecar, type Unavailable } from './network-files.ts'

/** A float32 tensor as an engine takes and gives it. */
export interface Tensor {
  readonly dims: readonly number[]
  /** The last dimension runs fastest. */
  readonly values: Float32Array
}

/** A network that can be run. */
export interface Network<N extends NetworkName> {
  /** Where its files are. */
  readonly folder: string
  /** What its `<name>.json` says. */
  readonly sidecar: Sidecar<N>
  /**
   * Runs one of its graphs. `outputs`: what to return, with the shapes the graph gives for these inputs. Rejects with INVALID_ARGUMENT, UNKNOWN_NAME,
   * NETWORK_FAILED, IO_MISMATCH, OUT_OF_MEMORY or DISPOSED.
   */
  run(
    graph: keyof Sidecar<N>['graphs'] & string,
    inputs: Readonly<Record<string, Tensor>>,
    outputs: Readonly<Record<string, readonly number[]>>,
  ): Promise<Record<string, Float32Array>>
}

/** Where networks are found, and how they run. */
export interface NetworksOptions {
  /** Where the converters put their networks. Left out: metrics that need one are unavailable. */
  readonly folder?: string | undefined
  /** Take networks from other weights than the published ones too. Their values compare with nothing published. Default false. */
  readonly allowUnpublished?: boolean | undefined
  /** Threads inside one operator, at most 1024; 0, the default: one per physical core, or per CPU that the process may use where those are fewer. */
  readonly threads?: number | undefined
}

/** The networks of a folder, each opened when it is first asked for, on one engine. */
export class MetricNetworks {
  private readonly options: NetworksOptions
  private readonly opened = new Map<NetworkName, Promise<unknown>>()
  private engine: Engine | undefined
  private isDisposed = false

  /** Throws INVALID_ARGUMENT. */
  constructor(options: NetworksOptions = {}) {
    checkOptions(options)
    this.options = options
  }

  /** The network, or why there is none. Rejects with DISPOSED, where `dispose` comes while it is opened too, or with UNKNOWN_NAME. */
  async open<N extends NetworkName>(name: N): Promise<Network<N> | Unavailable> {
    this.checkUsable()
    if (!Object.hasOwn(CONVERTERS, name)) throw unknownName('network', name, Object.keys(CONVERTERS), 'name')
    const known = this.opened.get(name) as Promise<Network<N> | Unavailable> | undefined
    if (known !== undefined) return known
    const opening = this.load(name)
    this.opened.set(name, opening)
    return opening
  }

  /** Releases the engine. Idempotent. */
  async dispose(): Promise<void> {
    const { engine } = this
    this.isDisposed = true
    this.engine = undefined
    this.opened.clear()
    await engine?.dispose()
  }

  private checkUsable(): void {
    if (this.isDisposed) throw new SadaError('DISPOSED', 'These networks have been disposed; new MetricNetworks() opens others.')
  }

  private async load<N extends NetworkName>(name: N): Promise<Network<N> | Unavailable> {
    const { folder, allowUnpublished = false, threads } = this.options
    const sidecar = await readNetwork(folder, name, allowUnpublished)
    if ('unavailable' in sidecar) return sidecar
    try {
      // No sum is known of its files.
      if ('tokenizer' in sidecar) await TextTokenizer.load(await Folder.open(folder!), sidecar.tokenizer)
      this.checkUsable() // an engine made from here on would be released by nobody
      const addon = loadAddon()
      const engine = (this.engine ??= new addon.Engine({ library: findOnnxRuntime() }))
      const sessions = new Map<string, number>()
      for (const [graph, { file }] of Object.entries(sidecar.graphs)) {
        const { session } = await engine.load({ path: join(folder!, file), threads: networkThreads(threads) })
        sessions.set(graph, session)
      }
      return {
        folder: folder!,
        sidecar,
        run: async (graph, inputs, outputs) => {
          const session = sessions.get(graph)
          if (session === undefined) throw unknownName('graph', graph, [...sessions.keys()])
          return runGraph(addon, engine, session, inputs, outputs)
        },
      }
    } catch (error) {
      const known = asSadaError(error)
      if (!(known instanceof SadaError)) throw error
      this.checkUsable() // its end is no damage
      return unavailable(known.code === 'BACKEND_UNAVAILABLE' ? 'no-engine' : 'damaged-weights', known.message)
    }
  }
}

function checkOptions(options: NetworksOptions): void {
  checkNames(options, { folder: true, allowUnpublished: true, threads: true })
  const { folder, allowUnpublished, threads } = options
  if (folder !== undefined && typeof folder !== 'string') throw invalidArgument('folder', 'the path of a folder', folder)
  if (allowUnpublished !== undefined && typeof allowUnpublished !== 'boolean')
    throw invalidArgument('allowUnpublished', 'true or false', allowUnpublished)
  checkThreads(threads)
}

async function runGraph(
  addon: NativeAddon,
  engine: Engine,
  session: number,
  inputs: Readonly<Record<string, Tensor>>,
  outputs: Readonly<Record<string, readonly number[]>>,
): Promise<Record<string, Float32Array>> {
  const workspace = new addon.Workspace()
  try {
    const given = Object.entries(inputs).map(([name, { dims, values }]) => {
      if (values.length !== elements(dims)) throw invalidArgument(`inputs.${name}.values`, `${elements(dims)} values`, values)
      const binding = allocate(workspace, name, dims)
      workspace.write(binding.tensor, 0, values)
      return binding
    })
    const made = Object.entries(outputs).map(([name, dims]) => allocate(workspace, name, dims))
    await engine.run(workspace, [{ kind: 'stage', session, inputs: given, outputs: made }]).done
    return Object.fromEntries(
      made.map(({ name, tensor, dims }) => {
        const values = new Float32Array(elements(dims))
        workspace.read(tensor, 0, values)
        return [name, values]
      }),
    )
  } catch (error) {
    throw asSadaError(error)
  } finally {
    workspace.dispose()
  }
}

function allocate(workspace: Workspace, name: string, dims: readonly number[]): Binding {
  return { name, tensor: workspace.allocate(elements(dims)), offset: 0, dims }
}

const elements = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1)
