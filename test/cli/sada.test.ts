import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { commandOf, emptyFolder, ended, run, start } from '../support/spawn.ts'

interface Text {
  readonly width: number
  readonly height: number
  readonly text: Record<string, string>
}

async function png(path: string): Promise<Text> {
  const { decode } = await import('fast-png')
  return decode(readFileSync(path))
}

test('a picture is saved under a new name of its own, and one line says so', async () => {
  const cwd = emptyFolder()
  const words = ['A', 'teal robot,', 'with round eyes', '--steps', '3', '--seed', '5', '--policy', 'none', '--scheduler', 'euler']
  const first = await run('sada', words, cwd)
  assert.equal([first.code, first.stderr], [0, ''])
  assert.match(first.stdout, /^a-teal-robot-with-round-eyes\.png: 1 picture, 64×64, [\d.]+ kB, [\d.]+ s, 3 network runs of 3\n$/)
  const second = await run('sada', words, cwd)
  assert.match(second.stdout, /^a-teal-robot-with-round-eyes-2\.png:/)
  const { width, height, text } = await png(join(cwd, 'a-teal-robot-with-round-eyes.png'))
  assert.equal([width, height, text.Title, text.Seed], [64, 64, 'A teal robot, with round eyes', '5'])
  assert.match(text.Software, /^sada \d[\d.]*, onnxruntime \d[\d.]*$/)
  assert.equal(JSON.parse(text.Settings).scheduler, 'euler')
  assert.equal(
    readFileSync(join(cwd, 'a-teal-robot-with-round-eyes.png')),
    readFileSync(join(cwd, 'a-teal-robot-with-round-eyes-2.png')),
  )
})

test('several pictures make one sheet; --json says everything as one object; unknown words warn by name on stderr', async () => {
  const cwd = emptyFolder()
  const { code, stdout, stderr } = await run('sada', ['a zebra robot', '-n', '3', '--steps', '8', '-o', 'x.png', '--json'], cwd)
  assert.is(code, 0)
  const told = JSON.parse(stdout)
  assert.equal([told.file, told.pictures, told.width, told.height, told.network_runs], ['x.png', 3, 130, 130, told.network_runs])
  assert.equal(told.unknown_words, ['zebra'])
  assert.match(stderr, /^The model "avatar" does not know "zebra";.*\n$/)
  assert.is((await png(join(cwd, 'x.png'))).text.Seed, '0 1 2')
})

test('seeds that a number cannot hold are taken, counted on from and told exactly', async () => {
  const cwd = emptyFolder()
  const words = ['a kid', '--seed', '9007199254740991', '-n', '2', '--steps', '1', '--policy', 'none', '-o', 'x.png', '--json']
  assert.is(JSON.parse((await run('sada', words, cwd)).stdout).seed, 9007199254740991)
  assert.is((await png(join(cwd, 'x.png'))).text.Seed, '9007199254740991 9007199254740992')
  const told = JSON.parse((await run('sada', ['info', 'x.png', '--json'], cwd)).stdout)
  assert.equal(told.seeds, [9007199254740991, '9007199254740992'])
  const again = told.command.map((each: string) => each.replace('--seed=9007199254740991', '--seed=9007199254740992'))
  const { code, stdout } = await run('sada', [...again, '-o', 'y.png', '--json'], cwd)
  assert.equal([code, JSON.parse(stdout).seed], [0, '9007199254740992'])
})

test('-o - puts the PNG alone on stdout', async () => {
  const { code, stdout, stderr } = await run('sada', ['a kid', '--steps', '2', '--policy', 'none', '-o', '-'])
  assert.is(code, 0)
  assert.ok(stdout.slice(1, 4) === 'PNG' && stdout.trimEnd().includes('IEND'))
  assert.match(stderr, /^stdout: 1 picture/)
})

test('a preview that is not drawn is said not to be', async () => {
  const words = ['a kid', '--steps', '1', '--policy', 'none', '-o', 'x.png', '--preview']
  const { code, stderr } = await run('sada', words, emptyFolder())
  assert.equal([code, stderr], [0, '--preview draws nothing: stderr is no terminal.\n'])
})

