import { join } from 'node:path'
import { SadaError } from '../errors.ts'
import { checkTextLength } from '../plan/tokenizer.ts'
import { inCanonicalOrder, isNormalizing } from './combining-marks.ts'
import type { Folder, JsonObject } from './folder.ts'
import { withoutCharsmap } from './precompiled.ts'
import { readSentencePieces } from './sentencepiece.ts'
import { isLowercasing, withUnicodeBlanks } from './unicode-blanks.ts'

/** What is used of the library, whose own declarations do not resolve from CommonJS. */
interface LibraryModule {
  readonly Tokenizer: new (definition: object, config: object) => Library
}

/** The part of the library's tokenizer that is used here. */
interface Library {
  encode(text: string, options?: { add_special_tokens?: boolean }): { readonly ids: number[] }
  token_to_id(token: string): number | undefined
  get_vocab(): Map<string, number>
  /** What is done to the text between special tokens, before it is split into words. */
  normalizer: Normalize | null
  readonly model: {
    encode(words: readonly string[]): string[]
    readonly tokens_to_ids: ReadonlyMap<string, number>
    readonly unk_token_id: number | undefined
    /** Whether tokens that the vocabulary lacks are one where they follow each other. */
    fuse_unk: boolean
  }
}

/** Published tokenizers of these families have 50 000; reading many millions takes minutes. */
const MOST_MERGES = 500_000

interface Settings {
  readonly pad: number
  readonly maxLength: number
}

export interface TokenIds {
  /** `length` ids with the special tokens, cut or padded. */
  readonly ids: readonly number[]
  /** 1 for each id that is no padding. */
  readonly mask: readonly number[]
  /** Tokens of the text that did not fit. */
  readonly dropped: number
}

/**
 * A text encoder's tokenizer: from `tokenizer.json`, or made from the older files (`vocab.json` and `merges.txt` of CLIP and RoBERTa,
 * `spiece.model` of T5).
 */
export class TextTokenizer {
  /** Tokens that the text encoder was trained for, as the tokenizer's configuration has it. */
  readonly maxLength: number
  private readonly library: Library
  private readonly before: readonly number[]
  private readonly after: readonly number[]
  private readonly pad: number

  private constructor(library: Library, { pad, maxLength }: Settings) {
    this.library = library
    this.pad = pad
    this.maxLength = maxLength
    // What special tokens go around a text: what is left of an encoded letter without the letter.
    const whole = library.encode('a').ids
    const letter = library.encode('a', { add_special_tokens: false }).ids
    const start = whole.findIndex((_, k) => letter.every((id, j) => whole[k + j] === id))
    this.before = whole.slice(0, start)
    this.after = whole.slice(start + letter.length)
  }

  /**
   * Reads the tokenizer of a subfolder, whose ids must be below `vocabularySize`. Throws TOKENIZER_INVALID, MODEL_NOT_FOUND or
   * MANIFEST_INVALID.
   */
  static async load(folder: Folder, name: string, vocabularySize = Infinity): Promise<TextTokenizer> {
    const config = await readConfig(folder, name)
    const definition = await readDefinition(folder, name, config)
    const where = join(folder.root, name)
    try {
      // By `require`, as test runners that run modules in contexts of their own have no `import()`.
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const { Tokenizer } = require('@huggingface/tokenizers') as LibraryModule
      const { rest, normalize } = withoutCharsmap(definition)
      const library = new Tokenizer(withUnicodeBlanks(rest), config)
      // Not on the whole text: a special token is one as it is written, not what becomes one.
      const first = isLowercasing(rest) ? withoutFinalSigma(normalize) : normalize
      library.normalizer = inTurn(isNormalizing(rest) ? inTurn(first, inCanonicalOrder) : first, library.normalizer)
      fuseUnknown(library.model)
      // As arguments of one call they would be too many from some 120 000 on.
      const largest = [...library.get_vocab().values()].reduce((most, id) => Math.max(most, id), 0)
      if (largest >= vocabularySize)
        throw new Error(`it has ids up to ${largest}, its text encoder knows ${vocabularySize} from 0`)
      const padToken = tokenOf(config.pad_token) ?? tokenOf(config.eos_token) ?? '<pad>'
      const pad = library.token_to_id(padToken)
      if (pad === undefined) throw new Error(`its padding "${padToken}" is not in its vocabulary`)
      return new TextTokenizer(library, { pad, maxLength: maxLengthOf(config) })
    } catch (error) {
      if (error instanceof SadaError) throw error
      // What the library trips over where a part is missing.
      const lacks = error instanceof TypeError ? 'tokenizer.json lacks a part, or has something else in its place: ' : ''
      throw new SadaError('TOKENIZER_INVALID', `${where}: ${lacks}${(error as Error).message}.`, { cause: error })
    }
  }

