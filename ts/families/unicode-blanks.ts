import type { JsonObject } from './folder.ts'

/** Words as byte-level encodings split them, GPT-2's pattern. */
const WORDS = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

/**
 * A tokenizer's definition with blanks as Unicode has them, and so transformers' tokenizers. To JavaScript, in which the library is
 * written, U+FEFF is a blank and U+0085 is none.
 */
export function withUnicodeBlanks(definition: JsonObject): JsonObject {
  const { normalizer, pre_tokenizer: splitter } = definition
  return { ...definition, normalizer: rewritten(normalizer), pre_tokenizer: rewritten(splitter) }
}

function rewritten(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rewritten)
  if (typeof value !== 'object' || value === null) return value
  const part = value as JsonObject
  if (part.type === 'WhitespaceSplit') return split('\\s+', 'Removed')
  if (part.type === 'Strip') return { type: 'Replace', pattern: { Regex: unicode(endsOf(part)) }, content: '' }
  // A blank that is put in front has to be there before words are split.
  if (part.type === 'ByteLevel' && part.use_regex !== false && part.add_prefix_space !== true)
    return { type: 'Sequence', pretokenizers: [split(WORDS, 'Isolated'), { ...part, use_regex: false }] }
  const entries = Object.entries(part).map(([key, each]) => [key, key === 'Regex' ? unicode(String(each)) : rewritten(each)])
  return Object.fromEntries(entries) as JsonObject
}

const split = (pattern: string, behavior: string): JsonObject => ({
  type: 'Split',
  pattern: { Regex: unicode(pattern) },
  behavior,
  invert: false,
})

/** Blanks at the ends of a text that a normalizer takes away. From the end only whole runs: each of their blanks would be tried otherwise. */
const endsOf = ({ strip_left: left, strip_right: right }: JsonObject): string =>
  [...(left ? ['\\A\\s+'] : []), ...(right ? ['(?<!\\s)\\s+\\z'] : [])].join('|') || '(?!)'

const unicode = (pattern: string): string => pattern.replaceAll('\\s', '\\p{White_Space}').replaceAll('\\S', '\\P{White_Space}')

/** Whether a definition's normalizer makes capitals small, be it one of several. */
export function isLowercasing({ normalizer }: JsonObject): boolean {
  const { type, normalizers } = (normalizer ?? {}) as { type?: string; normalizers?: { type?: string }[] }
  return type === 'Lowercase' || (Array.isArray(normalizers) && normalizers.some((each) => each.type === 'Lowercase'))
}
