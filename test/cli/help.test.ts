import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { run } from '../support/spawn.ts'

/** However wide the lines are. */
const inOneLine = (text: string): string => text.replace(/\s+/g, ' ')

test('help and version go to stdout and end with 0', async () => {
  const [help, version] = await Promise.all([run('sada', ['--help']), run('sada', ['--version'])])
  assert.equal([help.code, help.stderr, version.code], [0, '', 0])
  assert.match(help.stdout, 'Examples:')
  assert.match(version.stdout, /^\d+\.\d+\.\d+\S*\n$/)
  for (const command of ['sada', 'sada-bench'] as const) {
    const [word, option] = await Promise.all([run(command, ['help']), run(command, ['--help'])])
    assert.equal([word.code, word.stdout], [0, option.stdout])
  }
})

test('without arguments a few lines go to stderr, with the usage of the help, and it is wrong usage', async () => {
  const [bare, help] = await Promise.all([run('sada', []), run('sada', ['--help'])])
  assert.equal([bare.code, bare.stdout], [2, ''])
  const lines = bare.stderr.split('\n')
  assert.is(lines[0], help.stdout.split('\n')[0])
  assert.match(bare.stderr, 'sada --help')
  assert.ok(lines.length < 12)
})

test('the help says where the JSON is beside a picture on stdout, and nothing of flags that are off', async () => {
  const help = inOneLine((await run('sada', ['--help'])).stdout)
  assert.match(help, / --json print what was done as one JSON object, on stderr with -o -; an error likewise/)
  assert.match(help, / --output <file> [^-]*; - for stdout, and what is said of it goes to stderr /)
  assert.not.match(help, /false|undefined/)
})

test('the help of a subcommand names the options of the program that it takes', async () => {
  const [calibrate, build] = await Promise.all([
    run('sada', ['calibrate', '--help']),
    run('sada', ['engines', 'build', '--help']),
  ])
  assert.match(inOneLine(calibrate.stdout), / also takes --model, --seed, --steps, .*--device and --engine\. /)
  assert.match(inOneLine(build.stdout), / also takes --model, --count, --width, --height and --seconds\. /)
})

test('subcommands list no flag as false, and are described in a sentence', async () => {
  const helps = await Promise.all([
    run('sada', ['policies', '--help']),
    run('sada', ['engines', 'build', '--help']),
    run('sada-bench', ['table1', '--help']),
  ])
  for (const { stdout } of helps) {
    assert.match(stdout, /^Usage: .*\n\n[A-Z][^]*?\.\n\n/)
    assert.not.match(stdout, /false|undefined|"(avatar|time|cpu|onnxruntime)"/)
  }
})

test.run()