  /** Tokens that go around every text. */
  get around(): number {
    return this.before.length + this.after.length
  }

  /** The ids of a text, `length` of them, which are not fewer than `around`. Throws PROMPT_TOO_LONG where nobody can have meant the text to be read. */
  encode(text: string, length = this.maxLength): TokenIds {
    checkTextLength(text)
    const room = length - this.around
    const content = this.library.encode(text, { add_special_tokens: false }).ids
    const used = [...this.before, ...content.slice(0, room), ...this.after]
    const padding = Array<number>(length - used.length)
    return {
      ids: [...used, ...padding.fill(this.pad)],
      mask: [...used.map(() => 1), ...padding.fill(0)],
      dropped: Math.max(0, content.length - room),
    }
  }
}

/** Leaves the first of unknown tokens in a row. The library joins their texts, and looks up what it has so far with each: 10 000 take seconds. */
function fuseUnknown(model: Library['model']): void {
  if (!model.fuse_unk) return
  model.fuse_unk = false
  const encode = model.encode.bind(model)
  const isUnknown = (token: string): boolean => (model.tokens_to_ids.get(token) ?? model.unk_token_id) === model.unk_token_id
  model.encode = (words) => encode(words).filter((token, k, all) => !isUnknown(token) || k === 0 || !isUnknown(all[k - 1]))
}

type Normalize = (text: string) => string

const inTurn =
  (first: Normalize, second: Normalize | null): Normalize =>
  (text) =>
    second ? second(first(text)) : first(text)

/** JavaScript makes a Σ at the end of a word ς, transformers' tokenizers make every Σ σ. */
function withoutFinalSigma(normalize: Normalize): Normalize {
  return (text) => normalize(text).replaceAll('Σ', 'σ')
}

/** `tokenizer_config.json`, with the special tokens that `special_tokens_map.json` may name otherwise, as transformers has it. */
async function readConfig(folder: Folder, name: string): Promise<JsonObject> {
  const config = await folder.optionalJson(`${name}/tokenizer_config.json`)
  const special = await folder.optionalJson(`${name}/special_tokens_map.json`)
  return 'added_tokens_decoder' in config ? { ...special, ...config } : { ...config, ...special }
}

/** A special token is written as text, or as an object with its text. */
function tokenOf(value: unknown): string | undefined {
  const content = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value
  return typeof content === 'string' ? content : undefined
}

/** A missing length is written as 10³⁰. */
function maxLengthOf({ model_max_length: length }: JsonObject): number {
  return typeof length === 'number' && Number.isInteger(length) && length >= 4 && length <= 8192 ? length : 512
}

async function readDefinition(folder: Folder, name: string, config: JsonObject): Promise<JsonObject> {
  if (await folder.has(`${name}/tokenizer.json`)) {
    const definition = await folder.json(`${name}/tokenizer.json`)
    const path = join(folder.root, name, 'tokenizer.json')
    checkPatterns(definition, path)
    checkMerges((definition.model as JsonObject | undefined)?.merges, path)
    return { added_tokens: [], ...definition }
  }
  if (await folder.has(`${name}/vocab.json`)) return readPairs(folder, name, config)
  if (await folder.has(`${name}/spiece.model`)) return readSentencePieces(await folder.bytes(`${name}/spiece.model`), config)
  const wanted = 'tokenizer.json, vocab.json with merges.txt, or spiece.model'
  throw new SadaError('MODEL_NOT_FOUND', `${join(folder.root, name)} holds no tokenizer: expected ${wanted}.`)
}

