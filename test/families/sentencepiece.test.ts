import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { withoutCharsmap } from '../../ts/families/precompiled.ts'
import { readSentencePieces } from '../../ts/families/sentencepiece.ts'
import { field, integer, varint } from '../support/onnx.ts'

// spiece.model and its table of replacements, written by hand (sentencepiece_model.proto; Darts). Whole ones are in tokenizers.test.ts.

const float = (number: number, value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([Buffer.from(varint(number * 8 + 5)), bytes])
}
const fixed64 = (number: number): Buffer => Buffer.from([...varint(number * 8 + 1), 1, 2, 3, 4, 5, 6, 7, 8])
const piece = (text: string, score = 0, ...rest: Buffer[]): Buffer =>
  field(1, Buffer.concat([field(1, text), float(2, score), ...rest]))
const [PAD, END, UNKNOWN] = [piece('<pad>', 0, integer(3, 3)), piece('</s>', 0, integer(3, 3)), piece('<unk>', 0, integer(3, 2))]

interface Definition {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[]
  readonly normalizer: { readonly precompiled_charsmap: string }
  readonly model: { readonly unk_id: number; readonly vocab: readonly (readonly [string, number])[] }
}
const read = (parts: readonly Buffer[], config = {}): Definition =>
  readSentencePieces(Buffer.concat([...parts]), config) as unknown as Definition

test('pieces have the ids of their order, and their scores; long ones and fields of no meaning are passed over', () => {
  const long = 'x'.repeat(300)
  const { model, added_tokens: added } = read([
    PAD,
    fixed64(9),
    END,
    UNKNOWN,
    piece('▁a', -1.5),
    piece('x'.repeat(128), -2, fixed64(4), float(5, 1)),
    piece(long, -0.25),
  ])
  const scores = [0, 0, 0, -1.5, -2, -0.25]
  assert.equal(
    model.vocab,
    ['<pad>', '</s>', '<unk>', '▁a', 'x'.repeat(128), long].map((text, k) => [text, scores[k]]),
  )
  assert.is(model.unk_id, 2)
  assert.equal(
    added.map(({ id, content }) => [id, content]),
    [
      [0, '<pad>'],
      [1, '</s>'],
      [2, '<unk>'],
    ],
  )
})

test('places to fill in are behind all pieces, counted from the end, a thousand at most', () => {
  const places = (config: object): string[] =>
    read([PAD, END, UNKNOWN], config).added_tokens.flatMap(({ id, content }) => (id > 2 ? [`${id} ${content}`] : []))
  assert.equal(places({ extra_ids: 2 }), ['4 <extra_id_0>', '3 <extra_id_1>'])
  for (const none of [{}, { extra_ids: 0 }, { extra_ids: -3 }, { extra_ids: 1.5 }, { extra_ids: '2' }])
    assert.equal(places(none), [])
  assert.is(places({ extra_ids: 1e9 }).length, 1000)
  const { vocab } = read([PAD, END, UNKNOWN], { extra_ids: 2 }).model
  assert.equal(
    vocab.map(([text]) => text),
    ['<pad>', '</s>', '<unk>', '<extra_id_1>', '<extra_id_0>'],
  )
})

test('the table is that of the normalizer, not of what turns ids into text', () => {
  const table = (number: number, text: string): Buffer => field(number, Buffer.concat([field(1, 'name'), field(2, text)]))
  const { normalizer } = read([PAD, END, UNKNOWN, table(3, 'normal'), table(5, 'other'), table(4, 'test')])
  assert.is(Buffer.from(normalizer.precompiled_charsmap, 'base64').toString(), 'normal')
})

