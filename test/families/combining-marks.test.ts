import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inCanonicalOrder, isNormalizing } from '../../ts/families/combining-marks.ts'

/** All combining marks that this Node knows, those among them that decompose and those that no other passes. */
const marks = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map((code) => String.fromCodePoint(code))
  .filter((character) => /\p{M}/u.test(character))

/** So many of them, without order. */
function shuffled(count: number, seed: number, from = marks): string {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return from[Math.floor((state / 2 ** 32) * from.length)]
  }).join('')
}

test('a text in canonical order is normalized to the same', () => {
  assert.ok(marks.length > 2000 && marks.includes('\u0344') && marks.includes('\u0f73'))
  // Of few marks most meet their like, and of these two decompose into several.
  const few = ['\u0301', '\u0323', '\u0334', '\u0345', '\u0344', '\u0f73', '\u034f', '\u3099']
  for (const from of [marks, few]) {
    for (const [k, count] of [1, 63, 64, 65, 128, 3000].entries()) {
      const run = shuffled(count, k + 1, from)
      for (const text of [run, `a${run}`, `\u1e69${run}b${shuffled(70, 9, from)}\uac00${run}\u0301`, `\ud800${run}`]) {
        for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD']) assert.is(inCanonicalOrder(text).normalize(form), text.normalize(form))
      }
    }
  }
})

test('short runs stay as they are, long ones are put in order', () => {
  const pair = '\u0301\u0323'
  assert.is(inCanonicalOrder(`a${pair.repeat(31)}\u0301`), `a${pair.repeat(31)}\u0301`)
  assert.is(inCanonicalOrder(`a${pair.repeat(32)}`), `a${'\u0323'.repeat(32)}${'\u0301'.repeat(32)}`)
})

test('a long run takes no time that grows with its square', () => {
  const run = '\u0301\u0323'.repeat(25_000)
  const time = (work: () => void): number => {
    const startedAt = performance.now()
    work()
    return performance.now() - startedAt
  }
  const [ordered, plain] = [time(() => inCanonicalOrder(run).normalize('NFC')), time(() => run.normalize('NFC'))]
  // It was a hundredth; where Node has found a way of its own, both take a moment.
  assert.ok(ordered < plain / 4 || ordered < 100, `${ordered} of ${plain} ms`)
})

test('it is for tokenizers that begin with a normalization, alone or first of several', () => {
  const sequence = (...types: string[]) => ({ type: 'Sequence', normalizers: types.map((type) => ({ type })) })
  for (const normalizer of [{ type: 'NFC' }, { type: 'NFKD' }, sequence('NFC', 'Replace', 'Lowercase')])
    assert.is(isNormalizing({ normalizer }), true)
  for (const normalizer of [
    null,
    { type: 'Lowercase' },
    { type: 'XNFC' },
    sequence(),
    sequence('Replace', 'NFC'),
    { type: 'Sequence' },
  ])
    assert.is(isNormalizing({ normalizer }), false)
  assert.is(isNormalizing({}), false)
})

test.run()
