import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SCHEMA_FILE } from '../../scripts/bench-schema.ts'
import type { BenchResult } from '../../ts/bench/result.ts'
import { familyFolder } from '../support/families.ts'
import { commandOf, emptyFolder, ended, run, start } from '../support/spawn.ts'

const SMALL = ['--steps', '6', '--samples', '2', '--scheduler', 'euler', '--policy', 'every-n:n=2,warmup=2,tail=1']
const validate = new Ajv({ strict: false }).compile(JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')))

test('a run prints its table on stdout, says where its files are on stderr, and its figures fit the schema', async () => {
  const cwd = emptyFolder()
  const { code, stdout, stderr } = await run('sada-bench', SMALL, cwd)
  assert.is(code, 0)
  assert.match(stdout, /euler\n[^]* FLOPs [^]*every-n:\S+ +5 [^]*plain \d steps +\d[^]*fixed, every \d.. step/)
  assert.not.match(stdout, '\x1b')
  assert.match(
    stderr,
    /euler, every-n:\S+: [\d.]+ times as fast\nReport: bench-report\/index\.html\nFigures: bench-report\/result\.json\n$/,
  )
  const result = JSON.parse(readFileSync(join(cwd, 'bench-report', 'result.json'), 'utf8')) as BenchResult
  assert.ok(validate(result), JSON.stringify(validate.errors))
  const [figures] = result.cases
  assert.equal(
    [figures.scheduler, figures.policy, figures.steps, figures.samples, figures.nfe.mean],
    ['euler', 'every-n', 6, 2, 5],
  )
  assert.equal(figures.decisions[0], ['run', 'run', 'run', 'interpolate', 'run', 'run'])
  assert.equal(Object.keys(figures.fidelity_by_kind), ['full', 'short'])
  assert.match(readFileSync(join(cwd, 'bench-report', 'index.html'), 'utf8'), /^<!doctype html>/)
})

test('--json - prints JSON and nothing else, and leaves no files; the baseline against itself is identical', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'prompts.txt'), 'a kid\n')
  const args = [
    '--steps',
    '3',
    '--samples',
    '2',
    '--batch',
    '2',
    '--scheduler',
    'dpm++',
    '--policy',
    'none',
    '--quick',
    '--prompts',
    'prompts.txt',
    '--json',
    '-',
  ]
  const { code, stdout } = await run('sada-bench', args, cwd)
  assert.is(code, 0)
  const result = JSON.parse(stdout) as BenchResult
  assert.ok(validate(result), JSON.stringify(validate.errors))
  assert.equal(result.cases[0].fidelity, { psnr_db: { mean: null, min: null }, ssim: { mean: 1, min: 1 }, identical: 2 })
  assert.equal(Object.keys(result.cases[0].fidelity_by_kind), ['given'])
  assert.equal(readdirSync(cwd), ['prompts.txt'])
})

test('what every run of a case was warned of is said once, with the case', async () => {
  const args = [
    '--quick',
    '--steps',
    '5',
    '--samples',
    '2',
    '--scheduler',
    'euler',
    '--policy',
    'magcache,every-n',
    '--json',
    '-',
  ]
  const { code, stdout, stderr } = await run('sada-bench', args)
  assert.is(code, 0)
  const warned = stderr.split('\n').filter((line) => line.startsWith('Warning: '))
  assert.is(warned.filter((line) => line.startsWith("Warning: euler, magcache: The ratios are FLUX.1-dev's")).length, 1, stderr)
  assert.is(
    warned.filter((line) => /^Warning: euler, every-n: Of 5 steps .* nothing can be skipped/.test(line)).length,
    1,
    stderr,
  )
  assert.is((JSON.parse(stdout) as BenchResult).cases.length, 2)
})

