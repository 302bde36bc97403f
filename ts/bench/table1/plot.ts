import { chart, frame, line, ticks, ticksBefore, xAxis, yAxis } from '../report/chart.ts'
import { html, type Markup } from '../report/markup.ts'
import { greatest, least } from '../statistics.ts'
import type { PlainRow, TableRow } from './result.ts'
import type { Numbered } from './table.ts'

const HEIGHT = 250

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
  const xs = [Math.min(1, least(speeds)), greatest(speeds) * 1.05] as const
  const ys = [Math.floor((low - 1) / 5) * 5, Math.ceil((high + 2) / 5) * 5] as const
  const f = frame(xs, ys, HEIGHT)
  const top = ys[1]
  const at = (value: number | null): number => value ?? top
  const front = rows
    .filter(({ row }) => row.pareto[axis.front])
    .map(({ row }) => [axis.of(row), at(meanOf(row))] as const)
    .sort(([a], [b]) => a - b)
  return chart(
    `Mean PSNR against ${axis.title}; the line joins what nothing else beats in both.`,
    [
      yAxis(f, decibelTicks(ys, quality.length < rows.length + plain.length)),
      xAxis(f, ticks(xs, 6), axis.title, true),
      plainOnes(plain, (row) => [f.x(axis.ofPlain(row)), f.y(at(meanOf(row)))], axis),
      html`${front.length > 1 && line(f, front, 'front')}`,
      html`${rows.map(({ row, number }) => {
        const [x, y] = [f.x(axis.of(row)), f.y(at(meanOf(row)))]
        const name = row.policy === 'sada' ? 'ours' : 'rival'
        const about = `${number === null ? '' : `${number}. `}${row.method}: ${text(meanOf(row))} at ${axis.of(row).toFixed(2)}×, of ${row.samples}`
        return html`<circle class="${name}${number === null ? ' swept' : ''}" cx="${x}" cy="${y}" r="${name === 'ours' ? 5 : 3.6}"
            ><title>${about}</title></circle
          >${number !== null && html`<text class="number ${name}" x="${x + 6}" y="${y - 5}">${name === 'ours' ? row.method : number}</text>`}`
      })}`,
    ],
    HEIGHT,
  )
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
