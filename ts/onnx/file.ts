import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { SadaError } from '../errors.ts'
import { networkThreads } from '../native/threads.ts'
import type { Engine, ExternalTensor, SessionInfo, SessionOptions, TensorInfo } from '../native/types.ts'
import { checkFunctions, checkOperators, checkOrder, graphsOf } from './checks.ts'
import { readOnnxModel, type OnnxModel, type OnnxNode, type OnnxTensor } from './model.ts'
import { checkRelative, checkUnchanged, openRegular, readRegular, type RegularFile } from './regular-file.ts'
import { checkSizes, elementBits, elementsOf, mostFolded, sparseOf } from './sizes.ts'

/** What a protobuf can have. */
const MOST_BYTES = 2 ** 31 - 1
/** ONNX Runtime's mark for weights that lie in memory, at the address that the file would then say. */
const IN_MEMORY = '_ORT_MEM_ADDR_'

/**
 * A model file of a folder from anywhere: read once, so that the bytes that are checked are the ones that an engine gets. The engine opens
 * nothing by itself; weights in other files are read for it.
 */
export class OnnxFile {
  readonly path: string
  readonly bytes: Buffer
  /** As the file declares them. */
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  private readonly external: readonly OnnxTensor[]
  private readonly weightsFolder: string | undefined
  private readonly mostFolded: number
  private readonly convolves: boolean

  private constructor(path: string, bytes: Buffer, model: OnnxModel, weightsFolder: string | undefined) {
    const { inputs, outputs, initializers } = model.graph
    // Old files list weights among the inputs.
    const weights = new Set(initializers.map(({ name }) => name))
    this.path = path
    this.bytes = bytes
    this.inputs = inputs.filter(({ name }) => !weights.has(name))
    this.outputs = outputs
    this.external = externalOf(model, path)
    this.weightsFolder = weightsFolder
    this.mostFolded = mostFolded(model)
    this.convolves = [...graphsOf(model)].some(({ nodes }) =>
      nodes.some(({ type }) => type === 'Conv' || type === 'ConvTranspose'),
    )
  }

  /**
   * Reads and checks the file at a real path; `weightsFolder` is where its weights may lie, none given: in itself alone. Throws MODEL_NOT_FOUND,
   * MODEL_CORRUPT, MODEL_TOO_LARGE, MODEL_CHANGED, SHAPE_INVALID, RESOURCE_LIMIT, UNTRUSTED_CODE, UNSUPPORTED, PATH_ESCAPE, PATH_UNSAFE.
   */
  static async open(path: string, weightsFolder?: string): Promise<OnnxFile> {
    const bytes = await readModelBytes(path)
    const model = readOnnxModel(bytes, path)
    checkOperators(model, path)
    checkFunctions(model, path)
    checkOrder(model, path)
    checkSizes(model, path)
    const file = new OnnxFile(path, bytes, model, weightsFolder)
    if (file.external.length > 0 && weightsFolder !== dirname(path)) {
      const hint = 'Copy the folder with its links followed (cp -rL), or download it with --local-dir.'
      const what = weightsFolder === undefined ? 'which its plan.json does not provide for' : `but is a link. ${hint}`
      throw new SadaError(
        'PATH_UNSAFE',
        `${join(weightsFolder ?? dirname(path), basename(path))} keeps weights in files beside it, ${what}`,
      )
    }
    return file
  }

  get sha256(): string {
    return createHash('sha256').update(this.bytes).digest('hex')
  }

  /** Loads the model; its bytes are gone then. Rejects with what `Engine.load` does, MODEL_NOT_FOUND, PATH_ESCAPE, PATH_UNSAFE, RESOURCE_LIMIT or MODEL_CHANGED. */
  async load(engine: Engine, settings: Pick<SessionOptions, 'threads' | 'memoryArena'>): Promise<SessionInfo> {
    const { bytes, mostFolded, convolves } = this
    const threads = networkThreads(settings.threads)
    return this.withWeights((weights) =>
      engine.load({ ...settings, threads, bytes, detach: true, weights, mostFolded, convolves }),
    )
  }

  /** Does something with the weights in other files, which are open meanwhile. Rejects with MODEL_CHANGED where they are not what they were. */
  async withWeights<T>(use: (weights: readonly ExternalTensor[], files: readonly RegularFile[]) => Promise<T>): Promise<T> {
    const files = new Map<string, RegularFile>()
    try {
      const weights: ExternalTensor[] = []
      for (const tensor of this.external) weights.push(await this.placeOf(tensor, files))
      checkMemory(weights, this.path)
      const made = await use(weights, [...files.values()])
      for (const file of files.values()) await checkUnchanged(file)
      return made
    } finally {
      for (const { handle } of files.values()) await handle.close()
    }
  }

