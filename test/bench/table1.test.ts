import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as v from 'valibot'
import { assemble } from '../../ts/bench/table1/assemble.ts'
import { Journal, keyOf, readJournals, type Run, type Session } from '../../ts/bench/table1/journal.ts'
import { defaultMethods, methodFor, SWEEPS, withSweeps } from '../../ts/bench/table1/methods.ts'
import { tablePage } from '../../ts/bench/table1/page.ts'
import { Pictures } from '../../ts/bench/table1/pictures.ts'
import { plainStepsOf } from '../../ts/bench/table1/plain.ts'
import { cocoPrompts, slice } from '../../ts/bench/table1/prompts.ts'
import { publishedFigures } from '../../ts/bench/table1/published.ts'
import { tableResult, type TableResult } from '../../ts/bench/table1/result.ts'
import { csv } from '../../ts/bench/table1/csv.ts'
import { markdown, publishedText } from '../../ts/bench/table1/text.ts'
import type { SadaError } from '../../ts/errors.ts'
import { createPolicy, policies } from '../../ts/policy/index.ts'
import { emptyFolder } from '../support/spawn.ts'

const session: Session = {
  type: 'session',
  model: 'fake',
  steps: 4,
  seed: 0,
  created: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'A processor', cores: 2, load_average: 0 },
  versions: { sada: '0.0.0', commit: null },
}

function run(method: string, index: number, psnr: number | null, given: Partial<Run> = {}): Run {
  const { steps = 4 } = given
  return {
    type: 'run',
    scheduler: 'euler',
    guidance: 3,
    kind: 'full',
    index,
    prompt: `<b>picture ${index}</b>, "quoted"`,
    seed: index,
    method,
    policy: method.split(':')[0],
    is_default: !method.includes(':'),
    options: {},
    steps,
    nfe: 2,
    flops: 20,
    baseline_flops: 40,
    wall_ms: 50,
    baseline_wall_ms: 100,
    loop_ms: 50,
    baseline_loop_ms: 100,
    psnr_db: psnr,
    ssim: 0.9,
    actions: 'RERE'.slice(0, steps),
    shares: [1, 0, 1, 0].slice(0, steps),
    load_average: 1,
    ...given,
  }
}

const contentOf = (runs: readonly Run[]) => ({
  sessions: [session],
  runs: new Map(runs.map((each) => [keyOf(each), each])),
  missing: [],
})
const options = { created: '2026-01-02T03:04:05.000Z' }
const table = (runs: readonly Run[], more = {}): TableResult => ({
  ...assemble(contentOf(runs), { ...options, ...more }),
  metrics: {},
})

test('every rival has at least five settings, and each is one that the policy takes', () => {
  for (const [policy, { option, values }] of Object.entries(SWEEPS)) {
    assert.ok(policy in policies, policy)
    assert.ok(new Set(values).size >= 5, policy)
    for (const value of values) createPolicy({ name: policy, [option]: value })
  }
  const all = withSweeps(defaultMethods('avatar'))
  assert.is(new Set(all.map(({ label }) => label)).size, all.length)
  for (const { policy } of all) assert.ok(policy in SWEEPS || policy.includes('/'), `${policy} has no sweep`)
})

test('the default methods are the registry without the baseline and presets made for other models', () => {
  const names = defaultMethods('avatar').map(({ policy }) => policy)
  assert.not.ok(names.includes('none'))
  assert.not.ok(names.includes('teacache/flux'))
  assert.ok(defaultMethods('flux').some(({ policy }) => policy === 'teacache/flux'))
  for (const name of ['sada', 'sada/poster', 'easycache', 'teacache', 'auto']) assert.ok(names.includes(name), name)
})