function checkMerges(merges: unknown, path: string): void {
  if (Array.isArray(merges) && merges.length > MOST_MERGES)
    throw new SadaError('TOKENIZER_INVALID', `${path} has ${merges.length} merges; at most ${MOST_MERGES} are read.`)
}

/** Byte-pair encoding from its two files. CLIP's words end in `</w>`, RoBERTa's do not. */
async function readPairs(folder: Folder, name: string, config: JsonObject): Promise<JsonObject> {
  const vocab = await folder.json(`${name}/vocab.json`)
  const merges = (await folder.text(`${name}/merges.txt`))
    .split(/\r?\n/)
    .filter((line) => line !== '' && !line.startsWith('#version'))
  checkMerges(merges, join(folder.root, name, 'merges.txt'))
  const wrong = Object.entries(vocab).find(([, id]) => !Number.isInteger(id) || (id as number) < 0)
  if (wrong) throw new SadaError('TOKENIZER_INVALID', `${join(folder.root, name, 'vocab.json')}: "${wrong[0]}" has no id.`)
  const isClip = Object.hasOwn(vocab, '<|startoftext|>') || config.tokenizer_class === 'CLIPTokenizer'
  return isClip ? clip(vocab, merges, config) : roberta(vocab, merges, config)
}

const LATIN_WORDS = String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`

function clip(vocab: JsonObject, merges: readonly string[], config: JsonObject): JsonObject {
  const [start, end] = [tokenOf(config.bos_token) ?? '<|startoftext|>', tokenOf(config.eos_token) ?? '<|endoftext|>']
  return {
    added_tokens: special(vocab, [start, end, tokenOf(config.unk_token), tokenOf(config.pad_token)]),
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' }, { type: 'Lowercase' }],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: LATIN_WORDS }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: around(vocab, start, end),
    decoder: null,
    model: {
      type: 'BPE',
      unk_token: tokenOf(config.unk_token) ?? end,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab,
      merges,
    },
  }
}

function roberta(vocab: JsonObject, merges: readonly string[], config: JsonObject): JsonObject {
  const [start, end] = [tokenOf(config.cls_token) ?? '<s>', tokenOf(config.sep_token) ?? '</s>']
  const others = [tokenOf(config.unk_token) ?? '<unk>', tokenOf(config.pad_token) ?? '<pad>']
  return {
    added_tokens: special(vocab, [start, end, ...others, tokenOf(config.mask_token) ?? '<mask>']),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: config.add_prefix_space === true, trim_offsets: true, use_regex: true },
    post_processor: around(vocab, start, end),
    decoder: null,
    model: {
      type: 'BPE',
      unk_token: others[0],
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      vocab,
      merges,
    },
  }
}

function around(vocab: JsonObject, start: string, end: string): JsonObject {
  const missing = [start, end].find((token) => !Object.hasOwn(vocab, token))
  if (missing !== undefined)
    throw new SadaError('TOKENIZER_INVALID', `"${missing}", which goes around a prompt, is not in the vocabulary of vocab.json.`)
  return {
    type: 'RobertaProcessing',
    sep: [end, vocab[end]],
    cls: [start, vocab[start]],
    trim_offsets: false,
    add_prefix_space: false,
  }
}

/** Tokens that are found in a text as they are, before anything else. */
function special(vocab: JsonObject, tokens: readonly (string | undefined)[]): JsonObject[] {
  const known = [...new Set(tokens)].filter((token) => token !== undefined && Object.hasOwn(vocab, token))
  return known.map((content) => ({
    id: vocab[content!],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }))
}

/** The patterns of the tokenizers in use. A free one could hang on a hostile prompt. */
const PATTERNS = [
  LATIN_WORDS,
  String.raw`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`,
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  '\\s+',
  ' {2,}',
]

function checkPatterns(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, each] of Object.entries(value)) {
    if (key === 'vocab' || key === 'merges') continue
    if (key === 'Regex' && !PATTERNS.includes(String(each)))
      throw new SadaError('TOKENIZER_INVALID', `${path}: the pattern ${JSON.stringify(each)} is none that is known to be safe.`)
    checkPatterns(each, path)
  }
}
