import { invalidArgument } from '../errors.ts'
import type { Purpose } from '../sampler/memory.ts'
import type { Schedule } from '../schedule/schedule.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { rowsOf, type Conditioning } from './denoiser.ts'
import type { FamilyRequest, Request } from './family.ts'
import { LARGEST_SIDE, promptsOf, type LatentSize } from './latent-family.ts'
import { loadNetwork } from './network-plan.ts'
import { FLOW_MATCHING, flowAdditions, scheduleFor, Schedulers, shiftFor } from './scheduler.ts'
import { checkLength } from './size-range.ts'
import { TextEncoder } from './text-encoder.ts'
import { TransformerFamily, transformerRange, type TransformerParts } from './transformer-family.ts'

const INPUTS = {
  sample: ['hidden_states'],
  time: ['timestep'],
  text: ['encoder_hidden_states'],
  pooled: ['pooled_projections'],
}
/** Tokens of a prompt for T5, where nothing else is asked. */
const T5_LENGTH = 256

interface Parts extends TransformerParts {
  readonly inputs: Record<keyof typeof INPUTS, string>
  readonly clips: readonly [TextEncoder, TextEncoder]
  /** Folders may lack it: it is the largest of the three, and zeros stand in for what it says. */
  readonly t5?: TextEncoder
}

/** What the encoders make of prompts: states [tokens, width] and pooled vectors. */
interface Read {
  readonly states: readonly Float32Array[]
  readonly pooled: readonly Float32Array[]
  readonly dropped: readonly number[]
}

/** Stable Diffusion 3 and 3.5: a transformer over the latents' patches and the tokens of three text encoders. */
export class StableDiffusion3 extends TransformerFamily {
  readonly defaults: TransformerFamily['defaults']
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
  private readonly sd3: Parts
  /** Features of a text token, as the network takes them. */
  private readonly width: number
  /** Latents along a side at most: the network knows no more positions. */
  private readonly mostLatents: number

  private constructor(context: LoadContext, parts: Parts) {
    super(context, parts)
    const { transformer, clips, t5, inputs, schedulers } = parts
    this.sd3 = parts
    this.width = transformer.dimension(inputs.text, 2, transformer.config.joint_attention_dim ?? t5?.features)
    this.mostLatents = transformer.integer('pos_embed_max_size', 192, 1, LARGEST_SIDE) * this.patchSize
    const pooled = clips[0].pooledFeatures + clips[1].pooledFeatures
    transformer.expectDimension(inputs.pooled, 1, pooled, 'the pooled features of text_encoder and text_encoder_2')
    if (clips[0].features + clips[1].features > this.width || (t5 !== undefined && t5.features !== this.width)) {
      const found = [clips[0], clips[1], t5].map((each) => each?.features ?? 'none').join(', ')
      throw transformer.mismatch(`text encoders with ${this.width} features, the first two together no more`, [
        `ones with ${found}`,
      ])
    }
    this.defaults = { scheduler: schedulers.own, steps: 28, guidance: 7 }
  }

  static async load(context: LoadContext, name: string): Promise<StableDiffusion3> {
    const schedulers = await Schedulers.load(context.folder, FLOW_MATCHING, await flowAdditions(context.folder))
    const clip = (suffix: string): Promise<TextEncoder> =>
      TextEncoder.load(context, `text_encoder${suffix}`, `tokenizer${suffix}`, {
        states: 'penultimate',
        pooled: ['text_embeds', 'pooler_output'],
      })
    const clips = [await clip(''), await clip('_2')] as const
    const t5 = (await Component.has(context, 'text_encoder_3'))
      ? await TextEncoder.load(context, 'text_encoder_3', 'tokenizer_3', { states: ['last_hidden_state'] }, () => T5_LENGTH)
      : undefined
    const range = await transformerRange(context, [clips[0].length + 1, clips[0].length + T5_LENGTH])
    const autoencoder = await Autoencoder.load(context, 3, range, true)
    const { component: transformer, plan } = await loadNetwork(context, 'transformer', range)
    const inputs = transformer.meanings(INPUTS)
    return new StableDiffusion3(context, { name, transformer, plan, range, autoencoder, schedulers, inputs, clips, t5 })
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
    const mu = shiftFor(config, (height * width) / this.patchSize ** 2, 1.16)
    return scheduleFor(config, request, { steps: request.steps, mu })
  }

  protected async readPrompts(request: Request, guidance: number, _: LatentSize, purpose: Purpose) {
    const { inputs, clips, range } = this.sd3
    const { prompts, maxSequenceLength: length = T5_LENGTH } = request
    checkLength(range, length, T5_LENGTH)
    const { states, pooled, dropped } = await this.encode(prompts, length, purpose)
    const negative = promptsOf(request, 'negativePrompt') ?? prompts.map(() => '')
    const without = guidance > 1 ? await this.encode(negative, length, purpose) : { states: [], pooled: [] }
    const tensors: Record<string, Conditioning> = {
      [inputs.text]: { shape: ['rows', clips[0].length + length, this.width], rows: rowsOf(states, without.states, guidance) },
      [inputs.pooled]: { shape: ['rows', pooled[0].length], rows: rowsOf(pooled, without.pooled, guidance) },
    }
    return { tensors, droppedTokens: dropped }
  }

  /** Tokens of both CLIPs beside each other, zeros up to the width of T5's; then T5's. */
  private async encode(prompts: readonly string[], length: number, purpose: Purpose): Promise<Read> {
    const { clips, t5 } = this.sd3
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