test('a method is written as the command line takes it, and knows whether it is the default', () => {
  const { label, isDefault } = methodFor({ name: 'every-n', n: 3, order: 1 })
  assert.equal([label, isDefault], ['every-n:n=3,order=1', false])
  assert.is(methodFor({ name: 'sada', preset: 'poster' }).label, 'sada/poster')
  assert.is(methodFor({ name: 'auto', speedup: 2 }).isDefault, true)
  assert.is(methodFor({ name: 'auto', speedup: 3 }).isDefault, false)
})

test('slices part the prompts, and each is as even as the whole', () => {
  const prompts = Array.from({ length: 14 }, (_, index) => ({
    index,
    prompt: `${index}`,
    kind: index % 2 === 0 ? 'full' : 'short',
  }))
  const parts = [1, 2, 3].map((k) => slice(prompts, k, 3))
  assert.equal(
    parts
      .flat()
      .map(({ index }) => index)
      .sort((a, b) => a - b),
    prompts.map(({ index }) => index),
  )
  for (const part of parts) {
    assert.is(part.filter(({ kind }) => kind === 'full').length, part.filter(({ kind }) => kind === 'short').length)
  }
})

test('of COCO the first caption of each picture counts, in the order of the pictures', async () => {
  const path = join(emptyFolder(), 'captions.json')
  const annotations = [
    { image_id: 7, caption: ' seven, first ' },
    { image_id: 3, caption: 'three, first' },
    { image_id: 7, caption: 'seven, second' },
  ]
  writeFileSync(path, JSON.stringify({ images: [{ id: 3 }, { id: 5 }, { id: 7 }], annotations }))
  assert.equal(
    (await cocoPrompts(path, 2)).map(({ prompt }) => prompt),
    ['three, first', 'seven, first'],
  )
  for (const [text, message] of [
    [JSON.stringify({ images: [{ id: 3 }], annotations }), /captions of 1 pictures, and 2/],
    ['[]', /"images" and "annotations"/],
    ['{', /JSON/],
  ] as const) {
    writeFileSync(path, text)
    const said = await cocoPrompts(path, 2).then(
      () => '',
      (thrown: SadaError) => `${thrown.code}: ${thrown.message}`,
    )
    assert.match(said, /^INVALID_ARGUMENT/)
    assert.match(said, message)
  }
})

test('a journal gives back what was added, over a line that was cut off', async () => {
  const path = join(emptyFolder(), 'runs.jsonl')
  const first = await Journal.open(path)
  await first.add(session)
  await first.add(run('sada', 0, 30))
  await first.close()
  const whole = readFileSync(path, 'utf8')
  appendFileSync(path, '{"type":"run","scheduler":"eu')
  assert.equal([...(await readJournals([path])).runs.keys()], ['euler|3|full|0|sada|4'])
  const second = await Journal.open(path)
  assert.is(readFileSync(path, 'utf8'), whole)
  await second.add(run('sada', 1, null))
  await second.close()
  const { sessions, runs } = await readJournals([path])
  assert.equal(sessions, [session])
  assert.equal([...runs.values()], [run('sada', 0, 30), run('sada', 1, null)])
})

test('journals of other steps are refused, and so is a line that is none', async () => {
  const folder = emptyFolder()
  const [a, b] = ['a.jsonl', 'b.jsonl'].map((name) => join(folder, name))
  writeFileSync(a, JSON.stringify(session) + '\n')
  writeFileSync(b, JSON.stringify({ ...session, steps: 5 }) + '\n')
  const messageOf = (paths: string[]) =>
    readJournals(paths).then(
      () => '',
      (error: SadaError) => `${error.code}: ${error.message}`,
    )
  assert.match(await messageOf([a, b]), /INVALID_ARGUMENT: These runs do not belong together/)
  writeFileSync(b, JSON.stringify({ ...run('sada', 0, 30), nfe: 'two' }) + '\n')
  assert.match(await messageOf([b]), /INVALID_ARGUMENT: .*line 1.*\(nfe\)/)
})

