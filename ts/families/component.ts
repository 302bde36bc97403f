import { basename, dirname, join } from 'node:path'
import { SadaError } from '../errors.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { Binding, Engine, GpuRef, SessionInfo, TensorInfo } from '../native/types.ts'
import { OnnxFile } from '../onnx/file.ts'
import type { DeviceEngine } from '../plan/device-engine.ts'
import type { EngineSizes } from '../plan/engine-sizes.ts'
import type { Profiles } from '../plan/profiles.ts'
import { finished } from '../sampler/abort.ts'
import type { Purpose } from '../sampler/memory.ts'
import type { Folder, JsonObject } from './folder.ts'

/** Eight halvings make one latent of 128 pixels. */
const MOST_BLOCKS = 8

/** What loading a folder's parts takes. */
export interface LoadContext {
  readonly folder: Folder
  /** On the CPU. */
  readonly engine: Engine
  readonly gpu?: GpuRef
  /** Why there is none, where one was looked for. */
  readonly withoutGpu?: string
  /** What runs the networks and autoencoders where that is not `engine`, and the sizes it shall serve. */
  readonly device?: DeviceEngine
  readonly engineSizes?: EngineSizes
  readonly threads?: number
  readonly memoryArena?: boolean
  /** Role → path of its model file or of the subfolder with it, for folders that are laid out otherwise. */
  readonly paths?: Readonly<Record<string, string | undefined>> | undefined
  /** The roles that were looked for so far. */
  readonly roles?: Set<string>
  /** `false`: networks are loaded whole also where they come in stages as well. */
  readonly stages?: boolean
}

/** A tensor as it is handed to a model, in float32. */
export interface Tensor {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

/** The engine for a part of a folder, and the GPU that its tensors have to be on. Parts without profiles run on the CPU. */
export const hostOf = ({ engine, device, gpu }: LoadContext, profiles: object | undefined): [engine: Engine, gpu?: GpuRef] =>
  device && profiles ? [device.engine, gpu] : [engine]

/** Loads a file where `hostOf` says. */
export async function loadFile(
  { folder, engine, device, threads, memoryArena }: LoadContext,
  stage: string,
  file: OnnxFile,
  profiles: Profiles | undefined,
): Promise<SessionInfo> {
  if (!device || !profiles) return file.load(engine, { threads, memoryArena })
  const { inputs, outputs } = file
  return { inputs, outputs, session: await device.load({ model: basename(folder.root), stage, file, profiles }) }
}

/** One ONNX model of a folder, with the configuration beside it. */
export class Component {
  readonly role: string
  readonly path: string
  readonly config: JsonObject
  readonly session: number
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly engine: Engine
  /** The GPU that its tensors have to be on. */
  private readonly gpu: GpuRef | undefined

  constructor(role: string, path: string, config: JsonObject, info: SessionInfo, engine: Engine, gpu?: GpuRef) {
    this.role = role
    this.path = path
    this.config = config
    this.session = info.session
    this.inputs = info.inputs
    this.outputs = info.outputs
    this.engine = engine
    this.gpu = gpu
    const unfit = info.inputs.find(({ type }) => type === 'string' || type === 'other')
    if (unfit) throw this.mismatch(`"${unfit.name}" to hold numbers`, [unfit.type])
  }

  /**
   * Loads a role; throws MODEL_NOT_FOUND where the folder lacks it. `profilesOf`: the sizes of its inputs, for parts that run on the
   * GPU where something there runs networks.
   */
  static async load(context: LoadContext, role: string, profilesOf?: (component: Component) => Profiles): Promise<Component> {
    const { folder } = context
    try {
      const relative = Component.pathOf(context, role)
      const path = await folder.file(relative)
      await folder.refuseLibraries(dirname(relative))
      const config = await Component.configOf(context, role)
      const make = (info: SessionInfo): Component => new Component(role, path, config, info, ...hostOf(context, profilesOf))
      const file = await OnnxFile.open(path, dirname(join(folder.root, relative)))
      const profiles = profilesOf?.(make({ inputs: file.inputs, outputs: file.outputs, session: -1 }))
      return make(await loadFile(context, role, file, profiles))
    } catch (error) {
      throw asSadaError(error, { stage: role })
    }
  }

