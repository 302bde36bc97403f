import { invalidArgument } from '../errors.ts'
import type { Schedule } from '../schedule/schedule.ts'
import { unwritten } from '../sampler/latents.ts'
import type { Purpose } from '../sampler/memory.ts'
import { Autoencoder, checkPicture, toSample } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { checkControls, ControlledNetwork, type ControlNet } from './controlnet.ts'
import type { JsonObject } from './folder.ts'
import { denoiser, type Conditioning } from './denoiser.ts'
import type { FamilyRequest, Pixels, Request } from './family.ts'
import { RescaledNetwork } from './guidance-rescale.ts'
import {
  effectiveGuidance,
  LARGEST_SIDE,
  LatentFamily,
  type Conditioned,
  type LatentSize,
  type RunInputs,
} from './latent-family.ts'
import type { NetworkPlan } from './network-plan.ts'
import { latentMask } from './start.ts'
import { residualShapes } from './input-shapes.ts'
import { scheduleFor, type Schedulers } from './scheduler.ts'
import { sizeRange, type SizeRange } from './size-range.ts'

export interface UnetParts {
  readonly name: string
  readonly unet: Component
  readonly plan?: NetworkPlan
  readonly range?: SizeRange
  readonly autoencoder: Autoencoder
  readonly schedulers: Schedulers
  readonly controlNets: readonly ControlNet[]
  /** Names of the UNet's inputs for the state and the time. */
  readonly inputs: { readonly sample: string; readonly time: string }
  readonly guidance: number
}

export const UNET_INPUTS = { sample: ['sample'], time: ['timestep', 'timesteps', 't'] }
export const PICTURE_OPTIONS = [
  'negativePrompt',
  'width',
  'height',
  'init',
  'strength',
  'mask',
  'guidanceRescale',
  'tileSize',
] as const

/** Latents of a picture where nothing else is asked: one number for both sides, or height and width; undefined where it is neither. */
function ownSize({ sample_size: given }: JsonObject, scale: number): LatentSize | undefined {
  const own: unknown[] = Array.isArray(given) ? given : [given ?? 64, given ?? 64]
  const fits = own.length === 2 && own.every((n) => Number.isInteger(n) && Number(n) >= 1 && Number(n) * scale <= LARGEST_SIDE)
  return fits ? (own as [number, number]) : undefined
}

/** The sizes of pictures that engines serve. `length`: tokens of a prompt. */
export async function unetRange(context: LoadContext, length: number): Promise<SizeRange | undefined> {
  const scale = await Autoencoder.scaleOf(context)
  // What is no size is refused when the network has been loaded.
  const own = ownSize(await Component.configOf(context, 'unet'), scale) ?? [64, 64]
  return sizeRange(context, scale, { own, length: [length, length] })
}

/** A ControlNet's picture, from 0 to 1. Throws INVALID_ARGUMENT unless it has that size. */
function toControl(image: Pixels, size: readonly [number, number], purpose: Purpose): Float32Array {
  checkPicture('control.image', image, size)
  if (purpose === 'planning') return unwritten(1, 3 * size[0] * size[1])[0]
  return toSample('control.image', image, size).map((value) => (value + 1) / 2)
}

/** The conditioning of a run by the names of the UNet's inputs. */
export interface UnetConditioning {
  readonly tensors: Readonly<Record<string, Conditioning>>
  readonly droppedTokens: readonly number[]
}

/** A family whose network is diffusers' UNet2DConditionModel. */
export abstract class UnetFamily extends LatentFamily {
  readonly name: string
  readonly size: readonly [number, number]
  readonly defaults: LatentFamily['defaults']
  readonly takes: readonly (keyof FamilyRequest)[]
  protected readonly unet: Component
  protected override readonly readsMask: boolean
  private readonly parts: UnetParts
  private readonly output: string

