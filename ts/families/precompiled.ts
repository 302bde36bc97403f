import { SadaError } from '../errors.ts'
import type { JsonObject } from './folder.ts'

/** Longest grapheme, in bytes, that is looked up as a whole. */
const LONGEST_GRAPHEME = 5
/** Characters that graphemes are looked for in at a time: the time that Node takes for it grows with their square. */
const AT_A_TIME = 1024

/**
 * Takes SentencePiece's table of character replacements out of a tokenizer's definition, as a function to be applied first: the
 * library has only an approximation of it. Throws TOKENIZER_INVALID.
 */
export function withoutCharsmap(definition: JsonObject): { rest: JsonObject; normalize: (text: string) => string } {
  const { normalizer } = definition as { normalizer?: Normalizer | null }
  const list = normalizer?.type === 'Sequence' ? (normalizer.normalizers ?? []) : normalizer ? [normalizer] : []
  if (list[0]?.type !== 'Precompiled' || typeof list[0].precompiled_charsmap !== 'string' || list[0].precompiled_charsmap === '')
    return { rest: definition, normalize: (text) => text }
  const table = new Charsmap(Buffer.from(list[0].precompiled_charsmap, 'base64'))
  const rest = { ...definition, normalizer: { type: 'Sequence', normalizers: list.slice(1) } }
  return { rest, normalize: (text) => table.normalize(text) }
}

interface Normalizer {
  readonly type: string
  readonly precompiled_charsmap?: unknown
  readonly normalizers?: readonly Normalizer[]
}

/** A table of replacements: its keys in a double-array trie (Darts, Aoe 1989), its values as one text with ends marked by NUL. */
class Charsmap {
  private readonly trie: Uint32Array
  private readonly values: Buffer
  private readonly segments = new Intl.Segmenter('und', { granularity: 'grapheme' })

  constructor(bytes: Buffer) {
    const trieBytes = bytes.length >= 4 ? bytes.readUInt32LE(0) : NaN
    if (!(trieBytes % 4 === 0 && trieBytes > 0 && trieBytes <= bytes.length - 4))
      throw new SadaError('TOKENIZER_INVALID', 'The table of character replacements (precompiled_charsmap) is damaged.')
    this.trie = Uint32Array.from({ length: trieBytes / 4 }, (_, k) => bytes.readUInt32LE(4 + 4 * k))
    this.values = bytes.subarray(4 + trieBytes)
  }

  /** Graphemes are replaced as a whole where they are short and in the table, else character by character. */
  normalize(text: string): string {
    let normal = ''
    for (const grapheme of this.graphemes(text)) {
      const whole = Buffer.byteLength(grapheme) <= LONGEST_GRAPHEME ? this.find(grapheme) : undefined
      if (whole !== undefined) normal += whole
      else for (const character of grapheme) normal += this.find(character) ?? character
    }
    return normal
  }

  /** From the beginning of a grapheme on, those that follow are what they are in the whole text. */
  private *graphemes(text: string): Generator<string> {
    for (let at = 0, count = AT_A_TIME; at < text.length;) {
      const found = Array.from(this.segments.segment(text.slice(at, at + count)), ({ segment }) => segment)
      // The last one may go on.
      if (at + count < text.length) found.pop()
      yield* found
      for (const { length } of found) at += length
      count = found.length === 0 ? 2 * count : AT_A_TIME
    }
  }

  /** What stands in the table for the shortest key that `text` starts with. */
  private find(text: string): string | undefined {
    let at = offsetOf(this.trie[0])
    for (const byte of Buffer.from(text)) {
      at ^= byte
      const unit = this.trie[at] ?? 0
      // The label of a unit, with the mark of a value in its highest bit.
      if (byte === 0 || (unit & 0x800000ff) >>> 0 !== byte) return undefined
      at ^= offsetOf(unit)
      if ((unit >>> 8) & 1) return this.value((this.trie[at] ?? 0) & 0x7fffffff)
    }
    return undefined
  }

  private value(from: number): string {
    const end = this.values.indexOf(0, from)
    return this.values.toString('utf8', from, end < 0 ? this.values.length : end)
  }
}

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & (1 << 9)) >>> 6)
