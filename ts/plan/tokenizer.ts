import { join } from 'node:path'
import { SadaError } from '../errors.ts'
import { readModelFile } from './files.ts'
import type { Manifest } from './manifest.ts'

/** What people take for a word, also in other scripts; of some of it a model's pattern may see a piece, or nothing. */
const WORD = /[\p{L}\p{M}\p{N}\p{So}]+/gu

/** Longest prompt that is looked at, in UTF-16 code units; no encoder reads nearly as much. */
const LONGEST_TEXT = 10_000

export interface Encoded {
  readonly ids: Float32Array
  /** Words of the prompt that the vocabulary lacks. */
  readonly unknown: readonly string[]
}

/** A word-list tokenizer: the words of a pattern, looked up in a vocabulary, padded to a fixed length. */
export class Tokenizer {
  private readonly spec: Manifest['text']
  private readonly pattern: RegExp
  private readonly index: ReadonlyMap<string, number>

  constructor(spec: Manifest['text'], vocabulary: readonly string[]) {
    this.spec = spec
    this.pattern = new RegExp(spec.pattern, 'g')
    this.index = new Map(vocabulary.map((word, id) => [word, id]))
  }

  static async load(folder: string, spec: Manifest['text']): Promise<Tokenizer> {
    const path = join(folder, spec.vocabulary)
    try {
      const words: unknown = JSON.parse((await readModelFile(folder, spec.vocabulary)).toString('utf8'))
      if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) throw new Error('expected an array of words')
      const beyond = [spec.pad, spec.unknown, ...spec.unconditional].find((id) => id >= words.length)
      if (beyond !== undefined) throw new Error(`plan.json has the token ${beyond}, and these are ${words.length} words from 0`)
      return new Tokenizer(spec, words)
    } catch (error) {
      if (error instanceof SadaError) throw error
      throw new SadaError('TOKENIZER_INVALID', `${path}: ${(error as Error).message}`, { cause: error })
    }
  }

  /** Token ids of a prompt, padded to the model's length. Throws PROMPT_TOO_LONG. */
  encode(prompt: string): Encoded {
    checkTextLength(prompt)
    const { lowercase, length, unknown, aliases } = this.spec
    const text = lowercase ? prompt.toLowerCase() : prompt
    const found = text.match(this.pattern) ?? []
    const words = found.map((word) => (Object.hasOwn(aliases, word) ? aliases[word] : word))
    if (words.length > length) {
      throw new SadaError(
        'PROMPT_TOO_LONG',
        `The prompt has ${words.length} words and commas; this model reads ${length}. Shorten it: ${JSON.stringify(prompt.slice(0, 500))}`,
        {
          argument: 'prompt',
        },
      )
    }
    const passedOver = (text.match(WORD) ?? []).filter((word) => word.replace(this.pattern, '') !== '')
    const pieces = new Set(passedOver.flatMap((word) => word.match(this.pattern) ?? []))
    const missing = [...words.filter((word) => !this.index.has(word) && !pieces.has(word)), ...passedOver]
    return { ids: this.pad(words.map((word) => this.index.get(word) ?? unknown)), unknown: [...new Set(missing)] }
  }

  /** Token ids of the prompt that guidance leads away from. */
  unconditional(): Float32Array {
    return this.pad(this.spec.unconditional)
  }

  private pad(ids: readonly number[]): Float32Array {
    const padded = new Float32Array(this.spec.length).fill(this.spec.pad)
    padded.set(ids)
    return padded
  }
}

/** Throws PROMPT_TOO_LONG where nobody can have meant the text to be read: words are looked for on JavaScript's thread. */
export function checkTextLength(text: string): void {
  if (text.length <= LONGEST_TEXT) return
  throw new SadaError('PROMPT_TOO_LONG', `The prompt has ${text.length} characters; at most ${LONGEST_TEXT} are read.`, {
    argument: 'prompt',
  })
}
