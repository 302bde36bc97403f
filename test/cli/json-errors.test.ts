import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { emptyFolder, ended, run, start } from '../support/spawn.ts'

const wrong: [args: string[], code: number, error: object, said: RegExp][] = [
  [
    ['a kid', '--stpes', '5'],
    2,
    { code: 'INVALID_ARGUMENT', argument: '--stpes' },
    /^unknown option '--stpes' \(Did you mean --steps\?\)$/,
  ],
  [['a kid', '--guidance'], 2, { code: 'INVALID_ARGUMENT', argument: '--guidance' }, /'--guidance <scale>' argument missing/],
  [['a kid', '--steps', '0'], 2, { code: 'INVALID_ARGUMENT', argument: '--steps' }, /"--steps" to be an integer/],
  [
    ['a kid', '--policy', 'every-n:n=0'],
    2,
    { code: 'INVALID_ARGUMENT', argument: '--policy' },
    /^Expected "n" of "--policy" to be/,
  ],
  [['a kid', '-m', 'avatr'], 2, { code: 'UNKNOWN_NAME', argument: '--model' }, /Did you mean "avatar"\?/],
  [['a kid', '-o', 'missing/x.png'], 1, { code: 'OUTPUT_FAILED', argument: '--output' }, /its folder does not exist/],
  [['policies', 'sadda'], 2, { code: 'UNKNOWN_NAME', argument: 'names' }, /Did you mean "sada"\?/],
  [['info', 'none.png'], 2, { code: 'INVALID_ARGUMENT', argument: 'file' }, /there is no such file/],
  [['engines', 'list', 'all'], 2, { code: 'INVALID_ARGUMENT' }, /^too many arguments/],
]

test('with --json an error is one object on stderr, with the code, the argument as it is typed, and the message', async () => {
  for (const [args, exit, expected, said] of wrong) {
    const { code, stdout, stderr } = await run('sada', ['--json', ...args])
    assert.equal([code, stdout], [exit, ''], args.join(' '))
    assert.match(stderr, /^[^\n]+\n$/)
    const { message, ...error } = JSON.parse(stderr).error
    assert.equal(error, expected)
    assert.match(message, said)
  }
})

test('an interrupted run says so as JSON, too, and ends as it does without', async () => {
  const cwd = emptyFolder()
  const child = start('sada', ['a kid', '--steps', '1000', '-o', 'x.png', '--json'], cwd)
  const end = ended(child)
  while (!existsSync(join(cwd, 'x.png'))) await new Promise((resolve) => setTimeout(resolve, 20))
  child.kill('SIGINT')
  const { code, stdout, stderr } = await end
  assert.equal([code, stdout], [130, ''])
  assert.equal(JSON.parse(stderr), { error: { code: 'INTERRUPTED', message: 'interrupted; no result was written' } })
})

test('behind "--" it is a word of the prompt, and in sada-bench the name of a file: errors are text', async () => {
  const [prompt, bench] = await Promise.all([
    run('sada', ['--steps', '0', '--', '--json']),
    run('sada-bench', ['--steps', '0', '--json', '-']),
  ])
  assert.match(prompt.stderr, /^sada: Expected "--steps".* \[INVALID_ARGUMENT\]\n$/)
  assert.match(bench.stderr, /^sada-bench: Expected "--steps".* \[INVALID_ARGUMENT\]\n$/)
})

test.run()
