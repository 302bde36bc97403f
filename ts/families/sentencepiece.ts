import { SadaError } from '../errors.ts'
import type { JsonObject } from './folder.ts'

const UNIGRAM = 1
const UNKNOWN = 2
/** T5 has 100. */
const MOST_PLACES = 1000

/**
 * T5's `spiece.model` (a SentencePiece ModelProto, Kudo and Richardson 2018) as the definition of a Unigram tokenizer, with the
 * places to fill in (`<extra_id_0>`, …) that its configuration counts as "extra_ids". Throws TOKENIZER_INVALID.
 */
export function readSentencePieces(bytes: Uint8Array, { extra_ids: places }: JsonObject): JsonObject {
  const pieces: [piece: string, score: number][] = []
  let unknown = -1
  let kind = UNIGRAM
  let charsmap = ''
  for (const { number, content } of fields(bytes)) {
    if (number === 1) {
      const { piece, score, type } = readPiece(content)
      if (type === UNKNOWN) unknown = pieces.length
      pieces.push([piece, score])
    } else if (number === 2) {
      for (const { number: n, value } of fields(content)) if (n === 3) kind = value
    } else if (number === 3) {
      for (const each of fields(content)) if (each.number === 2) charsmap = Buffer.from(each.content).toString('base64')
    }
  }
  if (kind !== UNIGRAM) throw invalid(`its model type is ${kind}; only Unigram (${UNIGRAM}) can be read`)
  const end = pieces.findIndex(([piece]) => piece === '</s>')
  if (unknown < 0 || end < 0) throw invalid('it lacks the pieces <unk> and </s>')
  const count = Number.isInteger(places) ? Math.min(Math.max(places as number, 0), MOST_PLACES) : 0
  return definition(pieces, { unknown, end, charsmap, places: count })
}

interface Parts {
  readonly unknown: number
  readonly end: number
  readonly charsmap: string
  readonly places: number
}

function definition(pieces: readonly [string, number][], { unknown, end, charsmap, places }: Parts): JsonObject {
  const special = pieces.flatMap(([content], id) => (['<pad>', '</s>', '<unk>'].includes(content) ? [{ id, content }] : []))
  // Behind all pieces, counted from the end.
  const extra = Array.from({ length: places }, (_, k) => ({ id: pieces.length + places - 1 - k, content: `<extra_id_${k}>` }))
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
  const added = [...special, ...extra].map((each) => ({ ...each, ...plain }))
  return {
    added_tokens: added,
    normalizer: { type: 'Precompiled', precompiled_charsmap: charsmap },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'WhitespaceSplit' },
        { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', add_prefix_space: true },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [end], tokens: ['</s>'] } },
    },
    decoder: null,
    // Also what becomes a place by being normalized is one.
    model: { type: 'Unigram', unk_id: unknown, vocab: [...pieces, ...extra.map(({ content }) => [content, 0]).reverse()] },
  }
}

function readPiece(bytes: Uint8Array): { piece: string; score: number; type: number } {
  const found = { piece: '', score: 0, type: 1 }
  for (const { number, content, value } of fields(bytes)) {
    if (number === 1) found.piece = new TextDecoder().decode(content)
    else if (number === 2) found.score = new DataView(content.buffer, content.byteOffset).getFloat32(0, true)
    else if (number === 3) found.type = value
  }
  return found
}

interface Field {
  readonly number: number
  /** Of a varint. */
  readonly value: number
  /** Of everything else. */
  readonly content: Uint8Array
}

/** The fields of a message in Protocol Buffers' wire format. */
function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let k = 0; k < 10; k++) {
      if (at >= bytes.length) throw invalid('it ends in the middle of a field')
      const byte = bytes[at++]
      value += (byte & 0x7f) * 2 ** (7 * k)
      if (byte < 0x80) return value
    }
    throw invalid('it holds a number without an end')
  }
  while (at < bytes.length) {
    const tag = varint()
    const [number, wire] = [Math.floor(tag / 8), tag % 8]
    if (wire === 0) {
      yield { number, value: varint(), content: bytes.subarray(at, at) }
      continue
    }
    if (![1, 2, 5].includes(wire)) throw invalid(`it holds wire type ${wire}`)
    const length = wire === 2 ? varint() : wire === 1 ? 8 : 4
    if (at + length > bytes.length) throw invalid('it ends in the middle of a field')
    yield { number, value: 0, content: bytes.subarray(at, at + length) }
    at += length
  }
}

function invalid(what: string): SadaError {
  return new SadaError('TOKENIZER_INVALID', `spiece.model cannot be used: ${what}.`)
}