  /** The configuration beside a role's model. */
  static async configOf(context: LoadContext, role: string): Promise<JsonObject> {
    try {
      return await context.folder.optionalJson(join(dirname(Component.pathOf(context, role)), 'config.json'))
    } catch (error) {
      throw asSadaError(error, { stage: role })
    }
  }

  /**
   * Throws UNSUPPORTED where the configuration beside a role's model sets one of the fields: diffusers then makes something else, which
   * nothing here follows. models/export refuses the same.
   */
  static async refuseSet(context: LoadContext, role: string, ...fields: readonly string[]): Promise<void> {
    const config = await Component.configOf(context, role)
    const field = fields.find((each) => (config[each] ?? false) !== false)
    if (field === undefined) return
    const path = join(context.folder.root, dirname(Component.pathOf(context, role)), 'config.json')
    const found = JSON.stringify(config[field]).slice(0, 60)
    throw new SadaError('UNSUPPORTED', `${path}: expected no "${field}", which is not followed here; the file has ${found}.`, {
      stage: role,
    })
  }

  /** Path of a role's model file, relative to the folder. */
  static pathOf({ paths = {}, roles }: LoadContext, role: string): string {
    roles?.add(role)
    const given = paths[role] ?? role
    return given.endsWith('.onnx') ? given : join(given, 'model.onnx')
  }

  /** Of a path that was given loading says whether it leads anywhere: a part that was asked for is not left out. */
  static async has(context: LoadContext, role: string): Promise<boolean> {
    const path = Component.pathOf(context, role)
    return context.paths?.[role] !== undefined || context.folder.has(path)
  }

  /**
   * Which of the model's inputs means what: for every meaning the names it goes by, the ones of `optional` may be missing. Throws
   * IO_MISMATCH where a meaning has no input, or an input no meaning.
   */
  meanings<R extends string, O extends string = never>(
    required: Readonly<Record<R, readonly string[]>>,
    optional = {} as Readonly<Record<O, readonly string[]>>,
  ): Record<R, string> & Partial<Record<O, string>> {
    const found = this.inputs.map(({ name }) => name)
    const named = Object.entries<readonly string[]>({ ...required, ...optional }).flatMap(([meaning, names]) => {
      const name = names.find((each) => found.includes(each))
      if (name === undefined && meaning in required) throw this.mismatch(`an input ${names.join(' or ')}`, found)
      return name === undefined ? [] : [[meaning, name] as const]
    })
    const unmet = found.find((name) => !named.some(([, known]) => known === name))
    if (unmet !== undefined) throw this.mismatch(`no input but ${named.map(([, name]) => name).join(', ')}`, found)
    return Object.fromEntries(named) as Record<R, string> & Partial<Record<O, string>>
  }

  /** A number of the configuration, `otherwise` where it has none. Throws MANIFEST_INVALID where it has something else there. */
  number(key: string, otherwise: number, from: number, to: number): number {
    const value = this.config[key] ?? otherwise
    if (typeof value === 'number' && value >= from && value <= to) return value
    throw this.invalid(key, `a number from ${from} to ${to}`)
  }

  /** `number` that has to be whole. */
  integer(key: string, otherwise: number, from: number, to: number): number {
    const value = this.config[key] ?? otherwise
    if (Number.isInteger(value)) return this.number(key, otherwise, from, to)
    throw this.invalid(key, `a whole number from ${from} to ${to}`)
  }

  /** How many blocks the configuration lists, each of which halves the size but for the last. Throws MANIFEST_INVALID. */
  blocks(otherwise: number): number {
    const { block_out_channels: blocks } = this.config
    if (blocks === undefined) return otherwise
    if (Array.isArray(blocks) && blocks.length > 0 && blocks.length <= MOST_BLOCKS) return blocks.length
    throw this.invalid('block_out_channels', `a list of 1 to ${MOST_BLOCKS}`)
  }

