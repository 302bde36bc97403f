import { chart, frame, line, ticks, ticksBefore, xAxis, yAxis } from '../report/chart.ts'
import { html, type Markup } from '../report/markup.ts'
import { greatest, least } from '../statistics.ts'
import { placeLabels } from './labels.ts'
import type { PlainRow, TableRow } from './result.ts'
import type { Numbered } from './table.ts'

/** Two of them fill a page: so wide their text is of the size of what stands around it. */
const [WIDTH, HEIGHT] = [440, 320]
const LEFT = 48
/** Share of an axis that is left free at its ends. */
const FREE = 0.04
/** Of a character. */
const LETTER = { ours: 6.5, rival: 5.5 } as const

export interface Axis {
  readonly title: string
  readonly front: 'wall' | 'nfe'
  of(row: TableRow): number
  ofPlain(row: PlainRow): number
}

/** Quality against speed, with the Pareto front: up is closer, right is faster. Rows that are equal in every picture stand at the top. */
export function speedPlot(rows: readonly Numbered[], plain: readonly PlainRow[], axis: Axis): Markup {
  const quality = [...rows.map(({ row }) => row), ...plain].flatMap((row) => meanOf(row) ?? [])
  const speeds = [...rows.map(({ row }) => axis.of(row)), ...plain.map((row) => axis.ofPlain(row))]
  if (speeds.length === 0) return html``
  const [low, high] = quality.length === 0 ? [20, 40] : [least(quality), greatest(quality)]
  const xs = padded([Math.min(1, least(speeds)), greatest(speeds)])
  const ys = [Math.floor((low - 1) / 5) * 5, Math.ceil((high + 2) / 5) * 5] as const
  const f = frame(xs, padded(ys), HEIGHT, LEFT, WIDTH)
  const top = ys[1]
  const at = (value: number | null): number => value ?? top
  const front = frontOf(rows, axis.front)
    .map(({ row }) => [axis.of(row), at(meanOf(row))] as const)
    .sort(([a], [b]) => a - b)
  return chart(
    `Mean PSNR against ${axis.title}; the line joins what nothing else beats in both.`,
    [
      yAxis(f, decibelTicks(ys, quality.length < rows.length + plain.length)),
      xAxis(f, ticks(xs, 6), axis.title, true),
      plainOnes(plain, (row) => [f.x(axis.ofPlain(row)), f.y(at(meanOf(row)))], axis),
      front.length > 0 && line(f, front, 'front'),
      marks(rows, (row) => [f.x(axis.of(row)), f.y(at(meanOf(row)))], axis),
    ],
    HEIGHT,
    WIDTH,
  )
}

/** Rows on the front; it is drawn where it joins several. */
export const frontOf = (rows: readonly Numbered[], by: Axis['front']): Numbered[] => {
  const front = rows.filter(({ row }) => row.pareto[by])
  return front.length > 1 ? front : []
}

const padded = ([from, to]: readonly [number, number]): [number, number] => {
  const free = FREE * (to - from || 1)
  return [from - free, to + free]
}

/** Circles with their numbers, ours by its name. */
function marks(rows: readonly Numbered[], place: (row: TableRow) => readonly [number, number], axis: Axis): Markup {
  const all = rows.map(({ row, number }) => {
    const name = row.policy === 'sada' ? 'ours' : 'rival'
    const label = number === null ? '' : name === 'ours' ? row.method : String(number)
    const [x, y] = place(row)
    return { row, number, name, label, x, y, radius: name === 'ours' ? 5 : 3.6, width: label.length * LETTER[name] } as const
  })
  // The longest label finds room first.
  const labelled = all.filter(({ label }) => label !== '').sort((a, b) => b.width - a.width)
  const places = placeLabels(labelled)
  return html`${all.map(({ row, number, name, x, y, radius }) => {
    const about = `${number === null ? '' : `${number}. `}${row.method}: ${text(meanOf(row))} at ${axis.of(row).toFixed(2)}×, of ${row.samples}`
    return html`<circle class="${name}${number === null ? ' swept' : ''}" cx="${x}" cy="${y}" r="${radius}"
      ><title>${about}</title></circle
    >`
  })}
  ${labelled.map(
    ({ name, label }, k) =>
      html`<text class="number ${name}" x="${places[k].x}" y="${places[k].y}" text-anchor="${places[k].anchor}">${label}</text>`,
  )}`
}

const decibelTicks = (ys: readonly [number, number], equal: boolean): { at: number; text: string }[] => [
  ...ticksBefore(equal, ys, 5).map((at) => ({ at, text: `${at} dB` })),
  ...(equal ? [{ at: ys[1], text: 'equal' }] : []),
]

/** Plain runs, and the line through those of all pictures: a mean over a few of them lies elsewhere, and would put bends into it that no solver makes. */
function plainOnes(plain: readonly PlainRow[], place: (row: PlainRow) => readonly [number, number], axis: Axis): Markup {
  const most = greatest(plain.map(({ samples }) => samples))
  const points = plain.map((row) => ({ row, at: place(row) })).sort((a, b) => a.at[0] - b.at[0])
  const curve = points.filter(({ row }) => row.samples === most).map(({ at }) => at.join(' '))
  return html`${curve.length > 1 && html`<path class="line plain" d="M${curve.join('L')}" />`}
  ${points.map(({ row, at: [x, y] }) => {
    const about = `plain ${row.steps} steps: ${text(meanOf(row))} at ${axis.ofPlain(row).toFixed(2)}×, of ${row.samples}`
    return html`<circle class="plain${row.samples < most && ' few'}" cx="${x}" cy="${y}" r="2.6"><title>${about}</title></circle>`
  })}`
}

const text = (decibels: number | null): string => (decibels === null ? 'equal' : `${decibels.toFixed(1)} dB`)

/** null: equal in every picture. */
const meanOf = ({ psnr_db: { mean, worst } }: Pick<TableRow, 'psnr_db'>): number | null => (worst === null ? null : mean)
