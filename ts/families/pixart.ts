import type { Purpose } from '../sampler/memory.ts'
import type { Schedule } from '../schedule/schedule.ts'
import { Autoencoder } from './autoencoder.ts'
import type { LoadContext } from './component.ts'
import { rowsOf, type Conditioning } from './denoiser.ts'
import type { FamilyRequest, Request } from './family.ts'
import { promptsOf, type LatentSize } from './latent-family.ts'
import { loadNetwork } from './network-plan.ts'
import { scheduleFor, Schedulers, VARIANCE_PRESERVING } from './scheduler.ts'
import { checkLength } from './size-range.ts'
import { TextEncoder } from './text-encoder.ts'
import { TransformerFamily, transformerRange, type TransformerParts } from './transformer-family.ts'

const INPUTS = {
  sample: ['hidden_states'],
  time: ['timestep'],
  text: ['encoder_hidden_states'],
  mask: ['encoder_attention_mask'],
}
/** What α's network for 1024 pixels is told of the picture's size, and no other. */
const SIZE_INPUTS = { resolution: ['resolution'], aspectRatio: ['aspect_ratio'] }

interface Parts extends TransformerParts {
  readonly inputs: Record<keyof typeof INPUTS, string> & Partial<Record<keyof typeof SIZE_INPUTS, string>>
  readonly t5: TextEncoder
}

/** PixArt-α and PixArt-Σ: a transformer over the latents' patches whose blocks read T5's tokens, padding left out. */
export class PixArt extends TransformerFamily {
  readonly defaults: TransformerFamily['defaults']
  readonly takes: readonly (keyof FamilyRequest)[] = ['negativePrompt', 'maxSequenceLength', 'width', 'height', 'tileSize']
  private readonly pixart: Parts

  private constructor(context: LoadContext, parts: Parts) {
    super(context, parts)
    const { transformer, inputs, t5, schedulers } = parts
    this.pixart = parts
    transformer.expectDimension(inputs.text, 2, t5.features, 'the features of the text encoder')
    transformer.expectRank(inputs.mask, 2)
    this.defaults = { scheduler: schedulers.own, steps: 20, guidance: 4.5 }
  }

  /** `length`: tokens of a prompt, where nothing else is asked. */
  static async load(context: LoadContext, name: string, length: number): Promise<PixArt> {
    const schedulers = await Schedulers.load(context.folder, VARIANCE_PRESERVING)
    const outputs = { states: ['last_hidden_state'], masked: true }
    const t5 = await TextEncoder.load(context, 'text_encoder', 'tokenizer', outputs, () => length)
    const range = await transformerRange(context, [1, t5.length])
    const autoencoder = await Autoencoder.load(context, 3, range)
    const { component: transformer, plan } = await loadNetwork(context, 'transformer', range)
    const inputs = transformer.meanings(INPUTS, SIZE_INPUTS)
    return new PixArt(context, { name, transformer, plan, range, autoencoder, schedulers, inputs, t5 })
  }

  protected schedule(request: Request): Schedule {
    return scheduleFor(this.schedulersOfFolder.configOf(request.scheduler), request, { steps: request.steps })
  }

  protected async readPrompts(request: Request, guidance: number, size: LatentSize, purpose: Purpose) {
    const { inputs, t5, range } = this.pixart
    const { prompts, maxSequenceLength: length = t5.length } = request
    checkLength(range, length, t5.length)
    const negative = guidance > 1 ? (promptsOf(request, 'negativePrompt') ?? prompts.map(() => '')) : []
    const given = await t5.encode(prompts.map(written), purpose, length)
    const without = await t5.encode(negative.map(written), purpose, length)
    const states = rowsOf(given.states, without.states, guidance)
    const tensors: Record<string, Conditioning> = {
      [inputs.text]: { shape: ['rows', length, t5.features], rows: states },
      [inputs.mask]: { shape: ['rows', length], rows: rowsOf(given.masks, without.masks, guidance) },
      ...this.sizes(size, states.length),
    }
    return { tensors, droppedTokens: given.dropped }
  }

  /** The picture's [height, width] in pixels and their ratio, for each row, where the network reads them. */
  private sizes(latents: LatentSize, rows: number): Record<string, Conditioning> {
    const { resolution, aspectRatio } = this.pixart.inputs
    const [height, width] = latents.map((each) => each * this.autoencoder.scale)
    const same = (...values: number[]): Conditioning => ({
      shape: ['rows', values.length],
      rows: Array<Float32Array>(rows).fill(Float32Array.from(values)),
    })
    return {
      ...(resolution !== undefined && { [resolution]: same(height, width) }),
      ...(aspectRatio !== undefined && { [aspectRatio]: same(height / width) }),
    }
  }
}

/** As diffusers writes prompts for it. */
const written = (prompt: string): string => prompt.toLowerCase().trim()