test('runs of another prompt or seed by the same kind and index are refused, and so are runs of which no session says what they are', async () => {
  const folder = emptyFolder()
  const write = (name: string, lines: readonly object[]): string => {
    const path = join(folder, name)
    writeFileSync(path, lines.map((line) => JSON.stringify(line) + '\n').join(''))
    return path
  }
  const messageOf = (paths: string[]) =>
    readJournals(paths, 'timing').then(
      () => '',
      ({ code, argument, message }: SadaError) => `${code} ${argument}: ${message}`,
    )
  const a = write('a', [session, run('sada', 0, 30)])
  assert.is(await messageOf([a, write('b', [session, run('every-n', 0, 30), run('sada', 1, 3)])]), '')
  // Of another method too: rows are compared picture by picture.
  const other = write('c', [session, run('every-n', 0, 30, { prompt: 'another' })])
  assert.match(await messageOf([a, other]), /^INVALID_ARGUMENT timing: .*picture 0 of kind full.*another.*Ask for the same/)
  assert.match(await messageOf([a, write('d', [session, run('sada', 0, 30, { seed: 5 })])]), /seed 5/)
  assert.match(await messageOf([a, write('e', [run('sada', 2, 30)])]), /^INVALID_ARGUMENT timing: .*session/)
})

test('equal pictures count as 150 dB on both sides, are counted apart, and plain runs are compared over the same pictures', () => {
  const runs = [
    ...[30, 40, null].map((psnr, k) => run('sada', k, psnr)),
    ...[25, 45].map((psnr, k) => run('none', k, psnr, { steps: 2 })),
    run('none', 9, 80, { steps: 2 }), // of no picture of the row
  ]
  const [row] = table(runs).rows
  assert.equal(row.psnr_db, { mean: 220 / 3, worst_decile: 30, worst: 30 })
  assert.equal([row.samples, row.identical, row.nfe_ratio, row.flops.ratio, row.speedup.p50], [3, 1, 2, 2, 2])
  assert.equal([row.plain?.steps, row.plain?.samples, row.plain?.psnr_db.mean], [2, 2, 35])
  assert.equal(row.plain?.gain_db, { mean: 0, worst_decile: 5 })
  assert.equal(row.decisions, [{ R: 1 }, { E: 1 }, { R: 1 }, { E: 1 }])
  assert.equal(
    row.worst.map(({ index, plain_psnr_db: plain }) => [index, plain]),
    [
      [0, 25],
      [1, 45],
    ],
  )
  const [ahead] = table([
    run('sada', 0, null),
    run('sada', 1, 50),
    run('none', 0, 50, { steps: 2 }),
    run('none', 1, null, { steps: 2 }),
  ]).rows
  assert.equal(ahead.plain?.gain_db, { mean: 0, worst_decile: 0 }, 'an equal picture is worth as much to either')
})

test('a row that is equal everywhere says so in every form', async () => {
  const result = table([run('sada', 0, null), run('none', 0, null, { steps: 2 })])
  assert.equal(result.rows[0].psnr_db, { mean: 150, worst_decile: 150, worst: null })
  assert.match(markdown(result), /\| equal \| equal \| equal \| 1 \|.*\| 2 steps: equal \(\+0\.0, \+0\.0\)/)
  const page = await tablePage(result, new Pictures([]))
  assert.match(page, /<td>equal<\/td>\s*<td>equal<\/td>\s*<td>equal<\/td>\s*<td>1<\/td>/)
  for (const text of [page, markdown(result)]) assert.match(text, /count as 150 dB/)
})