const wrong: [args: string[], code: number, said: RegExp][] = [
  [['--stpes', '5'], 2, /Did you mean --steps\?/],
  [['tabel1'], 2, /Unknown command "tabel1"\. Did you mean "table1"\?/],
  [['help', 'tabel1'], 2, /Unknown command "tabel1"\. Did you mean "table1"\?/],
  [['extra', 'two'], 2, /Unknown command "extra"\. Known: table1\./],
  [['--policy', 'nothing-like-it'], 2, /Known: .*\[UNKNOWN_NAME\]/],
  [['--policy', 'every-n:ordr=1'], 2, /Did you mean "order"\?/],
  [['--policy', 'every-n:n=0'], 2, /"n" of "--policy" to be an integer/],
  [['table1', '--policy', 'sada,auto'], 2, /"--policy" to be auto with one target above 0: auto:speedup=2,.*received "auto"/],
  [['table1', '--policy', 'every-n:n=0'], 2, /"n" of "--policy" to be an integer/],
  [['--scheduler', 'dpm+'], 2, /Did you mean "dpm\+\+"\?/],
  [['--scheduler', ','], 2, /"--scheduler" to be a name/],
  [['--html', '-'], 2, /"--html" to be a file/],
  [['--samples', '3', '--batch', '2'], 2, /"--samples" to be a multiple of --batch \(2\)/],
  [['--seed', '-1'], 2, /"--seed"/],
  [['--seed', '9007199254740991', '--samples', '2'], 2, /"--seed" to be at most 2⁵³ − 2, so that 2 follow each other/],
  [['--prompts', 'missing.txt'], 2, /missing\.txt.*there is no such file.*\[INVALID_ARGUMENT\]/],
  [['--html', 'missing/x.html'], 1, /\[OUTPUT_FAILED\]/],
]

test('wrong usage is one line on stderr and the exit code of its kind; nothing is left behind', async () => {
  const cwd = emptyFolder()
  for (let from = 0; from < wrong.length; from += 3) {
    await Promise.all(
      wrong.slice(from, from + 3).map(async ([args, code, said]) => {
        const result = await run('sada-bench', [...args, '--json', '-'], cwd)
        assert.equal([result.code, result.stdout], [code, ''], args.join(' '))
        assert.match(result.stderr, said)
        assert.match(result.stderr, /^sada-bench: [^\n]+\n$/)
      }),
    )
  }
  assert.equal(readdirSync(cwd), [])
})

test('help of what is a command of the other binary, or of none, says so', async () => {
  for (const [name, said] of [
    ['calibrate', 'Unknown command "calibrate". Did you mean "sada calibrate"?'],
    ['tabel1', 'Unknown command "tabel1". Did you mean "table1"?'],
  ]) {
    for (const help of [[], ['--help']]) {
      const { code, stdout, stderr } = await run('sada-bench', [name, ...help])
      assert.equal([code, stdout], [2, ''])
      assert.match(stderr, said)
    }
  }
  assert.match((await run('sada-bench', ['--help'])).stdout, /^Usage/)
})

test('a policy that is named twice is measured once', async () => {
  const policies = ['--policy', 'none,every-n:n=2,none,every-n:n=2', '--policy', 'none', '--quick', '--json', '-']
  const { stdout } = await run('sada-bench', [...SMALL.slice(0, 6), ...policies])
  const { cases } = JSON.parse(stdout) as BenchResult
  assert.equal(
    cases.map(({ policy }) => policy),
    ['none', 'every-n'],
  )
})

test('Ctrl-C ends with 130, and no part of a result is reported as one', async () => {
  const cwd = emptyFolder()
  const child = start('sada-bench', ['--steps', '200', '--json', 'out.json', '--html', 'out.html'], cwd)
  const end = ended(child)
  while (!existsSync(join(cwd, 'out.html'))) await new Promise((resolve) => setTimeout(resolve, 20))
  await new Promise((resolve) => setTimeout(resolve, 700))
  child.kill('SIGINT')
  const { code, signal, stdout, stderr } = await end
  assert.equal([code, signal, stdout], [130, null, ''])
  assert.match(stderr, /sada-bench: interrupted; no result was written\n$/)
  assert.equal(readdirSync(cwd), [])
})

const hasTerminal = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0

test('on a terminal stderr shows a bar with the time left, and stdout the result alone', () => {
  if (!hasTerminal) return console.log('skipped: no script(1) to make a terminal with')
  const cwd = emptyFolder()
  const command = [...commandOf('sada-bench'), ...SMALL, '--quick'].map((part) => `'${part}'`).join(' ')
  const drawn = execFileSync('script', ['-qec', `${command} > table.txt`, '/dev/null'], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '1' },
  })
  assert.match(drawn, /\d+% {2}\d+ s left {2}euler/)
  assert.not.match(drawn, /\x1b\[3\dm/)
  assert.match(readFileSync(join(cwd, 'table.txt'), 'utf8'), /^avatar: 6 steps/)
})