test('another kind of model, one that lacks a piece, and what is no message are refused', () => {
  const kind = (value: number): Buffer => field(2, Buffer.concat([integer(4, 8), integer(3, value)]))
  read([PAD, END, UNKNOWN, kind(1)])
  const refusals: [Buffer[], RegExp][] = [
    [[PAD, END, UNKNOWN, kind(2)], /model type is 2/],
    [[PAD, UNKNOWN], /lacks the pieces/],
    [[PAD, END], /lacks the pieces/],
    [[], /lacks the pieces/],
    [[END, UNKNOWN, Buffer.from([0x0b])], /wire type 3/],
    [[END, UNKNOWN, Buffer.from([0x08, 0x80])], /ends in the middle/],
    [[END, UNKNOWN, Buffer.from([0x0a, 5, 1])], /ends in the middle/],
    // A length of 2³⁵, which in 32 bits would be that of what follows.
    [[END, UNKNOWN, Buffer.from([0x0a, ...Array<number>(5).fill(0x80), 1]), Buffer.alloc(8)], /ends in the middle/],
    [[END, UNKNOWN, Buffer.from([0x08, ...Array<number>(10).fill(0x80), 1])], /number without an end/],
  ]
  for (const [parts, said] of refusals) assert.throws(() => read(parts), said)
})

/** A table that replaces "a" by "XY" and a line's end of two characters by "Z": units of its trie by their place, offsets above 255 in the short form. */
function tableOf({ isTerminated = true } = {}): Buffer {
  const trie = new Uint32Array(1024)
  const label = (byte: string): number => byte.charCodeAt(0)
  const short = (offset: number): number => ((offset >> 8) << 10) | (1 << 9)
  const leaf = 1 << 8
  trie[0] = short(0x200)
  const [a, cr] = [0x200 ^ label('a'), 0x200 ^ label('\r')]
  trie[a] = label('a') | leaf | (5 << 10)
  trie[a ^ 5] = 0x80000000 | 0
  trie[cr] = label('\r') | short(0x100)
  const lf = cr ^ 0x100 ^ label('\n')
  trie[lf] = label('\n') | leaf | (9 << 10)
  trie[lf ^ 9] = 0x80000000 | 3
  const size = Buffer.alloc(4)
  size.writeUInt32LE(trie.byteLength)
  return Buffer.concat([size, Buffer.from(trie.buffer), Buffer.from(isTerminated ? 'XY\0Z\0' : 'XY\0Z')])
}
const definition = (table: Buffer) => ({ normalizer: { type: 'Precompiled', precompiled_charsmap: table.toString('base64') } })

test('graphemes of five bytes are replaced by what stands for their shortest beginning, longer ones character by character', () => {
  for (const isTerminated of [true, false]) {
    const { normalize } = withoutCharsmap(definition(tableOf({ isTerminated })))
    assert.is(normalize('ab ca'), 'XYb cXY')
    assert.is(normalize('b\r\n\n\r'), 'bZ\n\r')
    // A letter with two marks of two bytes; with a mark of two and one of three bytes.
    assert.is(normalize('a\u0301\u0301'), 'XY')
    assert.is(normalize('a\u0301\u20e3'), 'XY\u0301\u20e3')
    assert.is(normalize(''), '')
  }
})

test('graphemes are whole wherever they lie in a long text, and however long they are', () => {
  const { normalize } = withoutCharsmap(definition(tableOf()))
  for (let count = 1018; count <= 1026; count++) {
    const before = 'b'.repeat(count)
    assert.is(normalize(`${before}\r\na\u0301\u0301\r\n`), `${before}ZXYZ`, String(count))
  }
  const marks = '\u0301'.repeat(5000)
  assert.is(normalize(`ba${marks}\r\na`), `bXY${marks}ZXY`)
  // The longest text that is read: as one piece it takes Node 20 eight seconds and more.
  assert.is(normalize('ab\r\n'.repeat(25_000)), 'XYbZ'.repeat(25_000))
})

test('a table that is cut is refused; without one a text stays as it is', () => {
  const size = (bytes: number): Buffer => {
    const head = Buffer.alloc(12)
    head.writeUInt32LE(bytes)
    return head
  }
  withoutCharsmap(definition(size(8)))
  for (const table of [Buffer.alloc(3, 4), size(0), size(6), size(12), size(2 ** 32 - 4)])
    assert.throws(() => withoutCharsmap(definition(table)), /precompiled_charsmap\) is damaged/)
  for (const normalizer of [
    undefined,
    null,
    { type: 'NFC' },
    { type: 'Precompiled', precompiled_charsmap: '' },
    { type: 'Precompiled' },
  ]) {
    const { rest, normalize } = withoutCharsmap({ normalizer })
    assert.equal([rest, normalize('a')], [{ normalizer }, 'a'])
  }
})

test.run()
