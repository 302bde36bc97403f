import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { COMMANDS, commandFor, isRecord, promptOf, quoted } from '../../ts/cli/command-line.ts'
import { familyFolder } from '../support/families.ts'
import { emptyFolder, run } from '../support/spawn.ts'

const picture = async (path: string, width: number, height: number): Promise<void> => {
  const { encode } = await import('fast-png')
  const data = Uint8Array.from({ length: width * height * 3 }, (_, k) => (k * 7) % 256)
  writeFileSync(path, encode({ width, height, data, channels: 3, depth: 8 }))
}

test('a diffusers folder: negative prompt, size, a picture to start from; info prints the command that makes the same bytes', async () => {
  const cwd = emptyFolder()
  await picture(join(cwd, 'photo.png'), 50, 34)
  const words = ["it's a cat — 猫", '-m', familyFolder('sd2'), '--negative', 'blurry "x"', '--steps', '9', '--seed', '11']
  const more = ['--init', 'photo.png', '--strength', '.6', '--guidance', '5', '--policy', 'every-n:n=2,warmup=1', '-n', '2']
  const first = await run('sada', [...words, ...more, '-o', 'x.png', '--json'], cwd)
  assert.equal([first.code, first.stderr], [0, ''])
  const told = JSON.parse(first.stdout)
  // 50 × 34 pixels are more than the 32 × 32 the model was made for: two pictures of 32 × 32 with a gap of two pixels.
  assert.equal([told.pictures, told.width, told.height, told.model, told.steps], [2, 66, 32, 'stable-diffusion', 5])
  const told2 = JSON.parse((await run('sada', ['info', 'x.png', '--json'], cwd)).stdout)
  assert.equal([told2.prompt, told2.seeds], ["it's a cat — 猫", [11, 12]])
  const same = await run('sada', [...told2.command, '-o', 'y.png'], cwd)
  assert.equal([same.code, same.stderr], [0, ''])
  assert.equal(readFileSync(join(cwd, 'y.png')), readFileSync(join(cwd, 'x.png')))
  const text = (await run('sada', ['info', 'x.png'], cwd)).stdout
  assert.match(text, /^prompt +it's a cat/)
  assert.match(text, /seeds +11, 12\n/)
})

test('ControlNets and sounds from the command line', async () => {
  const cwd = emptyFolder()
  await picture(join(cwd, 'edges.png'), 32, 32)
  const [led, sound] = await Promise.all([
    run('sada', ['a cat', '-m', familyFolder('sd2-controlnet'), '--control', 'edges.png', '--steps', '2', '-o', 'x.png'], cwd),
    run('sada', ['a drum', '-m', familyFolder('musicldm'), '--seconds', '0.03', '--steps', '2'], cwd),
  ])
  assert.match(led.stdout, /^x\.png: 1 picture, 32×32/)
  assert.match(sound.stdout, /^a-drum\.wav: 0\.03 s of sound, 1\.0 kB/)
  const wav = readFileSync(join(cwd, 'a-drum.wav'))
  assert.equal([wav.toString('latin1', 0, 4), wav.length], ['RIFF', 44 + 2 * 480])
})

test('what only some families take: guidance of its own for a negative prompt, a second prompt, tokens of T5, the share of the run a ControlNet leads', async () => {
  const cwd = emptyFolder()
  await picture(join(cwd, 'edges.png'), 32, 32)
  const options: Record<string, string[]> = {
    flux: ['--negative', 'blurry', '--true-guidance', '3', '--width', '32', '--height', '32'],
    sdxl: ['--second-prompt', 'a dog'],
    sd3: ['--max-sequence-length', '16'],
    'sd2-controlnet': ['--control', 'edges.png', '--control-start', '0.5', '--control-end', '0.9'],
  }
  const pixels = async (file: string) => (await import('fast-png')).decode(readFileSync(join(cwd, file))).data
  for (const [family, given] of Object.entries(options)) {
    const words = ['a cat', '-m', familyFolder(family), '--steps', '2', '--policy', 'none']
    const first = await run('sada', [...words, ...given, '-o', 'with.png'], cwd)
    assert.equal([first.code, first.stderr], [0, ''], family)
    const without = given.filter((_, k) => (family === 'sd2-controlnet' ? k < 2 : k >= 4))
    await run('sada', [...words, ...without, '-o', 'without.png'], cwd)
    assert.not.equal(await pixels('without.png'), await pixels('with.png'), family)
    const { command } = JSON.parse((await run('sada', ['info', 'with.png', '--json'], cwd)).stdout) as { command: string[] }
    for (let k = 0; k < given.length; k += 2)
      assert.ok(command.includes(`${given[k]}=${given[k + 1]}`), `${family}: ${command.join(' ')}`)
  }
})

test('a picture that a model does not take is refused itself, not the size that follows from it', async () => {
  const cwd = emptyFolder()
  await picture(join(cwd, 'edges.png'), 32, 32)
  for (const [model, option] of [
    ['avatar', 'init'],
    ['avatar', 'control'],
    [familyFolder('musicldm'), 'init'],
  ]) {
    const { code, stderr } = await run('sada', ['a kid', '-m', model, `--${option}`, 'edges.png', '-o', 'x'], cwd)
    assert.is(code, 2)
    assert.match(stderr, `Expected "--${option}" to be left out: this model does not take it`)
  }
})

test('a negative prompt that cannot have an effect is warned of', async () => {
  const cwd = emptyFolder()
  const words = ['a cat', '--negative', 'blurry', '--policy', 'none', '--steps', '1', '-o', 'x.png', '-m']
  const flux = await run('sada', [...words, familyFolder('flux'), '--width', '32', '--height', '32'], cwd)
  assert.equal([flux.code, flux.stderr], [0, 'Warning: --negative has no effect without --true-guidance above 1.\n'])
  const sd2 = await run('sada', [...words, familyFolder('sd2'), '--guidance', '1'], cwd)
  assert.equal([sd2.code, sd2.stderr], [0, 'Warning: --negative has no effect without --guidance above 1.\n'])
})

test('a word that is nearly a command is a prompt to a model that knows any word, with a hint', async () => {
  const words = ['--steps', '1', '--policy', 'none', '-o', 'x.png', '-m', familyFolder('sd2')]
  const [meant, other] = await Promise.all(['docter', 'lighthouse'].map((word) => run('sada', [word, ...words])))
  assert.equal([meant.code, other.code, other.stderr], [0, 0, ''])
  assert.is(meant.stderr, '"docter" is taken for a prompt; there is a command "sada doctor".\n')
})

test('what does not fit the model is said, and nothing is left behind', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'text.png'), 'no picture')
  const wrong: [string[], RegExp][] = [
    [['-m', familyFolder('musicldm'), '-o', 'x.png'], /ends with \.wav.*\[INVALID_ARGUMENT\]/],
    [['-m', familyFolder('sd2'), '-o', 'x.wav'], /ends with \.png.*\[INVALID_ARGUMENT\]/],
    [
      ['-m', familyFolder('sd2'), '--init', 'none.png'],
      /"--init" to be a picture file, received "none\.png": there is no such file\./,
    ],
    [['-m', familyFolder('sd2'), '--init', '.'], /"--init" to be a picture file, received "\.": that is a folder\./],
    [['-m', familyFolder('sd2'), '--init', 'text.png'], /"--init".*PNG/],
    [['-m', familyFolder('sd2'), '--seconds', '3'], /"--seconds".*does not take it.* It takes "--negative", /],
    [['--control-end', '0.5'], /"--control" to be given with "--control-end"/],
    [['--negative', 'x'], /"--negative".*does not take it/],
    [['-m', familyFolder('sd2'), '--width', '31'], /"--width".*multiple of 2/],
  ]
  for (const [args, said] of wrong) {
    const { code, stdout, stderr } = await run('sada', ['a cat', '--steps', '2', ...args], cwd)
    assert.equal([code, stdout], [2, ''], args.join(' '))
    assert.match(stderr, said)
  }
  for (const [file, why] of [
    ['text.png', /PNG file that sada has written/],
    ['none.png', /there is no such file/],
    ['.', /that is a folder/],
  ] as const) {
    const { code, stderr } = await run('sada', ['info', file], cwd)
    assert.is(code, 2)
    assert.match(stderr, why)
  }
  assert.equal(readdirSync(cwd), ['text.png'])
})

