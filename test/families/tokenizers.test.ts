import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Folder } from '../../ts/families/folder.ts'
import { TextTokenizer } from '../../ts/families/tokenizers.ts'

// Expected ids: transformers on the same folders (test/fixtures/tokenizers/record.py).

const fixtures = join(__dirname, '../fixtures/tokenizers')
const { texts, recorded } = JSON.parse(readFileSync(join(fixtures, 'recorded.json'), 'utf8')) as {
  texts: string[]
  recorded: Record<string, { length: number; ids: number[][]; mask: number[][] }>
}

for (const [name, { length, ids, mask }] of Object.entries(recorded)) {
  for (const folder of [name, `${name}-json`]) {
    test(`${folder}: every awkward text gives the ids that transformers gives`, async () => {
      const tokenizer = await TextTokenizer.load(await Folder.open(fixtures), folder)
      assert.is(tokenizer.maxLength, length)
      const wrong = texts
        .map((text, k) => ({ text, found: tokenizer.encode(text), wanted: ids[k], mask: mask[k] }))
        .filter(({ found, wanted }) => String(found.ids) !== String(wanted))
      assert.equal(
        wrong.map(({ text, found, wanted }) => ({ text, found: String(found.ids), wanted: String(wanted) })),
        [],
      )
      texts.forEach((text, k) => assert.equal(tokenizer.encode(text).mask, mask[k], text))
    })
  }
}

test('what does not fit is counted, shorter lengths keep the end', async () => {
  const tokenizer = await TextTokenizer.load(await Folder.open(fixtures), 'clip')
  const words = tokenizer.encode('cat '.repeat(100))
  const [start, cat] = words.ids
  assert.is(words.ids.length, 77)
  const all = tokenizer.encode('cat '.repeat(100), 1000)
  assert.is(all.dropped, 0)
  assert.is(words.dropped, all.mask.reduce((sum, n) => sum + n, 0) - 77)
  const short = tokenizer.encode('cat cat cat', 4)
  assert.equal([short.ids[0], short.ids[1], short.ids[3]], [start, cat, words.ids.at(-1)])
  assert.ok(short.dropped > 0)
  assert.is(tokenizer.encode('cat').dropped, 0)
})

test('a long run of combining marks gives the ids of its canonical order', async () => {
  const tokenizer = await TextTokenizer.load(await Folder.open(fixtures), 'clip')
  const run = `a${'\u0301'.repeat(4999)}${'\u0323'.repeat(4999)}`
  assert.equal(tokenizer.encode(run), tokenizer.encode(run.normalize('NFC')))
})

test('letters in a row that T5 does not know are one token, found in no time that grows with their square', async () => {
  const tokenizer = await TextTokenizer.load(await Folder.open(fixtures), 't5')
  const time = (work: () => void): number => {
    const startedAt = performance.now()
    work()
    return performance.now() - startedAt
  }
  const [letter, part, all] = ['x', 'x'.repeat(1000), 'x'.repeat(10_000)].map((text) => tokenizer.encode(text))
  assert.equal([part, all], [letter, letter])
  const parts = time(() => {
    for (let k = 0; k < 10; k++) tokenizer.encode('x'.repeat(1000))
  })
  const whole = time(() => tokenizer.encode('x'.repeat(10_000)))
  // It was ten times as long, which was seconds; a moment of either is no measure.
  assert.ok(whole < 2 * parts || whole < 500, `${whole} ms, ${parts} ms in ten parts`)
})

const scratch = mkdtempSync(join(tmpdir(), 'sada-tokenizers-'))
test.after(() => rmSync(scratch, { recursive: true }))

async function codeOf(change: (folder: string) => void, vocabularySize?: number, from = 'clip'): Promise<string | undefined> {
  const folder = join(scratch, 'tokenizer')
  rmSync(folder, { recursive: true, force: true })
  cpSync(join(fixtures, from), folder, { recursive: true })
  change(folder)
  return TextTokenizer.load(await Folder.open(scratch), 'tokenizer', vocabularySize).then(
    () => undefined,
    (error: { code?: string }) => error.code,
  )
}

test('vocabularies may be several times as large as those of CLIP and T5', async () => {
  const larger = (folder: string): void => {
    const vocab = JSON.parse(readFileSync(join(folder, 'vocab.json'), 'utf8')) as Record<string, number>
    const { length } = Object.keys(vocab)
    const more = Array.from({ length: 150_000 }, (_, k) => [`x${k}`, length + k])
    writeFileSync(join(folder, 'vocab.json'), JSON.stringify({ ...vocab, ...Object.fromEntries(more) }))
  }
  assert.is(await codeOf(larger), undefined)
})

