import { visible } from '../plain-text.ts'
import type { PlainRow, TableResult, TableRow } from './result.ts'
import { publishedText } from './text.ts'

const decimals = (value: number | null, digits: number): string => (value === null ? '' : value.toFixed(digits))

/** The whole table as CSV (RFC 4180): one line for each row, then one for each number of plain steps. */
export function csv(result: TableResult): string {
  const shown = Object.keys(result.metrics)
  const head = [
    ...['scheduler', 'guidance', 'kind', 'method', 'policy', 'is_default', 'samples', 'nfe', 'nfe_ratio', 'flops_ratio'],
    ...[
      'wall_ms_p50',
      'baseline_wall_ms_p50',
      'speedup_p05',
      'speedup_p50',
      'speedup_p95',
      'timing',
      'timing_pairs',
      'timing_load',
    ],
    ...['psnr_mean', 'psnr_worst_decile', 'psnr_worst', 'identical', 'ssim_mean', 'ssim_worst', 'pareto_wall', 'pareto_nfe'],
    ...['plain_steps', 'plain_samples', 'plain_psnr_mean', 'plain_psnr_worst_decile', 'gain_mean', 'gain_worst_decile'],
    ...['published', ...shown],
  ]
  const lines = [...result.rows.map((row) => csvRow(row, shown)), ...result.plain.map((row) => csvPlain(row, result.steps))]
  return (
    [head, ...lines.map((line) => head.map((_, k) => line[k] ?? ''))].map((line) => line.map(quoted).join(',')).join('\r\n') +
    '\r\n'
  )
}

function csvRow(row: TableRow, shown: readonly string[]): string[] {
  const { plain } = row
  return [
    ...[row.scheduler, String(row.guidance), row.kind, row.method, row.policy, String(row.is_default), String(row.samples)],
    ...[decimals(row.nfe.mean, 3), decimals(row.nfe_ratio, 4), decimals(row.flops.ratio, 4)],
    ...[decimals(row.wall_ms.p50, 3), decimals(row.baseline_wall_ms.p50, 3)],
    ...[row.speedup.p05, row.speedup.p50, row.speedup.p95].map((value) => decimals(value, 4)),
    ...[row.timing.source, String(row.timing.pairs), decimals(row.timing.load, 2)],
    ...closenessCells(row),
    ...[String(row.pareto.wall), String(row.pareto.nfe)],
    ...(plain === null
      ? ['', '', '', '', '', '']
      : [
          ...[
            String(plain.steps),
            String(plain.samples),
            decimals(plain.psnr_db.mean, 4),
            decimals(plain.psnr_db.worst_decile, 4),
          ],
          ...[decimals(plain.gain_db.mean, 4), decimals(plain.gain_db.worst_decile, 4)],
        ]),
    publishedText(row),
    ...shown.map((name) => {
      const found = row.metrics[name]
      return found === undefined || 'unavailable' in found || found.value === null ? '' : String(found.value)
    }),
  ]
}

function csvPlain(row: PlainRow, steps: number): string[] {
  return [
    ...[row.scheduler, String(row.guidance), row.kind, `plain ${row.steps} steps`, 'none', 'false', String(row.samples)],
    ...[String(row.steps), decimals(steps / row.steps, 4), decimals(steps / row.steps, 4), '', ''],
    ...[row.speedup.p05, row.speedup.p50, row.speedup.p95].map((value) => decimals(value, 4)),
    ...['runs', '', ''],
    ...closenessCells(row),
  ]
}

const closenessCells = ({ psnr_db: psnr, identical, ssim }: Pick<TableRow, 'psnr_db' | 'identical' | 'ssim'>): string[] => [
  ...[psnr.mean, psnr.worst_decile, psnr.worst].map((value) => decimals(value, 4)),
  ...[String(identical), decimals(ssim?.mean ?? null, 6), decimals(ssim?.worst ?? null, 6)],
]

/** A cell that a spreadsheet would take for a formula is led by an apostrophe, which it hides; numbers stay numbers. */
function quoted(text: string): string {
  const shown = visible(text)
  const cell = /^\s*[=+\-@]/.test(shown) && !Number.isFinite(Number(shown)) ? `'${shown}` : shown
  return /[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}