test('a memory budget is kept, what it took is said, and the file knows of it', async () => {
  const cwd = emptyFolder()
  const words = ['a kid', '--steps', '6', '--policy', 'every-n:warmup=2', '-o', 'x.png', '--json', '--memory-budget']
  const refused = await run('sada', [...words, '1K'], cwd)
  assert.is(refused.code, 2)
  const { argument, message } = JSON.parse(refused.stderr).error
  assert.is(argument, '--memory-budget')
  const [, least] = /^Expected "--memory-budget" to be at least (\d+)/.exec(message)!
  const { code, stdout, stderr } = await run('sada', [...words, least], cwd)
  assert.is(code, 0)
  assert.match(stderr, /^Warning: Memory budget of \d+ bytes: the policy's history is kept in float16\.$/m)
  assert.match(JSON.parse(stdout).warnings[0], 'float16')
  assert.match((await png(join(cwd, 'x.png'))).text.Command, `--memory-budget=${least}`)
})

const wrong: [args: string[], code: number, said: RegExp][] = [
  [[''], 2, /"prompt".*\[INVALID_ARGUMENT\]/],
  [['--steps', '5'], 2, /"prompt".*\[INVALID_ARGUMENT\]/],
  [['a kid', '--stpes', '5'], 2, /--stpes.*Did you mean --steps\?.*\[INVALID_ARGUMENT\]/],
  [['a kid', '--steps', '0'], 2, /"--steps" to be an integer from 1 to 1000, received "0"\. \[INVALID_ARGUMENT\]/],
  [
    ['a kid', '--seed', '18446744073709551616'],
    2,
    /"--seed" to be an integer from 0 to 2⁶⁴ − 1 = 18446744073709551615, received/,
  ],
  [['a kid', '--seed', '18446744073709551615', '-n', '2'], 2, /"--seed" to be at most 2⁶⁴ − 2,/],
  [['a kid', '--seed', '1.5'], 2, /"--seed" to be an integer from 0/],
  [['a kid', '--guidance', 'much'], 2, /"--guidance".*\[INVALID_ARGUMENT\]/],
  [['a kid', '--policy', 'sadda'], 2, /Did you mean "sada"\?.*\[UNKNOWN_NAME\]/],
  [['a kid', '--policy', 'auto'], 2, /"--policy" to be auto with one target above 0: auto:speedup=2, .*received "auto"\. They/],
  [['a kid', '--policy', 'replay'], 2, /needs its recording, which a command line can neither make nor give: it is for programs/],
  [['a kid', '--policy', 'every-n:n=0'], 2, /"n" of "--policy" to be an integer from 1 to 1000, received 0\./],
  [['a kid', '--engine', 'device'], 2, /"--engine" to be "onnxruntime", "webgpu" or "tensorrt", received "device"\./],
  [['a kid', '--scheduler', 'device'], 2, /Unknown scheduler "device"\..*\[UNKNOWN_NAME\]/],
  [['calibrate', 'magcache', '--device', 'nowhere'], 2, /"--device" to be "auto", .*received "nowhere"\./],
  [['a kid', '--scheduler', 'eular'], 2, /Did you mean "euler"\?.*\[UNKNOWN_NAME\]/],
  [['a kid', '-m', 'avatr'], 2, /Did you mean "avatar"\?.*\[UNKNOWN_NAME\]/],
  [['docter'], 2, /Did you mean "sada doctor"\?.*\[UNKNOWN_NAME\]/],
  [['help', 'docter'], 2, /Unknown command "docter"\. Did you mean "doctor"\? Known: info, /],
  [['engines', 'lst'], 2, /Unknown command of "sada engines" "lst"\. Did you mean "list"\? Known: list, build, clear\./],
  [['engines', 'help', 'none'], 2, /Unknown command of "sada engines" "none"\. Known: list, build, clear\./],
  [['engines', 'list', 'all'], 2, /too many arguments for 'list'/],
  [['hlep'], 2, /Did you mean "sada help"\?.*\[UNKNOWN_NAME\]/],
  [['a kid', '-o', ''], 2, /"--output" to be the name of a file, received ""\. \[INVALID_ARGUMENT\]/],
  [['kid '.repeat(60)], 2, /\[PROMPT_TOO_LONG\]/],
  [['a kid', '-o', 'x.jpg'], 2, /ends with \.png.*\[INVALID_ARGUMENT\]/],
  [['a kid', '-o', 'missing/x.png'], 1, /its folder does not exist.*\[OUTPUT_FAILED\]/],
  [['a kid', '-o', 'folder'], 1, /it is a folder.*\[OUTPUT_FAILED\]/],
  [['a kid', '-o', 'file/x.png'], 1, /\[OUTPUT_FAILED\]/],
  [['a kid', '-m', './nowhere'], 1, /\[MODEL_NOT_FOUND\]/],
  // No option says what kind of model it is.
  [['a kid', '-m', '.'], 1, /^(?!.*family).*is no model folder\. Give a folder with .*\[MODEL_NOT_FOUND\]/],
  [['a kid', '--init', 'file'], 2, /"--init" to be left out: this model does not take it, received "file"\./],
  [['doctor', '--jsn'], 2, /Did you mean --json\?/],
  [['doctor', '--steps', '5'], 2, /"--steps" to be left out: "doctor" does not take it, received 5\./],
  [['calibrate', 'magcache', '--negative', 'dark'], 2, /"--negative" to be left out: "calibrate" does not take it/],
  [['calibrate', 'magcache', '--seed', '18446744073709551615', '--samples', '2'], 2, /"--seed" to be at most 2⁶⁴ − 2,/],
  [['engines', 'build', '--device', 'cuda'], 2, /"--device" to be left out: "build" does not take it/],
]

test('wrong usage is one line on stderr, without a stack, and the exit code of its kind; nothing is left behind', async () => {
  const cwd = emptyFolder()
  mkdirSync(join(cwd, 'folder'))
  writeFileSync(join(cwd, 'file'), 'kept')
  for (let from = 0; from < wrong.length; from += 3) {
    await Promise.all(
      wrong.slice(from, from + 3).map(async ([args, code, said]) => {
        const result = await run('sada', args, cwd)
        assert.equal([result.code, result.stdout], [code, ''], args.join(' '))
        assert.match(result.stderr, said)
        assert.match(result.stderr, /^sada[^\n]*: [^\n]+\n$/)
      }),
    )
  }
  assert.equal(readdirSync(cwd), ['file', 'folder'])
})

test('info that is misspelt before a picture that is there is not drawn; any other prompt is', async () => {
  const cwd = emptyFolder()
  const made = ['--steps', '1', '--policy', 'none', '-o', 'x.png']
  // Nothing of this name is there yet.
  assert.is((await run('sada', ['infoo', 'x.png', ...made], cwd)).code, 0)
  const refused = await run('sada', ['infoo', 'x.png', '-o', 'y.png'], cwd)
  assert.is(refused.code, 2)
  assert.match(refused.stderr, /^sada: Unknown command "infoo"\. Did you mean "sada info x\.png"\?.* \[UNKNOWN_NAME\]\n$/)
  writeFileSync(join(cwd, 'darkness'), '')
  for (const words of [
    ['infoo x.png'],
    ['a', 'infoo', 'x.png'],
    ['infoo', 'x.png', 'x.png'],
    ['into', 'darkness'],
    ['kid', 'x.png'],
  ])
    assert.is((await run('sada', [...words, ...made], cwd)).code, 0, words.join())
  assert.equal(readdirSync(cwd), ['darkness', 'x.png'])
})

test('models and policies say what there is, as text without colours and as JSON', async () => {
  const [text, json, policies, policiesJson] = await Promise.all([
    run('sada', ['models']),
    run('sada', ['models', '--json']),
    run('sada', ['policies']),
    run('sada', ['policies', '--json']),
  ])
  for (const { code, stderr, stdout } of [text, json, policies, policiesJson]) {
    assert.equal([code, stderr], [0, ''])
    assert.not.match(stdout, '\x1b')
  }
  const [model] = JSON.parse(json.stdout)
  assert.ok(model.name === 'avatar' && model.bytes > 1e6 && model.examples.length > 3)
  assert.match(text.stdout, model.examples[0].split(' ').slice(0, 4).join(' '))
  const everyN = JSON.parse(policiesJson.stdout).find(({ name }: { name: string }) => name === 'every-n')
  assert.equal(everyN.options[0], { name: 'n', about: 'run one step of every n', default: 3, min: 1, max: 1000, integer: true })
  assert.match(policies.stdout, /^ {2}every-n +a fixed schedule/m)
  assert.match(policies.stdout, /^Options of one, .*: +sada policies every-n$/m)
})

test('policies and models take names: their options, in the order of the names; unknown ones are refused', async () => {
  const [text, json, models, unknown, noModel] = await Promise.all([
    run('sada', ['policies', 'sada/poster', 'every-n']),
    run('sada', ['policies', 'every-n', '--json']),
    run('sada', ['models', 'avatar', '--json']),
    run('sada', ['policies', 'sada', 'evry-n']),
    run('sada', ['models', 'avatr']),
  ])
  assert.match(text.stdout, /^sada\/poster\n[^]*\nevery-n\n[^]*^ {2}n +3 +run one step of every n \(1 … 1000\)$/m)
  assert.equal(
    JSON.parse(json.stdout).map(({ name }: { name: string }) => name),
    ['every-n'],
  )
  assert.equal(
    JSON.parse(models.stdout).map(({ name }: { name: string }) => name),
    ['avatar'],
  )
  for (const [{ code, stdout, stderr }, said] of [
    [unknown, /^sada: Unknown policy "evry-n"\. Did you mean "every-n"\?.* \[UNKNOWN_NAME\]\n$/],
    [noModel, /^sada: Unknown model "avatr"\. Did you mean "avatar"\?.* \[UNKNOWN_NAME\]\n$/],
  ] as const) {
    assert.equal([code, stdout], [2, ''])
    assert.match(stderr, said)
  }
})

test('doctor tells what works and why the rest does not, and ends with 3 where nothing does', async () => {
  const [fine, broken] = await Promise.all([
    run('sada', ['doctor', '--json'], undefined, { VK_ICD_FILENAMES: '/dev/null' }),
    run('sada', ['doctor'], undefined, { SADA_ADDON_PATH: join(emptyFolder(), 'none.node') }),
  ])
  const found = JSON.parse(fine.stdout)
  assert.equal([fine.code, fine.stderr, found.ok], [0, '', true])
  assert.equal(
    found.checks.map(({ ok }: { ok: boolean }) => ok),
    [true, true],
  )
  assert.equal(
    found.backends.map(({ usable }: { usable: boolean }) => usable),
    [true, false, false, false, false],
  )
  assert.is(broken.code, 3)
  assert.match(broken.stdout, /✗ cpu[^]*none\.node: does not exist[^]*– cuda/)
})

test('no backend ends with 3; SADA_DEBUG adds the stack', async () => {
  const [plain, debug] = await Promise.all([
    run('sada', ['a kid'], undefined, { SADA_ONNXRUNTIME_PATH: '/nowhere/library' }),
    run('sada', ['a kid'], undefined, { SADA_ONNXRUNTIME_PATH: '/nowhere/library', SADA_DEBUG: '1' }),
  ])
  assert.equal([plain.code, plain.stdout, plain.stderr.split('\n').length], [3, '', 2])
  assert.match(plain.stderr, /\/nowhere\/library.*\[BACKEND_UNAVAILABLE\]/)
  assert.match(debug.stderr, /\n {4}at /)
})

test('Ctrl-C ends with 130 within a moment and leaves no file', async () => {
  const cwd = emptyFolder()
  const child = start('sada', ['a kid', '--steps', '1000', '-o', 'x.png'], cwd)
  const end = ended(child)
  while (!existsSync(join(cwd, 'x.png'))) await new Promise((resolve) => setTimeout(resolve, 20))
  await new Promise((resolve) => setTimeout(resolve, 700))
  child.kill('SIGINT')
  const { code, signal, stdout, stderr } = await end
  assert.equal([code, signal, stdout, stderr], [130, null, '', 'sada: interrupted; no result was written\n'])
  assert.equal(readdirSync(cwd), [])
})

if (process.platform !== 'win32') {
  test('a terminal that is closed and Ctrl-\\ end it as Ctrl-C does; a second signal at once; none leaves a file', async () => {
    for (const [signals, code] of [
      [['SIGHUP'], 129],
      [['SIGQUIT'], 131],
      [['SIGINT', 'SIGTERM'], 143],
    ] as const) {
      const cwd = emptyFolder()
      const child = start('sada', ['a kid', '--steps', '1000', '-o', 'x.png'], cwd)
      const end = ended(child)
      while (!existsSync(join(cwd, 'x.png'))) await new Promise((resolve) => setTimeout(resolve, 20))
      await new Promise((resolve) => setTimeout(resolve, 100))
      for (const signal of signals) child.kill(signal)
      const { signal, ...others } = await end
      assert.equal([others.code, signal, readdirSync(cwd)], [code, null, []])
    }
  })
}

test('a reader that leaves early is no failure', async () => {
  const child = start('sada', ['models', '--json'], emptyFolder())
  child.stdout!.destroy()
  let stderr = ''
  child.stderr!.on('data', (chunk) => (stderr += String(chunk)))
  const [code] = (await once(child, 'close')) as [number]
  assert.equal([code, stderr], [0, ''])
})

test('a stdout that takes nothing more is a failure in one line, with the code of a file that cannot be written', async () => {
  if (!existsSync('/dev/full')) return
  for (const args of [['policies'], ['a kid', '--steps', '1', '--policy', 'none', '-o', '-']]) {
    const [node, ...rest] = commandOf('sada')
    const full = openSync('/dev/full', 'w')
    const { status, stderr } = spawnSync(node, [...rest, ...args], { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' })
    closeSync(full)
    assert.is(status, 1)
    assert.match(stderr, /(^|\n)sada: Cannot write to stdout: ENOSPC.* \[OUTPUT_FAILED\]\n$/)
    assert.not.match(stderr, 'stdout: 1 picture') // nothing was saved
    assert.not.match(stderr, '    at ')
  }
})

test.run()