test('a diffusers folder is measured on its pictures; without a plan operations are counted in passes', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'prompts.txt'), 'a cat\na dog\n')
  const asked = ['--prompts', 'prompts.txt', '--scheduler', 'euler', '--steps', '12', '--samples', '2']
  const { code, stderr } = await run(
    'sada-bench',
    ['-m', familyFolder('sd2'), ...asked, '--json', 'r.json', '--html', 'r.html'],
    cwd,
  )
  assert.is(code, 0, stderr)
  const result = JSON.parse(readFileSync(join(cwd, 'r.json'), 'utf8')) as BenchResult
  assert.ok(validate(result), JSON.stringify(validate.errors))
  assert.equal(
    [result.model.name, result.model.size, result.model.tokens, result.model.bytes],
    ['stable-diffusion', [32, 32], null, null],
  )
  assert.is(result.machine.device, 'cpu')
  const [{ flops, guidance, nfe, pictures }] = result.cases
  assert.equal([flops, guidance], [{ baseline: 24, accelerated: 2 * nfe.mean, ratio: 12 / nfe.mean }, 7.5])
  for (const { psnr_db, fewer_steps_psnr_db } of pictures) assert.ok(psnr_db === null || psnr_db > fewer_steps_psnr_db!)
  assert.ok(readFileSync(join(cwd, 'r.html'), 'utf8').includes('<img'))
})

test('pictures of another size and with fewer tokens of the prompt; distilled guidance is one row', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'prompts.txt'), 'a cat\n')
  const asked = [
    '-m',
    familyFolder('flux'),
    '--prompts',
    'prompts.txt',
    '--samples',
    '1',
    '--steps',
    '12',
    '--quick',
    '--scheduler',
  ]
  const size = ['--width', '48', '--height', '32', '--max-sequence-length', '16']
  const { code, stdout, stderr } = await run('sada-bench', [...asked, 'flow-euler', ...size, '--json', '-'], cwd)
  assert.is(code, 0, stderr)
  const { model, cases } = JSON.parse(stdout) as BenchResult
  assert.equal([model.size, model.max_sequence_length], [[48, 32], 16])
  assert.equal([cases[0].guidance, cases[0].flops.baseline], [3.5, 12])
  const refused = await run('sada-bench', ['--quick', '--width', '32', '--json', '-'], cwd)
  assert.equal([refused.code, refused.stdout], [2, ''])
  assert.match(refused.stderr, /"--width" to be left out: this model does not take it/)
})

test('sounds are compared as pictures of their spectrograms', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'prompts.txt'), 'a drum\n')
  const model = ['-m', familyFolder('musicldm'), '--prompts', 'prompts.txt', '--samples', '1', '--scheduler', 'euler']
  const asked = [...model, '--steps', '12', '--seconds', '0.2', '--quick', '--policy', 'every-n:n=2,warmup=3']
  const { code, stdout, stderr } = await run('sada-bench', [...asked, '--json', 'r.json', '--html', 'r.html'], cwd)
  assert.is(code, 0, stderr)
  assert.match(stdout, /Sounds are compared, and shown, as pictures of their mel spectrograms: 64 bands/)
  const result = JSON.parse(readFileSync(join(cwd, 'r.json'), 'utf8')) as BenchResult
  assert.ok(validate(result), JSON.stringify(validate.errors))
  // 0.2 s of 16 kHz are 3200 samples, a frame for every 160.
  assert.equal([result.model.size, result.model.seconds], [[21, 64], 0.2])
  const [{ fidelity, flops }] = result.cases
  assert.is(flops.baseline, 24)
  assert.ok(fidelity.psnr_db.mean! > 10 && fidelity.psnr_db.mean! < 100, `${fidelity.psnr_db.mean} dB`)
  const page = readFileSync(join(cwd, 'r.html'), 'utf8')
  assert.ok(page.includes('<img') && page.includes('mel spectrograms'))
})

const onFullDisk = existsSync('/dev/full') ? test : test.skip

onFullDisk('what was written before an output that cannot be is kept', async () => {
  const cwd = emptyFolder()
  const quick = ['--quick', '--steps', '6', '--samples', '1', '--scheduler', 'euler', '--policy', 'none']
  const { code, stderr } = await run('sada-bench', [...quick, '--json', 'r.json', '--html', '/dev/full'], cwd)
  assert.is(code, 1)
  assert.match(stderr, /disk is full/)
  assert.ok(validate(JSON.parse(readFileSync(join(cwd, 'r.json'), 'utf8'))))
})

test.run()
