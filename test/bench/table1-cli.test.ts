import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { keyOf, type JournalLine } from '../../ts/bench/table1/journal.ts'
import { tableResult, type TableResult } from '../../ts/bench/table1/result.ts'
import { familyFolder } from '../support/families.ts'
import { emptyFolder, run } from '../support/spawn.ts'
import { run as finished, session } from '../support/table1.ts'

const SMALL = ['table1', '--samples', '2', '--steps', '6', '--scheduler', 'euler', '--policy', 'sada,every-n:n=2,warmup=2,tail=1']

test('the bundled model: a run, its continuation and its report', async () => {
  const cwd = emptyFolder()
  const first = await run('sada-bench', [...SMALL, '--resume', 'runs.jsonl', '--plain-by', 'flops', '--json', '-'], cwd)
  assert.is(first.code, 0, first.stderr)
  const result = v.parse(tableResult, JSON.parse(first.stdout))
  assert.equal(result.rows.map(({ kind, method, nfe }) => `${kind} ${method} ${nfe.mean}`).sort(), [
    'full every-n:n=2,warmup=2,tail=1 5',
    'full sada 6',
    'short every-n:n=2,warmup=2,tail=1 5',
    'short sada 6',
  ])
  // Nothing can be skipped in six steps: every picture is the baseline's.
  assert.equal(
    result.rows.filter(({ method }) => method === 'sada').map(({ identical, flops }) => [identical, flops.ratio]),
    [
      [1, 1],
      [1, 1],
    ],
  )
  assert.equal(
    result.rows.filter(({ policy }) => policy === 'every-n').map(({ plain }) => plain?.steps),
    [5, 5],
  )
  assert.match(result.metrics.lpips.unavailable ?? '', /network/)
  assert.match(first.stderr, /prompt 2 of 2/)
  assert.ok(existsSync(join(cwd, 'runs.pictures', 'euler', 'g3', 'full-0', 'sada-6.png')))

  const before = readFileSync(join(cwd, 'runs.jsonl'), 'utf8')
  const second = await run('sada-bench', [...SMALL, '--resume', 'runs.jsonl', '--plain-by', 'flops', '--csv', '-'], cwd)
  assert.is(second.code, 0, second.stderr)
  assert.is(second.stdout.trimEnd().split('\r\n').length, 7) // head, four rows, the plain run of either kind
  assert.match(second.stderr, /Every run is finished already: nothing was added to runs\.jsonl/)
  const after = readFileSync(join(cwd, 'runs.jsonl'), 'utf8')
  assert.ok(after.startsWith(before))
  assert.is(after.slice(before.length).trimEnd().split('\n').length, 1) // the new session, and no run

  const one = ['--policy', 'sada', '--resume', 'runs.jsonl', '--plain-by', 'flops', '--json', '-']
  const some = await run('sada-bench', [...SMALL.slice(0, -2), ...one], cwd)
  assert.equal([...new Set((JSON.parse(some.stdout) as TableResult).rows.map(({ method }) => method))], ['sada'])
  writeFileSync(join(cwd, 'runs.jsonl'), after)

  writeFileSync(join(cwd, 'other.json'), JSON.stringify({ full: ['another'], short: ['yet another'] }))
  writeFileSync(join(cwd, 'longer.jsonl'), before.replaceAll('"steps":6', '"steps":7'))
  for (const [args, message] of [
    [['--resume', 'runs.jsonl', '--prompts', 'other.json'], /"?picture 0 of kind full.*another.*--resume/],
    [['--resume', 'runs.jsonl', '--seed', '1'], /do not belong together.*--resume/],
    [['--resume', 'new.jsonl', '--timing', 'longer.jsonl'], /do not belong together.*--timing/],
    [['--resume', 'runs.jsonl', '--timing', 'longer.jsonl', '--report-only'], /do not belong together.*--timing/],
  ] as const) {
    const { code, stderr } = await run('sada-bench', [...SMALL, ...args, '--csv', '-'], cwd)
    assert.is(code, 2, stderr)
    assert.match(stderr, message)
  }
  assert.is(readFileSync(join(cwd, 'runs.jsonl'), 'utf8'), after)

  const report = ['table1', '--report-only', '--resume', 'runs.jsonl', '--html', 'table.html']
  const third = await run('sada-bench', report, cwd)
  assert.is(third.code, 0, third.stderr)
  assert.match(third.stdout, /^## avatar, 6 steps\n/)
  // What chooses runs chooses among the finished ones, and what cannot have an effect is refused.
  for (const [args, rows] of [
    [['--kind', 'short'], 2],
    [['--policy', 'sada'], 2],
    [['--samples', '1'], 2],
    [['--scheduler', 'euler', '--guidance', '3', '--kind', 'full', '--policy', 'sada'], 1],
  ] as const) {
    const { code, stdout, stderr } = await run('sada-bench', [...report.slice(0, 4), ...args, '--json', '-'], cwd)
    assert.is(code, 0, stderr)
    assert.is((JSON.parse(stdout) as TableResult).rows.length, rows, args.join(' '))
  }
  for (const [args, message] of [
    [['--guidance', '7'], /Unknown guidance "7".*Known: 3/],
    [['--policy', 'easycache'], /Unknown policy "easycache"/],
    [['--steps', '7'], /do not belong together/],
    [['--slice', '1/2'], /"--slice" to be left out with --report-only/],
    [['--timing-only'], /"--timing-only" to be left out with --report-only/],
    [['--sweep'], /"--sweep"/],
  ] as const) {
    const { code, stderr } = await run('sada-bench', [...report.slice(0, 4), ...args, '--json', '-'], cwd)
    assert.is(code, 2, stderr)
    assert.match(stderr, message)
  }
  const page = readFileSync(join(cwd, 'table.html'), 'utf8')
  assert.match(page, /data:image\/png/)
})

test('what cannot be is refused before anything runs', async () => {
  const prompts = join(emptyFolder(), 'prompts.txt')
  writeFileSync(prompts, `a cat\n${'a, '.repeat(200)}\n`)
  for (const [args, message] of [
    [['--timing-only', '--weights', 'x'], /"--weights" to be left out with --timing-only/],
    [['--coco', 'x.json', '--kind', 'short'], /"--kind" to be left out with --coco/],
    [['--coco', 'x.json', '--prompts', 'x.txt'], /"--prompts" to be left out with --coco/],
    [['--seed', '9007199254740990', '--samples', '4'], /"--seed" to be at most 2⁵³ − 4/],
    [['--samples', '1', '--slice', '2/2'], /"--slice" to be a part with at least one prompt.*2\/2/],
    [['--prompts', prompts, '--samples', '2'], /PROMPT_TOO_LONG/],
    [['--slice', '3/2'], /"--slice" to be k\/n/],
    [['--kind', 'long'], /No kind of prompt|kind of prompt/],
    [['--scheduler', 'ddim'], /scheduler/],
    [['--json', '-', '--csv', '-'], /one output only/],
    [['--report-only', '--resume', 'none.jsonl'], /none\.jsonl/],
    [['--report-only', '--resume', 'a.jsonl', '--resume', 'b.jsonl'], /a\.jsonl/],
    [['--guidance', ','], /"--guidance" to be a number, or several/],
    [['--samples', '1', '--resume', 'new.jsonl,none.jsonl'], /none\.jsonl/],
  ] as const) {
    const cwd = emptyFolder()
    const { code, stdout, stderr } = await run('sada-bench', ['table1', ...args], cwd)
    assert.is(code, 2, stderr)
    assert.equal(readdirSync(cwd), [])
    assert.is(stdout, '')
    assert.match(stderr, message)
    assert.not.match(stderr, /prompt 1 of/)
  }
  const unheard = await run('sada-bench', ['--steps', '3', 'table1', '--samples', '1'])
  assert.equal([unheard.code, unheard.stdout], [2, ''])
  assert.match(unheard.stderr, /"--steps" to be written after "table1"/)
  const foreign = await run('sada-bench', ['--quick', 'table1'])
  assert.match(foreign.stderr, /"--quick" to be left out: "table1" does not take it/)
})

test('a pipe is no journal, and a journal without runs of a policy makes no table', async () => {
  const cwd = emptyFolder()
  if (process.platform !== 'win32') {
    execFileSync('mkfifo', [join(cwd, 'pipe')])
    for (const files of [
      ['--resume', 'pipe'],
      ['--resume', 'new.jsonl,pipe'],
      ['--timing', 'pipe'],
    ]) {
      const { code, stderr } = await run('sada-bench', ['table1', '--samples', '1', ...files], cwd)
      assert.is(code, 2, stderr)
      assert.match(stderr, /Cannot read runs from pipe: it is not a regular file/)
    }
  }
  const lines = [session, finished('none', 0, 30, { steps: 3 })].map((line) => JSON.stringify(line) + '\n')
  writeFileSync(join(cwd, 'plain.jsonl'), lines.join(''))
  const { code, stderr } = await run('sada-bench', ['table1', '--report-only', '--resume', 'plain.jsonl'], cwd)
  assert.is(code, 2, stderr)
  assert.match(stderr, /"--resume" to be a file that holds finished runs of a policy, received "plain\.jsonl"/)
})

test('files that cannot be read are said to be so in words, and what to do', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'damaged.jsonl'), JSON.stringify(session) + '\n{"type":"run",\n')
  for (const [args, message] of [
    [
      ['--resume', 'none.jsonl', '--report-only'],
      'none.jsonl: there is no such file; make runs first, or name another with --resume.',
    ],
    [['--report-only'], 'table1.jsonl: there is no such file; make runs first, or name another with --resume.'],
    [['--resume', 'damaged.jsonl'], 'damaged.jsonl: line 2 is not JSON; delete the line, and its run is made again.'],
    [
      ['--weights', 'none'],
      'Expected "--weights" to be a folder with the networks of metrics, received none, which is not there.',
    ],
    [['--weights', 'damaged.jsonl'], 'received damaged.jsonl, which is none.'],
    [['--prompts', '.', '--resume', 'new.jsonl'], 'Cannot read prompts from .: that is a folder.'],
    [['--coco', '.', '--resume', 'new.jsonl'], 'Cannot read captions from .: that is a folder.'],
  ] as const) {
    const { code, stderr } = await run('sada-bench', ['table1', ...args], cwd)
    assert.is(code, 2, stderr)
    assert.match(stderr, message)
  }
  assert.equal(readdirSync(cwd), ['damaged.jsonl'])
})

