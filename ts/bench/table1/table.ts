import { times } from '../report/figures.ts'
import { html, type Markup } from '../report/markup.ts'
import type { TableResult, TableRow } from './result.ts'
import {
  bySpeed,
  decibelTexts,
  intervalHead,
  intervalText,
  metricText,
  plainHead,
  plainText,
  publishedShort,
  shownMetrics,
  similarityHead,
  similarityText,
} from './text.ts'

/** A row with its number in the table; none for a setting of a sweep. */
export interface Numbered {
  readonly row: TableRow
  readonly number: number | null
}

/** Rows of a place, slow ones first: `shown` are defaults and settings that were asked for without them, `swept` all others. */
export function numbered(rows: readonly TableRow[]): Record<'all' | 'shown' | 'swept', Numbered[]> {
  const defaults = new Set(rows.filter((row) => row.is_default).map(({ policy }) => policy))
  const isSwept = (row: TableRow): boolean => !row.is_default && defaults.has(row.policy)
  const sorted = bySpeed(rows)
  const shown = sorted.filter((row) => !isSwept(row)).map((row, k) => ({ row, number: k + 1 }))
  const swept = sorted.filter(isSwept).map((row) => ({ row, number: null }))
  return { all: [...swept, ...shown], shown, swept }
}

/** Every figure of some rows. */
export function table(result: TableResult, rows: readonly Numbered[]): Markup {
  const interval = intervalHead(rows.map(({ row }) => row))
  const head = ['n', 'runs', 'FLOPs', 'wall', 'pairs', ...interval, 'PSNR', 'worst 10 %', 'worst', 'equal']
  const isPublished = rows.some(({ row }) => publishedShort(row) !== '')
  const numbers = [...head, ...similarityHead(result), ...shownMetrics(result)]
  return html`<div class="scroll" tabindex="0" role="region" aria-label="All figures">
    <table>
      <thead>
        <tr>
          <th scope="col">policy</th>
          ${numbers.map((name) => html`<th scope="col">${name}</th>`)}
          <th scope="col" class="words">${plainHead(result)}</th>
          ${isPublished && html`<th scope="col" class="words">published</th>`}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ({ row, number }) =>
            html`<tr class="${row.method === 'sada' ? 'ours' : 'other'}">
              <th scope="row">${number !== null && `${number}. `}${row.method}${row.pareto.wall && ' ★'}</th>
              ${cells(row, interval.length > 0, result).map((text) => html`<td>${text}</td>`)}
              <td class="words">${plainText(row)}</td>
              ${isPublished && html`<td class="words">${publishedShort(row)}</td>`}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}

function cells(row: TableRow, withInterval: boolean, result: TableResult): string[] {
  const { samples, nfe, flops, speedup, psnr_db: psnr, identical, metrics, timing } = row
  return [
    String(samples),
    nfe.mean.toFixed(1),
    `÷ ${flops.ratio.toFixed(2)}`,
    `${times(speedup.p50)}${timing.reliable ? '' : '†'}`,
    String(timing.pairs),
    ...(withInterval ? [intervalText(speedup)] : []),
    ...decibelTexts(psnr),
    String(identical),
    ...similarityHead(result).map(() => similarityText(row)),
    ...shownMetrics(result).map((name) => metricText(metrics[name])),
  ]
}