test('prompts that look like options or commands stay prompts', () => {
  for (const prompt of ['a cat', '-o x', '--', 'engines']) {
    const command = commandFor(prompt, { model: 'm', seed: 1, count: 1 } as never)
    assert.ok(isRecord(command))
    assert.not(COMMANDS.includes(command[0]))
    assert.is(promptOf(command), prompt)
    // Options can follow, and nothing but options begins like one.
    assert.not(
      command.some((each) => /^-(?!-[a-z]+=)/.test(each)),
      prompt,
    )
  }
})

test('a file of somebody else: its command is one line that a shell takes for one command, and a terminal obeys nothing of it', async () => {
  const cwd = emptyFolder()
  const prompt = "a cat'\\\ntouch gone #\x1b]0;title\x07\u009b2J"
  const { encode } = await import('fast-png')
  const command = JSON.stringify([prompt, `--negative=${prompt}`]).replace(
    /[^\x20-\x7e]/g,
    (c) => `\\u00${c.charCodeAt(0).toString(16)}`,
  )
  const text = { Command: command, Settings: JSON.stringify({ model: 'x\ny\x1b' }) }
  writeFileSync(join(cwd, 'x.png'), encode({ width: 1, height: 1, data: new Uint8Array(3), channels: 3, depth: 8, text }))
  const { stdout } = await run('sada', ['info', 'x.png'], cwd)
  assert.not.match(stdout, /[^\P{Cc}\n]/u)
  const shown = asTyped(stdout.trimEnd().split('\n').at(-1)! + ' -o again.png', cwd)
  assert.equal(shown, [prompt, `--negative=${prompt}`, '-o', 'again.png'])
  assert.equal(readdirSync(cwd), ['x.png'])
})

