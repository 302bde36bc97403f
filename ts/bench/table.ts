import Table from 'cli-table3'
import type { createColors } from 'picocolors'
import { inLines, visible } from './plain-text.ts'
import type { BenchCase, BenchResult } from './result.ts'
import { greatest } from './statistics.ts'

type Colours = ReturnType<typeof createColors>

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
} as const

/** Columns between two of the table's: that line, and the padding. */
const GAP = 2

/** A legend is read in lines of this many columns at most. */
const READABLE = 120

/** The result as a table for people; the same on a terminal and in a file but for its colours and, where `width` is less than it takes, for columns. */
export function benchTable({ cases, machine, model, versions }: BenchResult, colours: Colours, width = Infinity): string {
  const kinds = [...new Set(cases.flatMap(({ fidelity_by_kind }) => Object.keys(fidelity_by_kind)))]
  const { steps, guidance, samples, batch } = cases[0]
  const what = `${model.name}: ${steps} steps, guidance ${guidance}, ${samples === 1 ? '1 picture' : `${samples} pictures`} of each, ${batch === 1 ? 'one' : batch} per call`
  const about = `${what}; ${machine.cpu}, ${machine.cores} cores, sada ${versions.sada}`
  const head = ['', ...FIGURES, ...kinds.flatMap((kind) => [visible(kind), 'worst'])]
  const bodies = cases.map((each) => rows(each, kinds))
  const shown = fitting([head, ...bodies.flat()], width)
  const tables = cases.map((each, k) => {
    const table = drawn(
      shown.map((column) => [head, ...bodies[k]].map((row) => row[column])),
      colours,
    )
    const remark = plainRemark(each)
    const note = remark !== undefined && isComparable(each) ? `\n${inLines(`${plainName(each)}: ${remark}`, width)}` : ''
    return `${colours.bold(visible(each.scheduler))}\n${table}${note}`
  })
  const notes = [...(model.note === undefined ? [] : [model.note]), LEGEND].map((each) =>
    inLines(each, Math.min(width, READABLE)),
  )
  const warnings = incomparables(cases).map((each) => inLines(visible(each), width))
  return [
    inLines(visible(about), width),
    ...tables,
    ...(warnings.length > 0 ? [warnings.join('\n')] : []),
    colours.dim(notes.join('\n')),
  ].join('\n\n')
}

const LEGEND =
  'Below each kind of prompt: mean PSNR in dB against the unaccelerated picture of the same seed, and the worst; at 60 dB the ' +
  'root mean square difference is a quarter of one of 255 levels. time: median of one call. speed-up: wall time, median of the pairs. ' +
  'plain steps: as many as fit into the time of the policy, rounded down. fixed: a schedule with as many network runs.'

const FIGURES = ['runs', 'time', 'speed-up', '5 %–95 %', 'FLOPs']
/** What a narrow terminal does without, in this order. */
const DISPENSABLE = ['5 %–95 %', 'FLOPs', 'time', 'runs']

/** Columns, by their places, that fit into a width; the head is the first of the rows. */
function fitting(rows: readonly (readonly string[])[], width: number): number[] {
  const widths = rows[0].map((_, column) => greatest(rows.map((row) => row[column].length)))
  let shown = widths.map((_, column) => column)
  for (const name of DISPENSABLE) {
    if (shown.reduce((sum, column) => sum + widths[column] + GAP, 0) <= width) break
    shown = shown.filter((column) => rows[0][column] !== name)
  }
  return shown
}

/** Columns with their heads; the policy's own row, the second, stands out. */
function drawn(columns: readonly (readonly string[])[], colours: Colours): string {
  const table = new Table({
    head: columns.map(([name]) => colours.dim(name)),
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
    colAligns: columns.map((_, k) => (k === 0 ? 'left' : 'right')),
  })
  const [, ...body] = columns[0].map((_, row) => columns.map((column) => column[row]))
  table.push(...body.map((row, k) => (k === 1 ? row.map((cell) => colours.bold(cell)) : row)))
  return table.toString()
}