test('the plain run is that of the time or of the operations, and times come from a separate run where there is one', () => {
  const runs = [run('sada', 0, 30, { flops: 30 }), run('none', 0, 25, { steps: 2 }), run('none', 0, 28, { steps: 3 })]
  assert.is(table(runs).rows[0].plain?.steps, 2) // 4 · 50/100
  assert.is(table(runs, { plainBy: 'flops' }).rows[0].plain?.steps, 3) // 4 · 30/40
  const timing = contentOf([run('sada', 5, 30, { wall_ms: 80, loop_ms: 80 })])
  const [row] = table(runs, { timing }).rows
  assert.equal([row.timing.source, row.speedup.p50, row.plain?.steps], ['separate', 1.25, 3]) // 100/80; 4 · 0.8
  // Of operations the pictures themselves say more than those that were timed, of which this one took half.
  const [byFlops] = table(runs, { timing, plainBy: 'flops' }).rows
  assert.equal([byFlops.timing.source, byFlops.speedup.p50, byFlops.plain?.steps], ['separate', 1.25, 3])
  assert.is(table([run('sada', 0, 30, { loop_ms: 1 })]).rows[0].plain, null)
})

test('a row has as many plain steps as its own kind of prompts costs on average, not fewer for a share that rounding leaves short', () => {
  const cost = (kind: string, flops: readonly number[]): Run[] =>
    flops.map((each, k) => run('sada', k, 30, { kind, flops: each }))
  const plain = ['full', 'short'].flatMap((kind) => [1, 2, 3].map((steps) => run('none', 0, 25, { kind, steps })))
  // Shares of 1 and 0.6 are 0.8 on average, of 0.3 and 0.3 they are 0.3: 3.2 and 1.2 of 4 steps. The median of all is 0.45.
  const { rows } = table([...cost('full', [40, 24]), ...cost('short', [12, 12]), ...plain], { plainBy: 'flops' })
  assert.equal(
    rows.map(({ kind, plain: beside }) => [kind, beside?.steps]),
    [
      ['full', 3],
      ['short', 1],
    ],
  )
  const thirds = Array.from({ length: 3 }, () => ({ flops: 0.1, baseline_flops: 0.3, loop_ms: 0, baseline_loop_ms: 1 }))
  for (const steps of [3, 6, 9, 300]) assert.is(plainStepsOf(thirds, 'flops', steps), steps / 3)
})

test('wall times are those of the own kind of prompts, with as many pairs as there are, and without a range below 20', () => {
  const timed = (kind: string, n: number, ms: number): Run[] =>
    Array.from({ length: n }, (_, k) => run('sada', k, 30, { kind, wall_ms: ms + k, baseline_wall_ms: 100 }))
  const runs = ['full', 'short', 'given'].map((kind) => run('sada', 0, 30, { kind }))
  const timing = contentOf([...timed('full', 20, 20), ...timed('short', 19, 60)])
  const result = table(runs, { timing })
  assert.equal(
    result.rows.map(({ timing: { source, pairs }, wall_ms: ms }) => [source, pairs, ms.p50, ms.p05 === null, ms.p95 === null]),
    [
      ['separate', 20, 29.5, false, false],
      ['separate', 19, 69, true, true],
      ['runs', 1, 50, true, true], // there are none of its kind
    ],
  )
  assert.match(markdown(result), /\| 1\.45 \| 19 \| – \|/)
  assert.match(csv(result), /,separate,19,/)
})

test('the Pareto front holds what nothing else beats in both, and is drawn for each scheduler apart', () => {
  const rows = [
    run('sada', 0, 40, { wall_ms: 50 }),
    run('slower', 0, 39, { wall_ms: 60 }),
    run('faster', 0, 30, { wall_ms: 40 }),
    run('equal', 0, null, { wall_ms: 90 }),
    run('elsewhere', 0, 1, { wall_ms: 99, scheduler: 'dpm++' }),
  ]
  const { rows: described } = table(rows)
  assert.equal(
    described.filter(({ pareto }) => pareto.wall).map(({ method }) => method),
    ['sada', 'faster', 'equal', 'elsewhere'],
  )
})