  constructor(context: LoadContext, parts: UnetParts, takes: readonly (keyof FamilyRequest)[]) {
    const { name, unet, autoencoder, schedulers, controlNets, inputs, guidance } = parts
    super(context, autoencoder, schedulers, { range: parts.range })
    this.name = name
    this.unet = unet
    this.parts = parts
    this.takes = controlNets.length > 0 ? [...takes, 'control'] : takes
    this.output = unet.output('out_sample', 'sample_out', 'noise_pred')
    unet.expectRank(inputs.sample, 4)
    unet.expectRank(this.output, 4)
    const { channels } = autoencoder
    // The latents, the mask, and the latents of what is kept.
    this.readsMask = unet.dimension(inputs.sample, 1, unet.config.in_channels ?? channels) === 2 * channels + 1
    if (!this.readsMask) unet.expectDimension(inputs.sample, 1, channels, 'the channels of the autoencoder')
    const { scale } = autoencoder
    const own = ownSize(unet.config, scale)
    if (own === undefined)
      throw unet.invalid('sample_size', `a whole number from 1 to ${LARGEST_SIDE / scale}, or a pair of them`)
    this.size = [own[1] * scale, own[0] * scale]
    this.defaults = { scheduler: schedulers.own, steps: 50, guidance }
    if (controlNets.length > 0) residualShapes(unet, [64, 64])
  }

  /** Reads the prompts of a run. */
  protected abstract readPrompts(
    request: Request,
    guidance: number,
    size: LatentSize,
    purpose: Purpose,
  ): Promise<UnetConditioning>

  /** The mask and the latents of what it leaves, for each member, where the network reads them. */
  private beside({ request, size, kept }: RunInputs, purpose: Purpose): Float32Array[] | undefined {
    const { prompts, mask } = request
    if (!this.readsMask) return undefined
    if (mask === undefined || kept === undefined)
      throw invalidArgument('mask', 'given, and "init": this network makes parts of pictures anew', mask)
    if (purpose === 'planning') return unwritten(prompts.length, size[0] * size[1] + kept[0].length)
    const white = latentMask(mask, size, 1)
    return prompts.map((_, b) => Float32Array.from([...white, ...kept[b]]))
  }

  protected schedule(request: Request): Schedule {
    return scheduleFor(this.schedulersOfFolder.configOf(request.scheduler), request, { steps: request.steps })
  }

  protected async condition(run: RunInputs, purpose: Purpose): Promise<Conditioned> {
    const { request, workspace, size, schedule } = run
    const { unet, autoencoder, parts } = this
    const { channels } = autoencoder
    const { controlNets: nets, inputs } = parts
    const { control: controls = [] } = request
    checkControls(controls, nets, request.prompts.length)
    const pixels = [size[0] * autoencoder.scale, size[1] * autoencoder.scale] as const
    const pictures = controls.map(({ images }) => images.map((image) => toControl(image, pixels, purpose)))
    const guidance = effectiveGuidance(request.guidance)
    const { tensors: conditioning, droppedTokens } = await this.readPrompts(request, guidance, size, purpose)
    const common = { workspace, members: request.prompts.length, guidance, conditioning }
    const { network, tensors } = denoiser({
      ...common,
      component: unet,
      plan: parts.plan,
      range: parts.range,
      size,
      channels,
      state: {
        input: inputs.sample,
        output: this.output,
        shape: ['rows', channels, ...size],
        layout: { order: 'channels-first', channels, grid: size, patch: [1, 1] },
        beside: this.beside(run, purpose),
      },
      time: { input: inputs.time, value: ({ timestep }) => timestep },
      written: nets.length > 0 ? residualShapes(unet, size) : {},
    })
    // A run that ends early is the beginning of a whole one, also in what its ControlNets do, as in diffusers.
    const { steps } = request.denoisingEnd === undefined ? schedule : this.schedule({ ...request, denoisingEnd: undefined })
    const led = { ...common, steps, size, channels, pixels, nets, controls, pictures, unet, network, tensors }
    const controlled = controls.length > 0 ? new ControlledNetwork(led) : network
    const { guidanceRescale: rescale = 0 } = request
    if (rescale === 0) return { network: controlled, droppedTokens }
    return { network: new RescaledNetwork(controlled, workspace, channels * size[0] * size[1], rescale), droppedTokens }
  }
}
