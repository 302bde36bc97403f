import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { assemble } from '../../ts/bench/table1/assemble.ts'
import { csv } from '../../ts/bench/table1/csv.ts'
import type { Run } from '../../ts/bench/table1/journal.ts'
import { markdown } from '../../ts/bench/table1/markdown.ts'
import { plainStepsOf } from '../../ts/bench/table1/plain.ts'
import type { TableResult } from '../../ts/bench/table1/result.ts'
import { contentOf, run, session, table } from '../support/table1.ts'

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

test('what was missing once and has runs now is not missing', () => {
  const missing = ['sada', 'deepcache'].map((method) => ({
    ...{ type: 'missing' as const, scheduler: 'euler', guidance: 3, method },
    reason: 'An earlier version could not.',
  }))
  const result = assemble({ ...contentOf([run('sada', 0, 30)]), missing }, { created: session.created })
  assert.equal(
    result.missing.map(({ method }) => method),
    ['deepcache'],
  )
})

test.run()
