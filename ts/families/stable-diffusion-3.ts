import { invalidArgument } from '../errors.ts'
import type { Purpose } from '../sampler/memory.ts'
import type { Schedule } from '../schedule/schedule.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { denoiser, rowsOf, type Conditioning } from './denoiser.ts'
import type { FamilyRequest, Request } from './family.ts'
import {
  effectiveGuidance,
  LARGEST_SIDE,
  LatentFamily,
  promptsOf,
  type Conditioned,
  type LatentSize,
  type RunInputs,
} from './latent-family.ts'
import { loadNetwork, type NetworkPlan } from './network-plan.ts'
import { flowAdditions, scheduleFor, Schedulers, shiftFor } from './scheduler.ts'
import { sizeRange, type SizeRange } from './size-range.ts'
import { TextEncoder } from './text-encoder.ts'

const INPUTS = {
  sample: ['hidden_states'],
  time: ['timestep'],
  text: ['encoder_hidden_states'],
  pooled: ['pooled_projections'],
}
/** Latents along one side of a token, and of a picture where nothing else is asked, where the configuration does not say. */
const PATCH = 2
const OWN_SIZE = 128
/** Tokens of a prompt for T5, where nothing else is asked. */
const T5_LENGTH = 256

/** What engines on a GPU are made for follows from these, before the network is loaded and checked. */
interface Sizes {
  readonly patch_size?: number
  readonly sample_size?: number
}

interface Parts {
  readonly transformer: Component
  readonly plan?: NetworkPlan
  readonly range?: SizeRange
  readonly autoencoder: Autoencoder
  readonly schedulers: Schedulers
  readonly clips: readonly [TextEncoder, TextEncoder]
  /** Folders may lack it: it is the largest of the three, and zeros stand in for what it says. */
  readonly t5?: TextEncoder
  readonly names: Record<keyof typeof INPUTS, string>
}

/** What the encoders make of prompts: states [tokens, width] and pooled vectors. */
interface Read {
  readonly states: readonly Float32Array[]
  readonly pooled: readonly Float32Array[]
  readonly dropped: readonly number[]
}

/** Stable Diffusion 3 and 3.5: a transformer over the latents' patches and the tokens of three text encoders. */
export class StableDiffusion3 extends LatentFamily {
  readonly name: string
  readonly size: readonly [number, number]
  readonly defaults: LatentFamily['defaults']
  readonly takes: readonly (keyof FamilyRequest)[] = [
    'negativePrompt',
    'maxSequenceLength',
    'width',
    'height',
    'init',
    'strength',
    'mask',
    'tileSize',
  ]
  private readonly parts: Parts
  private readonly output: string
  /** Features of a text token, as the network takes them. */
  private readonly width: number
  /** Latents in a token. */
  private readonly tokenSize: number
  /** Latents along a side at most: the network knows no more positions. */
  private readonly mostLatents: number

  private constructor(context: LoadContext, name: string, parts: Parts) {
    const { transformer, autoencoder, clips, t5, names, schedulers } = parts
    const patch = transformer.integer('patch_size', PATCH, 1, 64)
    super(context, autoencoder, schedulers, { patch, range: parts.range })
    this.name = name
    this.parts = parts
    this.output = transformer.output('out_hidden_states', 'out_sample', 'sample', 'output')
    this.width = transformer.dimension(names.text, 2, transformer.config.joint_attention_dim ?? t5?.features)
    this.tokenSize = patch ** 2
    this.mostLatents = transformer.integer('pos_embed_max_size', 192, 1, LARGEST_SIDE) * patch
    transformer.expectRank(names.sample, 4)
    transformer.expectRank(this.output, 4)
    transformer.expectDimension(names.sample, 1, autoencoder.channels, 'the channels of the autoencoder')
    const pooled = clips[0].pooledFeatures + clips[1].pooledFeatures
    transformer.expectDimension(names.pooled, 1, pooled, 'the pooled features of text_encoder and text_encoder_2')
    if (clips[0].features + clips[1].features > this.width || (t5 !== undefined && t5.features !== this.width)) {
      const found = [clips[0], clips[1], t5].map((each) => each?.features ?? 'none').join(', ')
      throw transformer.mismatch(`text encoders with ${this.width} features, the first two together no more`, [
        `ones with ${found}`,
      ])
    }
    const side = transformer.integer('sample_size', OWN_SIZE, 1, LARGEST_SIDE / autoencoder.scale) * autoencoder.scale
    this.size = [side, side]
    this.defaults = { scheduler: schedulers.own, steps: 28, guidance: 7 }
  }

