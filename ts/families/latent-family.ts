import { invalidArgument, type SadaError } from '../errors.ts'
import type { Engine, Workspace } from '../native/types.ts'
import { checkFinite, split } from '../sampler/latents.ts'
import type { Network } from '../sampler/network.ts'
import type { Purpose } from '../sampler/memory.ts'
import type { Schedule } from '../schedule/schedule.ts'
import { createSolver } from '../solver/solver.ts'
import { checkPicture, toSample, type Autoencoder, type LatentDistribution } from './autoencoder.ts'
import type { LoadContext } from './component.ts'
import type { Family, FamilyRequest, FamilyRun, ImageOutput, Output, Pixels, Request } from './family.ts'
import { LatentPreview } from './latent-preview.ts'
import type { Schedulers } from './scheduler.ts'
import { checkSize, type SizeRange } from './size-range.ts'
import { latentMask, noStart, startOf, type Start } from './start.ts'

/** Pixels along one side at most. */
export const LARGEST_SIDE = 8192

/** [height, width] of a run's latents. */
export type LatentSize = readonly [number, number]

/** How a network takes latents. */
export interface LatentLayout {
  /** Latents along one side of a token; default 1. */
  readonly patch?: number
  /** Where the network takes a list of tokens. */
  readonly packing?: Packing
  /** What engines on the GPU are made for. */
  readonly range?: SizeRange
}

/** Latents as a list of tokens, and back. */
export interface Packing {
  pack(latents: Float32Array, size: LatentSize): Float32Array
  unpack(packed: Float32Array, size: LatentSize): Float32Array
}

/** What a family knows of a run once its conditioning has been computed. */
export interface Conditioned {
  readonly network: Network
  readonly droppedTokens: readonly number[]
}

/** What a family makes the network of a run from. */
export interface RunInputs {
  readonly request: Request
  readonly workspace: Workspace
  readonly size: LatentSize
  readonly schedule: Schedule
  /** Latents of what the mask leaves of the picture, for each member, where the network reads them. */
  readonly kept?: readonly Float32Array[]
}

/** A family whose network works on the latents of a picture's autoencoder. */
export abstract class LatentFamily implements Family {
  abstract readonly name: string
  readonly makes: Family['makes'] = 'image'
  readonly sound?: Family['sound']
  abstract readonly size: readonly [number, number]
  abstract readonly defaults: Family['defaults']
  abstract readonly takes: readonly (keyof FamilyRequest)[]
  readonly engine: Engine
  readonly device: Family['device']
  readonly gpu: Family['gpu']
  readonly withoutGpu: Family['withoutGpu']
  protected readonly autoencoder: Autoencoder
  protected readonly schedulersOfFolder: Schedulers

  /** Latents along one side of what the network takes for a token: sides are multiples of it. */
  private readonly patch: number
  /** How latents lie for the network, where that is not as the autoencoder has them. */
  private readonly packing: Packing | undefined
  private readonly range: SizeRange | undefined

  constructor(
    { engine, device, gpu, withoutGpu }: LoadContext,
    autoencoder: Autoencoder,
    schedulers: Schedulers,
    { patch = 1, packing, range }: LatentLayout,
  ) {
    this.engine = engine
    this.device = device
    this.gpu = gpu
    this.withoutGpu = withoutGpu
    this.patch = patch
    this.packing = packing
    this.range = range
    this.autoencoder = autoencoder
    this.schedulersOfFolder = schedulers
  }

  get schedulers(): readonly string[] {
    return this.schedulersOfFolder.names
  }

  whyNot(scheduler: string): SadaError | undefined {
    return this.schedulersOfFolder.refused.get(scheduler)
  }

  async check(signal: AbortSignal): Promise<void> {
    await this.autoencoder.checkScale(signal)
  }

  async begin(request: Request, workspace: Workspace, purpose: Purpose): Promise<FamilyRun> {
    const { init, mask } = request
    if (mask !== undefined && (init === undefined || 'latents' in init))
      throw invalidArgument('init', 'a picture, which the mask is for', init)
    for (const option of ['strength', 'denoisingStart'] as const) {
      if (request[option] !== undefined && init === undefined)
        throw invalidArgument('init', `given with "${option}", which says where a run from it starts`, init)
    }
    this.autoencoder.checkTileSize(request.tileSize)
    const size = this.latentSize(request)
    if (this.range) checkSize(this.range, size)
    const schedule = this.schedule(request, size)
    const solver = createSolver(schedule)
    const length = this.autoencoder.channels * size[0] * size[1]
    if (init !== undefined) this.checkInit(init, size, request.prompts.length * length)
    const start = purpose === 'planning' ? noStart(request, length) : await this.start(request, size, schedule, length, purpose)
    const { network, droppedTokens } = await this.condition({ request, workspace, size, schedule, kept: start.kept }, purpose)
    const finish = (latents: Float32Array, signal: AbortSignal): Promise<Output> => this.decode(latents, request, size, signal)
    const drawing = new LatentPreview(this.autoencoder, this.previewColumns)
    const preview = async (denoised: Float32Array, signal: AbortSignal): Promise<ImageOutput> =>
      this.pictureOf(await drawing.draw(this.mapsOf(denoised, request, size), size, signal), size)
    return { solver, network, ...start, finish, preview, unknownWords: [], droppedTokens }
  }

