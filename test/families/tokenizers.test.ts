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

test('a tokenizer that does not fit is refused at load', async () => {
  const size = Object.keys(JSON.parse(readFileSync(join(fixtures, 'clip/vocab.json'), 'utf8')) as object).length
  assert.is(await codeOf(() => {}, size), undefined)
  assert.is(await codeOf(() => {}, size - 1), 'TOKENIZER_INVALID')
  assert.is(await codeOf((folder) => rmSync(join(folder, 'merges.txt'))), 'MODEL_NOT_FOUND')
  assert.is(await codeOf((folder) => rmSync(join(folder, 'vocab.json'))), 'MODEL_NOT_FOUND')
  assert.is(await codeOf((folder) => writeFileSync(join(folder, 'vocab.json'), '{"a": "b"}')), 'TOKENIZER_INVALID')
  assert.is(await codeOf((folder) => writeFileSync(join(folder, 'vocab.json'), '{"a": 0}')), 'TOKENIZER_INVALID')
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

test('a free pattern is refused', async () => {
  const change = (folder: string): void => {
    const path = join(folder, 'tokenizer.json')
    const definition = JSON.parse(readFileSync(path, 'utf8'))
    definition.normalizer.normalizers[1].pattern.Regex = '(\\s+)+$'
    writeFileSync(path, JSON.stringify(definition))
  }
  assert.is(await codeOf(change, undefined, 'clip-json'), 'TOKENIZER_INVALID')
})

test.run()