test('a tokenizer that does not fit is refused at load', async () => {
  const size = Object.keys(JSON.parse(readFileSync(join(fixtures, 'clip/vocab.json'), 'utf8')) as object).length
  assert.is(await codeOf(() => {}, size), undefined)
  assert.is(await codeOf(() => {}, size - 1), 'TOKENIZER_INVALID')
  assert.is(await codeOf((folder) => rmSync(join(folder, 'merges.txt'))), 'MODEL_NOT_FOUND')
  assert.is(await codeOf((folder) => rmSync(join(folder, 'vocab.json'))), 'MODEL_NOT_FOUND')
  assert.is(await codeOf((folder) => writeFileSync(join(folder, 'vocab.json'), '{"a": "b"}')), 'TOKENIZER_INVALID')
  assert.is(await codeOf((folder) => writeFileSync(join(folder, 'vocab.json'), '{"a": 0}')), 'TOKENIZER_INVALID')
  for (const id of [-1, 1.5, null]) {
    const other = (folder: string): void => {
      const vocab = JSON.parse(readFileSync(join(folder, 'vocab.json'), 'utf8')) as object
      writeFileSync(join(folder, 'vocab.json'), JSON.stringify({ ...vocab, zzz: id }))
    }
    assert.is(await codeOf(other), 'TOKENIZER_INVALID', String(id))
  }
  for (const token of ['<|startoftext|>', '<|endoftext|>']) {
    const without = (folder: string): void => {
      const vocab = JSON.parse(readFileSync(join(folder, 'vocab.json'), 'utf8')) as Record<string, number>
      const others = Object.entries(vocab).filter(([word]) => word !== token)
      writeFileSync(join(folder, 'vocab.json'), JSON.stringify(Object.fromEntries(others)))
    }
    assert.is(await codeOf(without), 'TOKENIZER_INVALID', token)
  }
  const bytes = readFileSync(join(fixtures, 't5/spiece.model'))
  for (let k = 0; k < 16; k++) {
    const cut = bytes.subarray(0, Math.floor((bytes.length * k) / 16))
    const code = await codeOf((folder) => writeFileSync(join(folder, 'spiece.model'), cut), undefined, 't5')
    assert.is(code, 'TOKENIZER_INVALID', `cut at ${k}/16`)
  }
})

/** A tokenizer of a folder whose configurations say something else. */
async function changed(from: string, config: object, special?: object): Promise<TextTokenizer> {
  const folder = join(scratch, 'tokenizer')
  rmSync(folder, { recursive: true, force: true })
  cpSync(join(fixtures, from), folder, { recursive: true })
  const path = join(folder, 'tokenizer_config.json')
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...config }))
  if (special) writeFileSync(join(folder, 'special_tokens_map.json'), JSON.stringify(special))
  return TextTokenizer.load(await Folder.open(scratch), 'tokenizer')
}

test('special tokens are those that the configuration names, as text or as objects; without one for padding it is the end', async () => {
  for (const [from, start, end] of [
    ['clip', 'bos_token', 'eos_token'],
    ['roberta', 'cls_token', 'sep_token'],
  ] as const) {
    const vocab = JSON.parse(readFileSync(join(fixtures, from, 'vocab.json'), 'utf8')) as Record<string, number>
    const tokenizer = await changed(from, { [start]: '!', [end]: { content: '?' }, eos_token: { content: '?' }, pad_token: null })
    const { ids, mask } = tokenizer.encode('', 4)
    assert.equal(
      [ids, mask],
      [
        [vocab['!'], vocab['?'], vocab['?'], vocab['?']],
        [1, 1, 0, 0],
      ],
      from,
    )
    const own = await changed(from, { [start]: undefined, [end]: undefined, pad_token: '#' })
    const [first, last] = from === 'clip' ? ['<|startoftext|>', '<|endoftext|>'] : ['<s>', '</s>']
    assert.equal(own.encode('', 3).ids, [vocab[first], vocab[last], vocab['#']], from)
  }
})

test('special_tokens_map.json goes before a configuration of the older form, and after one that lists all its tokens', async () => {
  const vocab = JSON.parse(readFileSync(join(fixtures, 'clip/vocab.json'), 'utf8')) as Record<string, number>
  const padding = (tokenizer: TextTokenizer): number => tokenizer.encode('', 3).ids[2]
  assert.is(padding(await changed('clip', { pad_token: '#' }, { pad_token: '!' })), vocab['!'])
  assert.is(padding(await changed('clip', { pad_token: '#', added_tokens_decoder: {} }, { pad_token: '!' })), vocab['#'])
  assert.is(padding(await changed('clip', { pad_token: undefined, added_tokens_decoder: {} }, { pad_token: '!' })), vocab['!'])
  assert.is(padding(await changed('clip', { pad_token: '#' }, {})), vocab['#'])
})

test('a length is a whole number from 4 to 8192, else 512; a text of more than 10 000 characters is refused', async () => {
  for (const [written, length] of [
    [4, 4],
    [8192, 8192],
    [3, 512],
    [8193, 512],
    [76.5, 512],
    ['77', 512],
    [1e30, 512],
    [undefined, 512],
  ])
    assert.is((await changed('clip', { model_max_length: written })).maxLength, length)
  const tokenizer = await changed('t5', {})
  assert.is(tokenizer.encode(' '.repeat(10_000)).dropped, 0)
  assert.throws(() => tokenizer.encode(' '.repeat(10_001)), /has 10001 characters; at most 10000/)
})

test('a free pattern is refused; a word of that name is none', async () => {
  const changing = (change: (definition: any) => void) => (folder: string) => {
    const path = join(folder, 'tokenizer.json')
    const definition: unknown = JSON.parse(readFileSync(path, 'utf8'))
    change(definition)
    writeFileSync(path, JSON.stringify(definition))
  }
  const pattern = changing(({ normalizer }) => (normalizer.normalizers[1].pattern.Regex = '(\\s+)+$'))
  assert.is(await codeOf(pattern, undefined, 'clip-json'), 'TOKENIZER_INVALID')
  const word = changing(({ model }) => (model.vocab.Regex = 0))
  assert.is(await codeOf(word, undefined, 'clip-json'), undefined)
})

test.run()
