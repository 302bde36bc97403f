import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Manifest } from '../../ts/plan/manifest.ts'
import { Tokenizer } from '../../ts/plan/tokenizer.ts'

// The word-list tokenizer of a plan.

const spec = {
  pattern: '[a-z]+|,',
  length: 4,
  lowercase: true,
  pad: 7,
  unknown: 1,
  aliases: { kitty: 'cat' },
  unconditional: [2],
}
const tokenizer = (changes: object = {}): Tokenizer =>
  new Tokenizer({ ...spec, ...changes } as unknown as Manifest['text'], ['', '', '', 'a', 'cat', ','])
const read = (prompt: string, changes?: object) => {
  const { ids, unknown } = tokenizer(changes).encode(prompt)
  return [[...ids], unknown]
}

test('words are looked up, others are the unknown one and said once, the rest is padding', () => {
  assert.equal(read('a cat'), [[3, 4, 7, 7], []])
  assert.equal(read('A Kitty, 3 cats'), [
    [3, 4, 5, 1],
    ['cats', '3'],
  ])
  assert.equal(read('dog cat dog fox'), [
    [1, 4, 1, 1],
    ['dog', 'fox'],
  ])
  assert.equal(read('12 !?'), [[7, 7, 7, 7], ['12']])
  assert.equal(read('a Café, Ünï'), [
    [3, 1, 5, 1],
    ['café', 'ünï'],
  ])
  assert.equal([...tokenizer().unconditional()], [2, 7, 7, 7])
})

test('capitals are letters that are passed over where the plan does not make them small', () => {
  assert.equal(read('A cat', { lowercase: false }), [[4, 7, 7, 7], ['A']])
})

test("names of an object's own prototype are no aliases", () => {
  assert.equal(read('constructor'), [[1, 7, 7, 7], ['constructor']])
})

test('a prompt may have as many words as are read, and not one more', () => {
  assert.equal(read('a a a a'), [[3, 3, 3, 3], []])
  assert.throws(
    () => read('a a, a a'),
    (error: { code: string; argument: string; message: string }) =>
      error.code === 'PROMPT_TOO_LONG' &&
      error.argument === 'prompt' &&
      error.message.includes('has 5 words and commas; this model reads 4'),
  )
})

test('a text that nobody can have meant to be read is refused by its length, whatever its words', () => {
  assert.equal(read('x'.repeat(10_000))[0], [1, 7, 7, 7])
  assert.throws(
    () => read('x'.repeat(10_001)),
    (error: { code: string; argument: string; message: string }) =>
      error.code === 'PROMPT_TOO_LONG' &&
      error.argument === 'prompt' &&
      error.message.includes('has 10001 characters; at most 10000'),
  )
})

test.run()