/** The arguments that every shell of this machine makes of a command. */
function asTyped(command: string, cwd: string, shells = ['bash', 'sh']): string[] {
  const script = `sada() { printf '%s\\0' "$@"; }; eval "$1"`
  const all = shells.map((shell) => execFileSync(shell, ['-c', script, shell, command], { cwd }).toString())
  for (const each of all) assert.is(each, all[0])
  return all[0].split('\0').slice(0, -1)
}

test('control characters, quotation marks and what bash and printf read are what they were in any shell', () => {
  const cwd = emptyFolder()
  const values = ['\n', '-e\t%d%%\\n', '\x01!$(touch x)`touch x`', "\x7f'\"\\'); touch x #", '\u20281\u00857é', '\\\n0']
  const args = ['a\x1b cat', ...values.map((value) => `--negative=${value}.`)]
  assert.equal(asTyped(`sada ${quoted(args)}`, cwd), args)
  // A newline at the end takes a shell that knows a newer way; no other runs any of it.
  const ending = ["--negative=it's\\'; touch x #\n\n", '\n']
  assert.equal(asTyped(`sada ${quoted(ending)}`, cwd, ['bash']), ending)
  assert.is(asTyped(`sada ${quoted(ending)}`, cwd, ['sh']).length, ending.length)
  assert.equal(readdirSync(cwd), [])
})

test('quoting is what a shell undoes', () => {
  assert.is(
    quoted(['--steps=4', `--negative=it's "x"`, '--', 'a $HOME `b`']),
    `--steps=4 --negative='it'\\''s "x"' -- 'a $HOME \`b\`'`,
  )
})

test.run()