test('on the front stand only rows of as many pictures as the largest, in wall time only those whose times can be relied on', () => {
  const rows = [
    ...[0, 1].flatMap((k) => [run('sada', k, 40), run('slow', k, 60, { wall_ms: 90, nfe: 3 })]),
    run('few', 0, 99, { wall_ms: 10, nfe: 1 }),
  ]
  const front = (result: TableResult, axis: 'wall' | 'nfe') =>
    result.rows.filter(({ pareto }) => pareto[axis]).map(({ method }) => method)
  const quiet = table(rows)
  assert.equal(
    [front(quiet, 'wall'), front(quiet, 'nfe')],
    [
      ['sada', 'slow'],
      ['sada', 'slow'],
    ],
  )
  assert.not.match(markdown(quiet), /\d†/)
  // Two cores, and more than one is kept busy by others: only what was timed apart counts.
  const busy = rows.map((each) => ({ ...each, load_average: 1.5 }))
  const timing = contentOf([run('slow', 0, 60, { wall_ms: 90 }), run('few', 0, 99, { wall_ms: 10 })])
  const result = table(busy, { timing })
  assert.equal([front(result, 'wall'), front(result, 'nfe')], [['slow'], ['sada', 'slow']])
  assert.match(markdown(result), /\| 2\.00† \|[^]*†: a wall time that is not to be relied on/)
})

test('SSIM is optional: a row has one where all its pictures have, a table a column where a row has, and says so where none has', async () => {
  const without = { ssim: undefined }
  const mixed = [run('sada', 0, 30), run('sada', 1, 31, { ssim: 0.99999 }), run('every-n', 0, 30), run('every-n', 1, 30, without)]
  const some = table([...mixed, run('easycache', 0, 90, { ssim: 0.99999 }), run('easycache', 1, 90, { ssim: 1 })])
  assert.equal(
    some.rows.map(({ ssim }) => ssim),
    [{ mean: 1.89999 / 2, worst: 0.9 }, undefined, { mean: 0.999995, worst: 0.99999 }],
  )
  assert.match(markdown(some), /\| 0 \| 0\.9500 \|[^]*\| 0 \| – \|[^]*\| 0 \| > 0\.9999 \|/)
  const none = table([run('sada', 0, 30, without), run('none', 0, 20, { steps: 2, ...without })])
  assert.equal(v.parse(tableResult, JSON.parse(JSON.stringify(none))), none)
  for (const text of [markdown(none), await tablePage(none, new Pictures([]))]) {
    assert.match(text, /SSIM was not measured/)
    assert.not.match(text, /undefined|NaN|\| SSIM|>SSIM</)
  }
})

test("what is published elsewhere is of the row's solver or of none that is named, with its source, and says where it was not verified", async () => {
  const published = await publishedFigures()
  const said = (scheduler: string, method = 'sada/poster'): string => {
    const [row] = table([run(method, 0, 30, { scheduler })], { published }).rows
    return publishedText(row)
  }
  assert.is(said('euler'), '26.25 dB @ 1.81× on Stable Diffusion 2, Euler (SADA paper, table 1; not verified)')
  assert.is(said('dpm++'), '26.34 dB @ 1.8× on Stable Diffusion 2, DPM++ (SADA paper, table 1; not verified)')
  assert.is(said('flow-euler'), '29.44 dB @ 2.02× on FLUX.1 (SADA paper, table 1; not verified)')
  assert.is(
    said('euler', 'seacache'),
    '30.19 dB @ 2.36× on FLUX.1-dev 1024², 50 steps (vllm-project/vllm-omni pull request 6975)',
  )
  const [ofDpm] = published['sada/poster']
  assert.is(publishedText({ ...table([run('sada', 0, 30)]).rows[0], published: [ofDpm] }), '')
})