test('two processes with one file of runs: each waits for the other, and every run is made once', async () => {
  const cwd = emptyFolder()
  const args = [...SMALL, '--resume', 'runs.jsonl', '--plain-by', 'flops', '--csv', '-']
  // What a killed process has left keeps nobody waiting.
  const gone = spawnSync(process.execPath, ['-e', '']).pid
  writeFileSync(join(cwd, 'runs.jsonl.lock'), JSON.stringify({ pid: gone, host: hostname(), id: '' }))
  const both = await Promise.all([run('sada-bench', args, cwd), run('sada-bench', args, cwd)])
  assert.equal(
    both.map(({ code }) => code),
    [0, 0],
  )
  assert.is(both.filter(({ stderr }) => stderr.includes('Another process adds runs to runs.jsonl: waiting')).length, 1)
  const lines = readFileSync(join(cwd, 'runs.jsonl'), 'utf8').trimEnd().split('\n')
  const runs = lines.map((line) => JSON.parse(line) as JournalLine).filter((line) => line.type === 'run')
  assert.ok(runs.length > 4)
  assert.is(new Set(runs.map(keyOf)).size, runs.length)
  assert.equal(readdirSync(cwd).sort(), ['runs.jsonl', 'runs.pictures'])
})

test('a diffusers folder: what it can run is measured on its pictures, with its own defaults', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'prompts.txt'), 'a cat\na dog\n')
  const asked = ['-m', familyFolder('sd2'), '--prompts', 'prompts.txt', '--samples', '2', '--scheduler', 'euler', '--steps', '9']
  const { code, stdout, stderr } = await run(
    'sada-bench',
    ['table1', ...asked, '--policy', 'every-n:n=2,warmup=3,deepcache,first-block-cache', '--resume', 'r.jsonl', '--json', '-'],
    cwd,
  )
  assert.is(code, 0, stderr)
  const { rows, missing } = JSON.parse(stdout) as TableResult
  assert.equal(
    rows.map(({ method, guidance, samples }) => [method, guidance, samples]),
    [
      ['every-n:n=2,warmup=3', 7.5, 2],
      ['deepcache', 7.5, 2],
    ],
  )
  assert.ok(rows.every(({ flops }) => flops.baseline === 18 && flops.ratio > 1))
  assert.match(missing.map(({ method, reason }) => `${method}: ${reason}`).join(), /^first-block-cache: /)
})

