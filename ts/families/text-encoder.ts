import { SadaError } from '../errors.ts'
import { checkTextLength } from '../plan/tokenizer.ts'
import type { Purpose } from '../sampler/memory.ts'
import { Component, type LoadContext } from './component.ts'
import type { JsonObject } from './folder.ts'
import { TextTokenizer } from './tokenizers.ts'

/** Prompts of one call at a text encoder, read. */
export interface Encoded {
  /** [tokens, features] of each prompt. */
  readonly states: readonly Float32Array[]
  /** One vector of each prompt, where asked for. */
  readonly pooled: readonly Float32Array[]
  /** 1 for each token that is no padding, else 0. */
  readonly masks: readonly Float32Array[]
  readonly dropped: readonly number[]
}

/** Which outputs of a text encoder are used, by the names they go by. */
export interface EncoderOutputs {
  /** `penultimate`: the second last of `hidden_states.*`. */
  readonly states?: readonly string[] | 'penultimate'
  readonly pooled?: readonly string[]
  /** Whether the encoder is told which tokens are padding; else, where a file asks, that none is: diffusers does not tell it. */
  readonly masked?: boolean
}

/** Tokens of a prompt by those that the tokenizer's files name. */
type LengthOf = (tokenizers: number) => number

/** A text encoder with its tokenizer. */
export class TextEncoder {
  /** Tokens of one prompt. */
  readonly length: number
  /** Features of one token; 0 where the states are not used. */
  readonly features: number
  /** Features of the pooled vector; 0 where it is not used. */
  readonly pooledFeatures: number
  private readonly component: Component
  private readonly tokenizer: TextTokenizer
  private readonly names: { ids: string; mask?: string }
  private readonly states?: string
  private readonly pooled?: string
  private readonly masked: boolean

  private constructor(component: Component, tokenizer: TextTokenizer, outputs: EncoderOutputs, lengthOf: LengthOf) {
    const { states, pooled, masked = false } = outputs
    this.component = component
    this.masked = masked
    this.tokenizer = tokenizer
    this.names = component.meanings({ ids: ['input_ids'] }, { mask: ['attention_mask'] })
    this.states = states === 'penultimate' ? penultimate(component) : states && component.output(...states)
    this.pooled = pooled && component.output(...pooled)
    const { hidden_size: hidden, d_model: width, projection_dim: projection } = component.config
    this.features = this.states === undefined ? 0 : component.dimension(this.states, 2, hidden ?? width)
    this.pooledFeatures = this.pooled === undefined ? 0 : component.dimension(this.pooled, 1, projection ?? hidden)
    const fixed = component.tensor(this.names.ids).dims.at(1) ?? -1
    this.length = fixed > 0 ? fixed : lengthOf(tokenizer.maxLength)
    if (this.length < tokenizer.around)
      throw new SadaError('TOKENIZER_INVALID', tooShort(component, this.length, tokenizer.around), { stage: component.role })
    const { max_position_embeddings: positions = Infinity } = component.config
    if (typeof positions === 'number' && this.length > positions)
      throw new SadaError('TOKENIZER_INVALID', tooLong(component, this.length, positions), { stage: component.role })
  }

  /** Loads an encoder and its tokenizer. `lengthOf`: tokens of a prompt, where that is not the tokenizer's business. */
  static async load(
    context: LoadContext,
    role: string,
    tokenizer: string,
    outputs: EncoderOutputs,
    lengthOf: LengthOf = (tokenizers) => tokenizers,
  ): Promise<TextEncoder> {
    const component = await Component.load(context, role)
    const { text_config: nested } = component.config
    const { vocab_size: size } = { ...(nested as object | undefined), ...component.config } as JsonObject
    const words = await TextTokenizer.load(context.folder, tokenizer, typeof size === 'number' ? size : Infinity)
    return new TextEncoder(component, words, outputs, lengthOf)
  }

  /** Reads prompts, each by itself: what a prompt becomes does not depend on those beside it. Equal ones are read once. */
  async encode(prompts: readonly string[], purpose: Purpose, length = this.length): Promise<Encoded> {
    for (const prompt of prompts) checkTextLength(prompt)
    // A plan needs sizes, which are those of any prompt: its words would be looked for twice.
    const texts = purpose === 'planning' ? prompts.map(() => '') : prompts
    const read = new Map<string, Awaited<ReturnType<TextEncoder['encodeOne']>>>()
    for (const text of new Set(texts)) {
      read.set(text, await this.encodeOne(text, length, purpose))
      if (purpose === 'planning') continue
      // Looking for words holds the event loop, and a small encoder may answer before anything else had its turn.
      await new Promise(setImmediate)
      purpose.throwIfAborted()
    }
    const all = texts.map((text) => read.get(text)!)
    return {
      states: all.map(({ states }) => states),
      pooled: all.map(({ pooled }) => pooled),
      masks: all.map(({ mask }) => mask),
      dropped: all.map(({ dropped }) => dropped),
    }
  }

  private async encodeOne(prompt: string, length: number, purpose: Purpose) {
    const { ids, mask: isText, dropped } = this.tokenizer.encode(prompt, length)
    const mask = Float32Array.from(isText)
    const dims = [1, length]
    const inputs = {
      [this.names.ids]: { data: Float32Array.from(ids), dims },
      ...(this.names.mask !== undefined && { [this.names.mask]: { data: this.masked ? mask : mask.map(() => 1), dims } }),
    }
    const wanted = {
      ...(this.states !== undefined && { [this.states]: [1, length, this.features] }),
      ...(this.pooled !== undefined && { [this.pooled]: [1, this.pooledFeatures] }),
    }
    const made = await this.component.evaluate(inputs, wanted, purpose)
    const of = (name: string | undefined): Float32Array => (name === undefined ? new Float32Array(0) : made[name])
    return { states: of(this.states), pooled: of(this.pooled), mask, dropped }
  }
}

const tooShort = ({ path }: Component, length: number, around: number): string =>
  `The tokenizer puts ${around} tokens around each prompt; ${path} reads ${length}.`

const tooLong = ({ path }: Component, length: number, positions: number): string =>
  `The tokenizer's prompts have ${length} tokens ("model_max_length" in its tokenizer_config.json); ${path} has positions for ${positions}.`

function penultimate(component: Component): string {
  const layers = component.outputs
    .map(({ name }) => /^hidden_states\.(\d+)$/.exec(name))
    .filter((match) => match !== null)
    .sort((a, b) => Number(a[1]) - Number(b[1]))
  const layer = layers.at(-2)
  if (layer !== undefined) return layer[0]
  throw component.mismatch(
    'the outputs hidden_states.0, hidden_states.1, …',
    component.outputs.map(({ name }) => name),
  )
}