function rows(each: BenchCase, kinds: readonly string[]): string[][] {
  const { fewer_steps: fewer, speedup, flops, baseline_wall_ms: baseline, wall_ms: wall } = each
  const known = kinds.map((kind) => each.fidelity_by_kind[kind])
  return [
    ['unaccelerated', String(each.steps), ms(baseline.p50), times(1), '', '', ...known.flatMap(() => ['', ''])],
    [
      caseName(each),
      runs(each.nfe.mean),
      ms(wall.p50),
      times(speedup.wall),
      `${speedup.wall_p05.toFixed(2)}–${speedup.wall_p95.toFixed(2)}`,
      `÷ ${flops.ratio.toFixed(2)}`,
      ...known.flatMap((kind) => decibels(kind.psnr_db.mean, kind.psnr_db.min)),
    ],
    [
      plainName(each),
      String(fewer.steps),
      ms(fewer.wall_ms),
      times(fewer.speedup_wall),
      '',
      `÷ ${(each.steps / fewer.steps).toFixed(2)}`,
      ...known.flatMap((kind) => decibels(kind.fewer_steps.psnr_db, kind.fewer_steps.psnr_db_min)),
    ],
    ...each.comparisons.map((rival) => [
      comparisonLabel(rival),
      runs(rival.nfe),
      ms(rival.wall_ms),
      times(rival.speedup_wall),
      '',
      `÷ ${(each.steps / rival.nfe).toFixed(2)}`, // none of its passes is pruned
      ...kinds.map((kind) => rival.fidelity_by_kind[kind]).flatMap((kind) => decibels(kind.psnr_db.mean, kind.psnr_db.min)),
    ]),
  ]
}

/** Settings may be lists of any length. */
const LONGEST = 40

/** A case's policy with its settings, in a table's first column: two cases may be of one policy. */
export function caseName({ method, policy }: Pick<BenchCase, 'method' | 'policy'>): string {
  const name = method ?? policy
  return name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name
}

/** More than these shares off, it is not the same time, and not to be compared with. */
const SAME = 0.05
const COMPARABLE = 0.15

type Timed = Pick<BenchCase, 'speedup' | 'fewer_steps'>

const shareOff = ({ speedup, fewer_steps: fewer }: Timed): number => speedup.wall / fewer.speedup_wall - 1

/** How far the plain run's time is from the policy's, where that is worth saying: `12 % less`. Steps are whole, and machines are not even. */
export function timeOff(each: Timed): string | undefined {
  const off = shareOff(each)
  return Math.abs(off) > SAME ? `${Math.round(100 * Math.abs(off))} % ${off > 0 ? 'more' : 'less'}` : undefined
}

/** The plain run that is meant to take as long, with what there is to say of its time. */
export const plainLabel = (each: Timed): string => `${plainName(each)}: ${plainRemark(each) ?? 'same time'}`

const plainName = ({ fewer_steps: { steps } }: Timed): string => `plain ${steps} steps`

function plainRemark(each: Timed): string | undefined {
  const off = timeOff(each)
  if (off === undefined) return undefined
  return isComparable(each) ? `meant to take as long, took ${off}` : `not comparable, took ${off}`
}

const isComparable = (each: Timed): boolean => Math.abs(shareOff(each)) <= COMPARABLE

/** What is to be done where the plain run took too much more or less time to be compared with: what makes the difference is the machine, or one whole step. */
export function incomparable(each: Timed): string | undefined {
  if (isComparable(each)) return undefined
  const { steps } = each.fewer_steps
  const isOfOneStep = shareOff(each) < 0 && -shareOff(each) <= 1 / (steps + 1)
  const again = isOfOneStep ? 'with more steps, of which one counts less' : 'on a quiet machine'
  return `${steps} plain steps were meant to take as long and took ${timeOff(each)}: not comparable. Run it again ${again}.`
}

/** `euler, every-n:n=3: 21 plain steps were meant …`, for each case of which that is to be said. */
export const incomparables = (cases: readonly BenchCase[]): string[] =>
  cases.flatMap((each) => {
    const told = incomparable(each)
    return told === undefined ? [] : [`${each.scheduler}, ${caseName(each)}: ${told}`]
  })

/** What a comparison is, in a table's first column. */
export function comparisonLabel({ name, policy, options }: BenchCase['comparisons'][number]): string {
  return name === 'pruning-off'
    ? `${policy} without pruning`
    : `fixed, every ${Number(options.n)}${ordinal(Number(options.n))} step`
}

/** 1st, 2nd, 3rd, 21st, but 11th, 12th, 13th. */
const ordinal = (n: number): string => (Math.floor((n % 100) / 10) === 1 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th'))
const runs = (mean: number): string => mean.toFixed(Number.isInteger(mean) ? 0 : 1)
const ms = (value: number): string => `${Math.round(value)} ms`
const times = (value: number): string => `${value.toFixed(2)}×`
const decibels = (mean: number | null, worst: number | null): string[] =>
  mean === null ? ['equal', ''] : [mean.toFixed(1), worst!.toFixed(1)]
