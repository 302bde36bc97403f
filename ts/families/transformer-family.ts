import type { Purpose } from '../sampler/memory.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { denoiser, type Conditioning } from './denoiser.ts'
import type { Request } from './family.ts'
import {
  effectiveGuidance,
  LARGEST_SIDE,
  LatentFamily,
  type Conditioned,
  type LatentSize,
  type RunInputs,
} from './latent-family.ts'
import type { NetworkPlan } from './network-plan.ts'
import type { Schedulers } from './scheduler.ts'
import { sizeRange, type SizeRange } from './size-range.ts'

/** Latents along one side of a token, and of a picture where nothing else is asked, where the configuration does not say. */
const PATCH = 2
const OWN_SIZE = 128

/** What engines on a GPU are made for follows from these, before the network is loaded and checked. */
interface Sizes {
  readonly patch_size?: number
  readonly sample_size?: number
}

export interface TransformerParts {
  readonly name: string
  readonly transformer: Component
  readonly plan?: NetworkPlan
  readonly range?: SizeRange
  readonly autoencoder: Autoencoder
  readonly schedulers: Schedulers
  /** Names of the network's inputs for the state and the time. */
  readonly inputs: { readonly sample: string; readonly time: string }
}

/** The sizes of pictures that engines serve. `length`: tokens of a prompt, from the fewest to the most. */
export async function transformerRange(context: LoadContext, length: readonly [number, number]): Promise<SizeRange | undefined> {
  const { patch_size: patch = PATCH, sample_size: own = OWN_SIZE } = (await Component.configOf(context, 'transformer')) as Sizes
  return sizeRange(context, await Autoencoder.scaleOf(context), { own: [own, own], patch, length })
}

/** A family whose network is a transformer over the patches of a map of latents. */
export abstract class TransformerFamily extends LatentFamily {
  readonly name: string
  readonly size: readonly [number, number]
  /** Latents along one side of a token. */
  protected readonly patchSize: number
  private readonly parts: TransformerParts
  private readonly output: string

  constructor(context: LoadContext, parts: TransformerParts) {
    const { transformer, plan, autoencoder, schedulers, range, inputs } = parts
    const patch = transformer.integer('patch_size', PATCH, 1, 64)
    if (plan?.tokens.patch.some((each) => each !== patch)) {
      const expected = `tokens of ${patch} × ${patch} latents, as "patch_size" in config.json beside it says`
      throw transformer.mismatch(expected, [plan.tokens.patch.join(' × ')])
    }
    super(context, autoencoder, schedulers, { patch, range })
    this.name = parts.name
    this.parts = parts
    this.patchSize = patch
    this.output = transformer.output('out_hidden_states', 'out_sample', 'sample', 'output')
    for (const each of [inputs.sample, this.output]) {
      transformer.expectRank(each, 4)
      transformer.expectDimension(each, 1, autoencoder.channels, 'the channels of the autoencoder')
    }
    const side = transformer.integer('sample_size', OWN_SIZE, 1, LARGEST_SIDE / autoencoder.scale) * autoencoder.scale
    this.size = [side, side]
  }

  /** Reads the prompts of a run, and what else the network is told, by the names of its inputs. */
  protected abstract readPrompts(
    request: Request,
    guidance: number,
    size: LatentSize,
    purpose: Purpose,
  ): Promise<{ tensors: Readonly<Record<string, Conditioning>>; droppedTokens: readonly number[] }>

  protected async condition({ request, workspace, size }: RunInputs, purpose: Purpose): Promise<Conditioned> {
    const { transformer, plan, range, inputs } = this.parts
    const { channels } = this.autoencoder
    const guidance = effectiveGuidance(request.guidance)
    const { tensors, droppedTokens } = await this.readPrompts(request, guidance, size, purpose)
    const { network } = denoiser({
      component: transformer,
      plan,
      range,
      size,
      channels,
      workspace,
      members: request.prompts.length,
      guidance,
      state: {
        input: inputs.sample,
        output: this.output,
        shape: ['rows', channels, ...size],
        layout: { order: 'channels-first', channels, grid: size, patch: [1, 1] },
      },
      time: { input: inputs.time, value: ({ timestep }) => timestep },
      conditioning: tensors,
    })
    return { network, droppedTokens }
  }
}