  /** Throws INVALID_ARGUMENT unless a run of that size, of so many values, can start from it. */
  private checkInit(init: NonNullable<Request['init']>, size: LatentSize, values: number): void {
    if (!('latents' in init)) return checkPicture('init', init, this.pixelsOf(size))
    if (init.latents.length !== values) throw invalidArgument('init.latents', `${values} values`, init.latents)
    checkFinite('init.latents', init.latents)
  }

  private pixelsOf(size: LatentSize): [height: number, width: number] {
    return [size[0] * this.autoencoder.scale, size[1] * this.autoencoder.scale]
  }

  /** Where the members start: from noise, or from a picture. */
  private async start(
    request: Request,
    size: LatentSize,
    schedule: Schedule,
    length: number,
    signal: AbortSignal,
  ): Promise<Start> {
    const { mask } = request
    const picture = await this.encodePicture(request, size, signal)
    const kept = mask && this.readsMask ? await this.encodePicture(request, size, signal, mask) : undefined
    return startOf({
      request,
      schedule,
      length,
      picture,
      kept,
      mask: mask && latentMask(mask, size, this.autoencoder.channels),
      arrange: (latents) => this.packing?.pack(latents, size) ?? latents,
    })
  }

  /** Whether the network reads the mask, and what it leaves of the picture, beside the latents. */
  protected readonly readsMask: boolean = false

  /** The steps to make. */
  protected abstract schedule(request: Request, size: LatentSize): Schedule

  /** Reads the prompts and makes the network of the run. */
  protected abstract condition(run: RunInputs, purpose: Purpose): Promise<Conditioned>

  protected async decode(latents: Float32Array, request: Request, size: LatentSize, signal: AbortSignal): Promise<Output> {
    const samples: Float32Array[] = []
    for (const map of this.mapsOf(latents, request, size))
      samples.push(await this.autoencoder.decode(map, size, signal, request.tileSize))
    const [height, width] = this.pixelsOf(size)
    return { kind: 'image', samples, shape: [3, height, width], range: [-1, 1] }
  }

  /** Each member's latents [channels, height, width], of states as the network has them. */
  protected mapsOf(states: Float32Array, { prompts }: Request, size: LatentSize): Float32Array[] {
    return split(states, prompts.length).map((own) => this.packing?.unpack(own, size) ?? own)
  }

  /** Values of a preview along the width of a latent. */
  protected readonly previewColumns: number = 1

  /** Samples of a preview as pictures. */
  protected pictureOf(samples: readonly Float32Array[], [height, width]: LatentSize): ImageOutput {
    return { kind: 'image', samples, shape: [3, height, width], range: [-1, 1] }
  }

  /** The size of a run's latents. Throws INVALID_ARGUMENT. */
  protected latentSize(request: Request): LatentSize {
    const { init } = request
    const given = init !== undefined && !('latents' in init) ? init : undefined
    const side = (name: 'width' | 'height', preset: number): number => {
      const unit = this.autoencoder.scale * this.patch
      const { [name]: pixels = given?.[name] ?? preset } = request
      if (Number.isInteger(pixels) && pixels >= unit && pixels <= LARGEST_SIDE && pixels % unit === 0)
        return pixels / this.autoencoder.scale
      throw invalidArgument(name, `a multiple of ${unit} from ${unit} to ${LARGEST_SIDE}`, pixels)
    }
    return [side('height', this.size[1]), side('width', this.size[0])]
  }

  /** The latents of `init`; with a mask of what that leaves, grey in place of the rest. */
  private async encodePicture(
    { init, tileSize }: Request,
    size: LatentSize,
    signal: AbortSignal,
    mask?: Pixels,
  ): Promise<LatentDistribution | undefined> {
    if (init === undefined || 'latents' in init) return undefined
    const pixels = this.pixelsOf(size)
    const sample = toSample('init', init, pixels)
    if (mask) {
      const anew = latentMask(mask, pixels, 3)
      sample.forEach((value, k) => (sample[k] = anew[k] === 1 ? 0 : value))
    }
    return this.autoencoder.encode(sample, size, signal, tileSize)
  }
}

type PromptOption = 'negativePrompt' | 'secondPrompt' | 'negativeSecondPrompt'

/** One text for each prompt, where the option is given. Throws INVALID_ARGUMENT. */
export function promptsOf(request: Request, option: PromptOption): readonly string[] | undefined {
  const { [option]: given, prompts } = request
  if (given === undefined) return undefined
  if (typeof given === 'string') return prompts.map(() => given)
  const fits = Array.isArray(given) && given.every((each) => typeof each === 'string')
  if (fits && given.length === prompts.length) return given
  throw invalidArgument(option, `a string, or an array of ${prompts.length} (one for each prompt)`, given)
}

/** As in diffusers, guidance takes effect above 1. */
export const effectiveGuidance = (guidance: number): number => Math.max(1, guidance)