test('sounds: their spectrograms are what is compared, and only metrics that say something of those are named', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'prompts.txt'), 'a drum\n')
  const asked = [
    '-m',
    familyFolder('musicldm'),
    '--prompts',
    'prompts.txt',
    '--samples',
    '1',
    '--scheduler',
    'euler',
    '--steps',
    '9',
  ]
  const files = ['--resume', 'r.jsonl', '--json', 'r.json', '--html', 'r.html', '--markdown', '-']
  const made = await run(
    'sada-bench',
    ['table1', ...asked, '--seconds', '0.2', '--policy', 'every-n:n=2,warmup=3', ...files],
    cwd,
  )
  assert.is(made.code, 0, made.stderr)
  const { note, picture, metrics, rows } = JSON.parse(readFileSync(join(cwd, 'r.json'), 'utf8')) as TableResult
  assert.match(note!, /mel spectrograms: 64 bands/)
  assert.equal([picture, Object.keys(metrics), rows.length], [{ seconds: 0.2 }, ['lpips'], 1])
  for (const page of [made.stdout, readFileSync(join(cwd, 'r.html'), 'utf8')]) assert.ok(page.includes(note!))
})

test('pictures of a size that is asked for; those of another do not go with them', async () => {
  const cwd = emptyFolder()
  writeFileSync(join(cwd, 'prompts.txt'), 'a cat\n')
  const model = ['-m', familyFolder('sd2'), '--prompts', 'prompts.txt', '--samples', '1', '--scheduler', 'euler', '--steps', '9']
  const table = (...given: string[]) => run('sada-bench', ['table1', '--resume', 'r.jsonl', ...given, '--json', '-'], cwd)
  const { code, stdout, stderr } = await table(...model, '--policy', 'every-n', '--width', '48')
  assert.is(code, 0, stderr)
  const { picture, rows } = JSON.parse(stdout) as TableResult
  assert.equal([picture, rows.length], [{ width: 48 }, 1])
  assert.is((await table('--report-only')).stdout.includes('"width": 48'), true)
  for (const other of [model, [...model, '--width', '64'], ['--report-only', '--height', '64']]) {
    const refused = await table(...other)
    assert.equal([refused.code, refused.stdout], [2, ''])
    assert.match(refused.stderr, /do not belong together: stable-diffusion, 9 steps, seed 0, width 48, on cpu, and /)
  }
  const odd = await run('sada-bench', ['table1', ...model, '--width', '51', '--resume', 'odd.jsonl'], cwd)
  assert.is(odd.code, 2)
  assert.match(odd.stderr, /"--width" to be a multiple of/)
})

test.run()