  invalid(key: string, expected: string): SadaError {
    const path = join(dirname(this.path), 'config.json')
    return new SadaError('MANIFEST_INVALID', `${path}: expected ${expected} at /${key}.`, { stage: this.role })
  }

  /** The name of an output that goes by one of `names`. Throws IO_MISMATCH. */
  output(...names: readonly string[]): string {
    const found = this.outputs.map(({ name }) => name)
    const name = names.find((each) => found.includes(each))
    if (name === undefined) throw this.mismatch(`an output ${names.join(' or ')}`, found)
    return name
  }

  /** A tensor of the model by its name. */
  tensor(name: string): TensorInfo {
    return [...this.inputs, ...this.outputs].find((each) => each.name === name)!
  }

  /** A fixed dimension of a tensor. Throws IO_MISMATCH where it is dynamic and nothing says how large it is. */
  dimension(name: string, axis: number, otherwise?: unknown): number {
    const { dims } = this.tensor(name)
    const size = dims.at(axis)
    if (size !== undefined && size > 0) return size
    if (typeof otherwise === 'number' && Number.isInteger(otherwise) && otherwise > 0) return otherwise
    throw this.mismatch(`"${name}" to have a known size along axis ${axis}`, [`[${dims.join(', ')}]`])
  }

  /** Throws IO_MISMATCH where the file says how many dimensions a tensor has, and it is another number. */
  expectRank(name: string, rank: number): void {
    const { dims } = this.tensor(name)
    if (dims.length > 0 && dims.length !== rank)
      throw this.mismatch(`"${name}" to have ${rank} dimensions`, [`[${dims.join(', ')}]`])
  }

  /** Throws IO_MISMATCH unless a tensor's fixed dimension is `size`. */
  expectDimension(name: string, axis: number, size: number, why: string): void {
    const { dims } = this.tensor(name)
    const found = dims.at(axis)
    if (dims.length > 0 && (found === undefined || (found > 0 && found !== size)))
      throw this.mismatch(`"${name}" to have size ${size} along axis ${axis} (${why})`, [`[${dims.join(', ')}]`])
  }

  mismatch(expected: string, found: readonly string[]): SadaError {
    const has = found.length > 0 ? found.join(', ') : 'none'
    return new SadaError('IO_MISMATCH', `${this.path}: expected ${expected}; the file has ${has}.`, { stage: this.role })
  }

  /** Evaluates the model once: `wanted` are the shapes of the outputs to compute; in planning they are zeros. */
  async evaluate<N extends string>(
    inputs: Readonly<Record<string, Tensor>>,
    wanted: Readonly<Record<N, readonly number[]>>,
    purpose: Purpose,
  ): Promise<Record<N, Float32Array>> {
    const shapes = Object.entries<readonly number[]>(wanted)
    if (purpose === 'planning')
      return Object.fromEntries(shapes.map(([name, dims]) => [name, new Float32Array(sizeOf(dims))])) as Record<N, Float32Array>
    const workspace = new (loadAddon().Workspace)(this.gpu)
    try {
      const bind = ([name, dims]: [string, readonly number[]]): Binding => ({
        name,
        tensor: workspace.allocate(sizeOf(dims)),
        offset: 0,
        dims,
      })
      const given = Object.entries(inputs).map(([name, { data, dims }]) => {
        const binding = bind([name, dims])
        workspace.write(binding.tensor, 0, data)
        return binding
      })
      const outputs = shapes.map(bind)
      const job = this.engine.run(workspace, [{ kind: 'stage', session: this.session, inputs: given, outputs }])
      await finished(job, purpose, { stage: this.role })
      const results = outputs.map(({ name, tensor, dims }) => {
        const data = new Float32Array(sizeOf(dims))
        workspace.read(tensor, 0, data)
        return [name, data]
      })
      return Object.fromEntries(results) as Record<N, Float32Array>
    } finally {
      workspace.dispose()
    }
  }
}

export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, n) => product * n, 1)
