import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isLowercasing, withUnicodeBlanks } from '../../ts/families/unicode-blanks.ts'

// Blanks as Unicode has them in a tokenizer's definition. What comes of whole texts is in tokenizers.test.ts.

interface Split {
  readonly type: string
  readonly pattern: { readonly Regex: string }
  readonly behavior: string
}
const splitterOf = (part: object): any => withUnicodeBlanks({ normalizer: null, pre_tokenizer: part }).pre_tokenizer
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
const words = ({ pattern }: Split, text: string): string[] => text.match(new RegExp(pattern.Regex, 'gu')) ?? []

test('byte-level words are split before their bytes are: U+0085 is a blank, U+FEFF is none', () => {
  const { type, pretokenizers } = splitterOf(byteLevel)
  const [split, bytes] = pretokenizers as [Split, object]
  assert.equal([type, split.type, split.behavior, bytes], ['Sequence', 'Split', 'Isolated', { ...byteLevel, use_regex: false }])
  assert.equal(words(split, "it's 3 cats!"), ['it', "'s", ' 3', ' cats', '!'])
  assert.equal(words(split, '!\u0085! \ufeff!'), ['!', '\u0085', '!', ' \ufeff!'])
  assert.equal(splitterOf({ type: 'Sequence', pretokenizers: [byteLevel] }).pretokenizers[0].type, 'Sequence')
})

test('byte-level words stay with the library where it puts a blank in front, or does not split', () => {
  for (const part of [
    { ...byteLevel, add_prefix_space: true },
    { ...byteLevel, use_regex: false },
  ])
    assert.equal(splitterOf(part), part)
})

test('patterns and splitting by blanks are rewritten, wherever they stand', () => {
  const normalizers = [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: '\\s+|\\S' }, content: ' ' }]
  const made = withUnicodeBlanks({ normalizer: { type: 'Sequence', normalizers }, pre_tokenizer: { type: 'WhitespaceSplit' } })
  const [form, replace] = (made.normalizer as { normalizers: typeof normalizers }).normalizers
  assert.equal([form, replace.pattern], [{ type: 'NFC' }, { Regex: '\\p{White_Space}+|\\P{White_Space}' }])
  assert.equal(made.pre_tokenizer, { type: 'Split', pattern: { Regex: '\\p{White_Space}+' }, behavior: 'Removed', invert: false })
})

test('blanks at the ends that a normalizer takes away are those of tokenizers', () => {
  const made = (strip_left: boolean, strip_right: boolean): any =>
    withUnicodeBlanks({ normalizer: { type: 'Strip', strip_left, strip_right }, pre_tokenizer: null }).normalizer
  const stripped = (text: string, ...sides: [left: boolean, right: boolean]): string => {
    const { type, pattern, content } = made(...sides)
    assert.is(type, 'Replace')
    // As the library reads Oniguruma's anchors.
    const anchored = pattern.Regex.replaceAll('\\A', '(?<![^])').replaceAll('\\z', '(?![^])')
    return text.replace(new RegExp(anchored, 'gu'), content)
  }
  // normalizers.Strip(left, right).normalize_str(text) of tokenizers 0.23.3
  const texts = ['\u0085 a \u0085b\u0085 \u3000', '\ufeff a\ufeff', '\x1c\u180ea\u200b\x0b', '  \n\u0085', '']
  for (const [left, right, wanted] of [
    [false, true, ['\u0085 a \u0085b', '\ufeff a\ufeff', '\x1c\u180ea\u200b', '', '']],
    [true, false, ['a \u0085b\u0085 \u3000', '\ufeff a\ufeff', '\x1c\u180ea\u200b\x0b', '', '']],
    [true, true, ['a \u0085b', '\ufeff a\ufeff', '\x1c\u180ea\u200b', '', '']],
    [false, false, texts],
  ] as const)
    assert.equal(
      texts.map((text) => stripped(text, left, right)),
      wanted,
      `${left} ${right}`,
    )
  // Blanks in the middle take no time: a pattern that tries each of them takes a minute.
  const long = `a${' '.repeat(100_000)}b`
  assert.is(stripped(long, true, true), long)
})

test('a definition makes capitals small by its normalizer, or by one of several', () => {
  const among = (...types: string[]) => ({ normalizer: { type: 'Sequence', normalizers: types.map((type) => ({ type })) } })
  for (const definition of [{ normalizer: { type: 'Lowercase' } }, among('NFC', 'Lowercase')])
    assert.ok(isLowercasing(definition))
  for (const definition of [{}, { normalizer: null }, { normalizer: { type: 'NFC' } }, among('NFC', 'Replace'), among()])
    assert.not.ok(isLowercasing(definition))
})

test.run()