test('a metric stands with what must be said beside it: bias, spread, the baseline and its settings', async () => {
  const plainly = table([run('sada', 0, 30)])
  const values = {
    fid: {
      value: 7.129,
      samples: 8,
      bias: { halves: 9.5, extrapolated: 2.25, points: [{ count: 8, fid: 7.129 }] },
      settings: { flavour: 'x' },
    },
    kid: { value: 0.5, std: 0.25, samples: 8, settings: { subsets: 100 } },
    'clip-score': { value: 0.25, baseline: 0.3, samples: 8, settings: { model: 'm' }, published_weights: false },
  }
  const result: TableResult = {
    ...plainly,
    metrics: Object.fromEntries(
      Object.keys(values).map((name) => [name, { unit: '', direction: 'lower', about: `About ${name}.` }]),
    ),
    rows: [{ ...plainly.rows[0], metrics: values }],
  }
  assert.equal(v.parse(tableResult, JSON.parse(JSON.stringify(result))), result)
  const forms = [markdown(result), await tablePage(result, new Pictures([]))]
  for (const text of forms) {
    for (const said of [
      '7.13 (halves 9.5; ∞ 2.25)',
      '0.5 ± 0.25',
      '0.25 (full run 0.3)',
      'About kid. subsets 100.',
      'Not the published weights',
    ])
      assert.ok(text.includes(said.replace(';', ',')), said)
  }
})

test('text of others is shown as it is in every form, and starts nothing in any', async () => {
  const method = 'x:a=|b|*c*\u001b[31m\n# d<i>&"e"'
  const runs = [run(method, 0, 30), run('=1+1', 0, 30), run('+a,"b', 0, 30), run('-3', 0, 30), run('none', 0, 60, { steps: 2 })]
  const result = table(runs.map((each) => ({ ...each, kind: '@k|\r\n', prompt: 'p\u0007\u202e' })))
  const page = await tablePage(result, new Pictures([]))
  assert.not.match(page, /\u001b|\u0007|\u202e|<i>&/)
  const lines = markdown(result).split('\n')
  assert.ok(lines.includes('### euler, guidance 3, @k\\|  prompts'), lines[4])
  const [head, , row] = lines.slice(lines.findIndex((line) => line.startsWith('| method')))
  assert.match(lines.join('\n'), /\| x:a=\\\|b\\\|\\\*c\\\*\ufffd\\\[31m \\# d&lt;i>&amp;"e" °/)
  assert.is(row.split(/(?<!\\)\|/).length, head.split('|').length)
  const cells = csv(result)
  for (const cell of [",'@k| ,", ",'=1+1,", `,"'+a,""b",`, ',-3,', ',-30.0000,']) assert.ok(cells.includes(cell), cell)
  assert.not.match(cells, /\u001b|(^|[^\r])\n/)
})

test('the table fits its schema, and every form has every row, escaped', async () => {
  const published = await publishedFigures()
  for (const name of Object.keys(published)) assert.ok(name in policies, name)
  const runs = ['sada', 'easycache', 'every-n:n=2'].map((method, k) => run(method, 0, 30 + k))
  const result = table([...runs, run('none', 0, 20, { steps: 2 })], { published })
  assert.equal(v.parse(tableResult, JSON.parse(JSON.stringify(result))), result)
  const page = await tablePage(result, new Pictures([join(emptyFolder(), 'none')]))
  for (const text of [markdown(result), csv(result), page]) {
    for (const { method } of result.rows) assert.ok(text.includes(method), method)
  }
  assert.not.match(page, /<b>picture/)
  const lines = csv(result).trimEnd().split('\r\n')
  assert.is(lines.length, 5)
  assert.match(page, /<\/html>\s*$/)
  assert.not.match(page, /(src|href)="(?!data:|#)/)
})

test('names of kinds and schedulers, which come from files, do not lead out of the folder of pictures', async () => {
  const folder = emptyFolder()
  const inner = join(folder, 'a', 'b')
  const named = { scheduler: '..', guidance: 3, kind: '../../../../escaped', index: 0, method: '../x', steps: 3 }
  await new Pictures([inner]).keep(named, new Float32Array(12), { shape: [3, 2, 2], range: [-1, 1] })
  assert.ok(await new Pictures([inner]).find(named))
  assert.equal([readdirSync(folder), readdirSync(join(folder, 'a'))], [['a'], ['b']])
})

test.run()