  static async load(context: LoadContext, name: string): Promise<StableDiffusion3> {
    const schedulers = await Schedulers.load(context.folder, ['flow-euler', 'dpm++'], await flowAdditions(context.folder))
    const clip = (suffix: string): Promise<TextEncoder> =>
      TextEncoder.load(context, `text_encoder${suffix}`, `tokenizer${suffix}`, {
        states: 'penultimate',
        pooled: ['text_embeds', 'pooler_output'],
      })
    const clips = [await clip(''), await clip('_2')] as const
    const t5 = (await Component.has(context, 'text_encoder_3'))
      ? await TextEncoder.load(context, 'text_encoder_3', 'tokenizer_3', { states: ['last_hidden_state'] }, T5_LENGTH)
      : undefined
    const { patch_size: patch = PATCH, sample_size: own = OWN_SIZE } = (await Component.configOf(context, 'transformer')) as Sizes
    const length = [clips[0].length + 1, clips[0].length + T5_LENGTH] as const
    const range = sizeRange(context, await Autoencoder.scaleOf(context), { own: [own, own], patch, length })
    const autoencoder = await Autoencoder.load(context, 3, range)
    const { component: transformer, plan } = await loadNetwork(context, 'transformer', range)
    return new StableDiffusion3(context, name, {
      transformer,
      plan,
      range,
      autoencoder,
      schedulers,
      clips,
      t5,
      names: transformer.meanings(INPUTS),
    })
  }

  protected override latentSize(request: Request): LatentSize {
    const size = super.latentSize(request)
    for (const [axis, name] of (['height', 'width'] as const).entries()) {
      const pixels = size[axis] * this.autoencoder.scale
      const most = this.mostLatents * this.autoencoder.scale
      if (pixels > most) throw invalidArgument(name, `at most ${most}, which is as far as the network knows positions`, pixels)
    }
    return size
  }

  protected schedule(request: Request, [height, width]: LatentSize): Schedule {
    const config = this.schedulersOfFolder.configOf(request.scheduler)
    const mu = shiftFor(config, (height * width) / this.tokenSize, 1.16)
    return scheduleFor(config, request, { steps: request.steps, mu })
  }

  protected async condition({ request, workspace, size }: RunInputs, purpose: Purpose): Promise<Conditioned> {
    const { transformer, plan, range, names } = this.parts
    const { channels } = this.autoencoder
    const guidance = effectiveGuidance(request.guidance)
    const { tensors, dropped } = await this.read(request, guidance, purpose)
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
        input: names.sample,
        output: this.output,
        shape: ['rows', channels, ...size],
        layout: { order: 'channels-first', channels, grid: size, patch: [1, 1] },
      },
      time: { input: names.time, value: ({ timestep }) => timestep },
      conditioning: tensors,
    })
    return { network, droppedTokens: dropped }
  }

  private async read(request: Request, guidance: number, purpose: Purpose) {
    const { names, clips } = this.parts
    const { prompts, maxSequenceLength: length = T5_LENGTH } = request
    if (this.parts.range?.isStrict && length > T5_LENGTH)
      throw invalidArgument('maxSequenceLength', `at most ${T5_LENGTH}, for which the engines were made`, length)
    const { states, pooled, dropped } = await this.encode(prompts, length, purpose)
    const negative = promptsOf(request, 'negativePrompt') ?? prompts.map(() => '')
    const without = guidance > 1 ? await this.encode(negative, length, purpose) : { states: [], pooled: [] }
    const tensors: Record<string, Conditioning> = {
      [names.text]: { shape: ['rows', clips[0].length + length, this.width], rows: rowsOf(states, without.states, guidance) },
      [names.pooled]: { shape: ['rows', pooled[0].length], rows: rowsOf(pooled, without.pooled, guidance) },
    }
    return { tensors, dropped }
  }

  /** Tokens of both CLIPs beside each other, zeros up to the width of T5's; then T5's. */
  private async encode(prompts: readonly string[], length: number, purpose: Purpose): Promise<Read> {
    const { clips, t5 } = this.parts
    const [first, second] = [await clips[0].encode(prompts, purpose), await clips[1].encode(prompts, purpose)]
    const third = await t5?.encode(prompts, purpose, length)
    const states = prompts.map((_, k) => {
      const all = new Float32Array((clips[0].length + length) * this.width)
      for (let token = 0; token < clips[0].length; token++) {
        const at = token * this.width
        all.set(first.states[k].subarray(token * clips[0].features, (token + 1) * clips[0].features), at)
        all.set(second.states[k].subarray(token * clips[1].features, (token + 1) * clips[1].features), at + clips[0].features)
      }
      if (third) all.set(third.states[k], clips[0].length * this.width)
      return all
    })
    const pooled = prompts.map((_, k) => Float32Array.from([...first.pooled[k], ...second.pooled[k]]))
    return { states, pooled, dropped: (third ?? first).dropped }
  }
}
