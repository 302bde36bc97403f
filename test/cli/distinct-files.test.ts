import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { join, relative } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkDistinct } from '../../ts/cli/distinct-files.ts'
import type { SadaError } from '../../ts/errors.ts'
import { emptyFolder, run } from '../support/spawn.ts'

const named = (option: string, path: string) => ({ option, path })
const said = (outputs: string[], inputs: string[] = []): Promise<string> =>
  checkDistinct(
    outputs.map((path, k) => named(`--out${k}`, path)),
    inputs.map((path, k) => named(`--in${k}`, path)),
  ).then(
    () => 'distinct',
    ({ code, argument, message }: SadaError) => `${code} ${argument}: ${message}`,
  )

test('one file is one file however it is named: by another path, a link to it or to its folder, there or not yet', async () => {
  const folder = emptyFolder()
  const at = (...parts: string[]): string => join(folder, ...parts)
  mkdirSync(at('a'))
  writeFileSync(at('a', 'old'), 'kept')
  symlinkSync(at('a'), at('b'))
  symlinkSync(at('a', 'old'), at('soft'))
  linkSync(at('a', 'old'), at('hard'))
  mkdirSync(at('a', 'deep'))
  symlinkSync(at('a', 'deep'), at('far'))
  for (const other of [at('a', 'old'), `${folder}/a/../a/old`, at('b', 'old'), at('soft'), at('hard')]) {
    assert.match(await said([at('a', 'old')], [other]), /^INVALID_ARGUMENT --out0: .*--in0 reads it.*Name another/)
    assert.match(await said([at('a', 'old'), other]), /^INVALID_ARGUMENT --out1: .*--out0 writes/)
  }
  for (const [one, other] of [
    [at('a', 'new'), at('b', 'new')],
    [at('a', 'no', 'new'), at('b', 'no', 'new')],
    // Up from where a link leads to, as the system goes.
    [at('a', 'new'), `${at('far')}/../new`],
    [relative(process.cwd(), at('a', 'no', 'new')), at('b', 'no', 'new')],
  ])
    assert.match(await said([one, other]), /^INVALID_ARGUMENT/)
  assert.is(await said([at('a', 'new'), at('new')], [at('soft'), at('hard')]), 'distinct')
  if (process.platform === 'win32') return
  assert.is(await said(['/dev/null', '/dev/null']), 'distinct')
  // A device beside them changes nothing of that.
  assert.match(await said(['/dev/null', at('a', 'old'), at('hard')]), /^INVALID_ARGUMENT --out2/)
})

test('files of the same number on two disks are two, and so are those whose numbers differ beyond 2⁵³', async () => {
  const plain = fs.stat
  const numbers: Record<string, readonly [dev: bigint, ino: bigint]> = {
    a: [1n, 7n],
    b: [2n, 7n],
    c: [1n, 2n ** 60n],
    d: [1n, 2n ** 60n + 1n],
  }
  fs.stat = ((path: string, { bigint = false } = {}) => {
    const [dev, ino] = numbers[path].map((each) => (bigint ? each : Number(each)))
    return Promise.resolve({ dev, ino, isFile: () => true })
  }) as unknown as typeof fs.stat
  try {
    assert.is(await said(['a', 'b', 'c', 'd']), 'distinct')
    assert.match(await said(['a', 'c', 'a']), /^INVALID_ARGUMENT --out2/)
  } finally {
    fs.stat = plain
  }
})

test('no output may be a file that is read, or another output: nothing is written, made or begun', async () => {
  const cwd = emptyFolder()
  for (const name of ['r.jsonl', 't.jsonl', 'p.txt', 'page.jsonl']) writeFileSync(join(cwd, name), name)
  const before = readdirSync(cwd)
  const report = ['table1', '--report-only', '--resume', 'r.jsonl']
  for (const [args, option] of [
    [[...report, '--json', 'r.jsonl'], '--json'],
    [[...report, '--html', './x', '--json', 'x'], '--json'],
    [[...report, '--timing', 't.jsonl', '--csv', 't.jsonl'], '--csv'],
    [['table1', '--resume', 'r.jsonl', '--timing', 'r.jsonl'], '--resume'],
    [['table1', '--resume', 'r.jsonl', '--prompts', 'p.txt', '--markdown', 'p.txt'], '--markdown'],
    [['table1', '--resume', 'p.txt', '--coco', 'p.txt'], '--resume'],
    [['table1', '--json', 'new.json', '--html', 'new.jsonl'], '--html'],
    [['--html', 'x', '--json', 'x'], '--json'],
    [['--html', 'p.txt', '--prompts', 'p.txt'], '--html'],
  ] as const) {
    const { code, stdout, stderr } = await run('sada-bench', args, cwd)
    assert.equal([code, stdout], [2, ''], stderr)
    assert.ok(stderr.includes(`"${option}"`), `${option}: ${stderr}`)
    assert.match(stderr, /\[INVALID_ARGUMENT\]\n$/)
  }
  assert.equal(readdirSync(cwd), before)
  for (const name of before) assert.is(readFileSync(join(cwd, name), 'utf8'), name)
})

test.run()