  /** Where a tensor lies; its file is opened, and kept in `files`. */
  private async placeOf({ name, type, dims, external }: OnnxTensor, files: Map<string, RegularFile>): Promise<ExternalTensor> {
    const location = external!.get('location') ?? ''
    if (location.includes(IN_MEMORY)) throw new SadaError('PATH_UNSAFE', `${this.path} keeps weights at an address in memory.`)
    const path = join(this.weightsFolder!, checkRelative(location))
    let file = files.get(path)
    if (file === undefined) files.set(path, (file = await this.openWeights(path)))
    const what = `${this.path}: the tensor "${name}"`
    const bits = elementBits(type)
    if (bits === 0) throw new SadaError('UNSUPPORTED', `${what} is of a type (${type}) that cannot lie in another file.`)
    const bytes = Math.ceil((elementsOf(dims, what) * bits) / 8)
    const [offset, length] = [numberOf(external!, 'offset', 0), numberOf(external!, 'length', bytes)]
    if (length !== bytes) throw new SadaError('MODEL_CORRUPT', `${what} has ${length} bytes; its shape takes ${bytes}.`)
    if (!(offset + bytes <= Number(file.found.size)))
      throw new SadaError('MODEL_CORRUPT', `${what} ends at byte ${offset + bytes}; ${path} has ${file.found.size}.`)
    return { name, type, dims, path, descriptor: file.handle.fd, offset, bytes }
  }

  /** As the onnx package has it: no link, no second name, which could be that of a file elsewhere. */
  private async openWeights(path: string): Promise<RegularFile> {
    await this.checkSubfolder(dirname(path))
    const file = await openRegular(path).catch((error: unknown) => {
      const isMissing = error instanceof SadaError && error.code === 'MODEL_NOT_FOUND'
      throw isMissing
        ? new SadaError('MODEL_NOT_FOUND', `${path} does not exist; ${basename(this.path)} keeps its weights there.`)
        : error
    })
    if (file.found.nlink === 1n) return file
    await file.handle.close()
    const what = 'has another name somewhere else (a hard link); copy it to make it this folder’s own'
    throw new SadaError('PATH_UNSAFE', `${path} ${what}.`)
  }

  /** A folder below the model's own is no link either: what is opened in it would lie elsewhere. */
  private async checkSubfolder(subfolder: string): Promise<void> {
    const below = relative(this.weightsFolder!, subfolder)
    if (below === '') return
    const real = await realpath(subfolder).catch(() => undefined)
    // One that does not exist is said when its file is opened.
    if (real === undefined || real === join(await realpath(this.weightsFolder!), below)) return
    throw new SadaError(
      'PATH_UNSAFE',
      `${subfolder} is a link, or lies behind one, to ${real}. Copy the folder with its weights.`,
    )
  }
}

async function readModelBytes(path: string): Promise<Buffer> {
  try {
    return await readRegular(path, MOST_BYTES)
  } catch (error) {
    if (!(error instanceof SadaError) || error.code !== 'MODEL_TOO_LARGE') throw error
    throw new SadaError('MODEL_TOO_LARGE', `${error.message} Save the model with external data.`, { cause: error })
  }
}

/**
 * The tensors that lie in other files: of the graph itself, its initializers and what its `Constant` nodes hold, which engines know by the name of their output.
 * Throws UNSUPPORTED for others, which engines would open themselves.
 */
function externalOf(model: OnnxModel, path: string): OnnxTensor[] {
  const isExternal = ({ external }: OnnxTensor): boolean => external !== undefined
  const isConstant = ({ type, domain }: OnnxNode): boolean => type === 'Constant' && domain === ''
  const held = model.graph.nodes
    .filter(isConstant)
    .flatMap(({ outputs: [name = ''], attributes }) =>
      attributes.flatMap(({ tensors }) => tensors.map((tensor) => ({ ...tensor, name }))),
    )
  for (const graph of graphsOf(model)) {
    const isOwn = graph === model.graph
    const nodes = isOwn ? graph.nodes.filter((node) => !isConstant(node)) : graph.nodes
    const all = [...graph.nodes.flatMap(sparseOf), ...graph.sparse].flatMap(({ tensors }) => tensors)
    const inNodes = nodes.flatMap(({ attributes }) => attributes.flatMap(({ tensors }) => tensors))
    const wrong = [...all, ...inNodes, ...(isOwn ? [] : graph.initializers)].find(isExternal)
    if (wrong === undefined) continue
    const what = 'lies in another file; only initializers and constants of the graph itself can'
    throw new SadaError('UNSUPPORTED', `${path}: the tensor "${wrong.name}" ${what}.`)
  }
  return [...model.graph.initializers, ...held].filter(isExternal)
}

function numberOf(external: ReadonlyMap<string, string>, key: string, otherwise: number): number {
  const written = external.get(key)
  return written === undefined ? otherwise : /^\d{1,15}$/.test(written) ? Number(written) : NaN
}

/** A file may have holes, which take no room on the disk but all of it in memory. */
function checkMemory(weights: readonly ExternalTensor[], path: string): void {
  const bytes = weights.reduce((sum, each) => sum + each.bytes, 0)
  const most = Math.min(totalmem(), process.constrainedMemory() || Infinity)
  if (bytes > most)
    throw new SadaError('RESOURCE_LIMIT', `${path} has ${bytes} bytes of weights; this machine has ${most} of memory.`)
}
