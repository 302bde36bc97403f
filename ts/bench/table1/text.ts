import { EQUAL_DB } from '../decibels.ts'
import type { PlainRow, TableResult, TableRow } from './result.ts'
import { rowsLike } from './assemble.ts'

const decimals = (value: number | null, digits: number): string => (value === null ? '' : value.toFixed(digits))
/** Mean, worst tenth and worst; `equal` where every picture is. */
export const decibelTexts = ({ mean, worst_decile: tenth, worst }: TableRow['psnr_db']): string[] =>
  [mean, tenth, worst].map((value) => (value === null || worst === null ? 'equal' : value.toFixed(1)))
const signed = (value: number): string => `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(1)}`

/** How equal pictures count. */
export const EQUAL_NOTE = `Pictures equal to the full run's, bit for bit, count as ${EQUAL_DB} dB in means and worst tenths, more than which none counts, and are counted apart too.`

/** 5 % to 95 % of the pairs, where there are enough. */
export const intervalText = ({ p05, p95 }: TableRow['speedup']): string =>
  p05 === null || p95 === null ? '–' : `${p05.toFixed(2)}–${p95.toFixed(2)}`

/** Head of the column of SSIM, where there is one. */
export const similarityHead = ({ rows }: TableResult): string[] => (rows.some(({ ssim }) => ssim !== undefined) ? ['SSIM'] : [])

/** Four digits; what they would round to 1 is not equal. */
export const similarityText = ({ ssim, samples, identical }: Pick<TableRow, 'ssim' | 'samples' | 'identical'>): string =>
  ssim === undefined ? '–' : ssim.mean > 0.99995 && identical < samples ? '> 0.9999' : ssim.mean.toFixed(4)

/** What is said where no run has an SSIM. */
export const similarityNotes = (result: TableResult): string[] =>
  similarityHead(result).length > 0 ? [] : ['SSIM was not measured.']

/** Wall speed-up, marked where it is not to be relied on. */
export const wallText = ({ speedup, timing }: TableRow): string => `${speedup.p50.toFixed(2)}${timing.reliable ? '' : '†'}`

export const FRONT_NOTE = 'Rows of fewer pictures than the largest of the table take no part, nor do those marked †.'

/** What † means, where it stands. */
export const unreliableNotes = ({ rows }: TableResult): string[] =>
  rows.some(({ timing }) => !timing.reliable)
    ? ['†: a wall time that is not to be relied on: of the runs themselves, while other work was running.']
    : []

export const PAIRS_NOTE =
  'Wall speed-ups are medians of so many pairs of the same kind of prompts; below 20 pairs there is no range of them.'

/** Rows of one scheduler, guidance and kind, in the order of the table. */
export function places({ rows }: TableResult): Pick<TableRow, 'scheduler' | 'guidance' | 'kind'>[] {
  const found = new Map<string, Pick<TableRow, 'scheduler' | 'guidance' | 'kind'>>()
  for (const { scheduler, guidance, kind } of rows)
    found.set([scheduler, guidance, kind].join('|'), { scheduler, guidance, kind })
  return [...found.values()].sort(
    (a, b) => a.scheduler.localeCompare(b.scheduler) || a.guidance - b.guidance || a.kind.localeCompare(b.kind),
  )
}

/** Fast ones last. */
export const bySpeed = (rows: readonly TableRow[]): TableRow[] => [...rows].sort((a, b) => a.speedup.p50 - b.speedup.p50)

/** Names of metrics of which there is a value, in the order of the table. */
export const shownMetrics = ({ metrics }: TableResult): string[] =>
  Object.keys(metrics).filter((name) => metrics[name].unavailable === undefined)

const three = (value: number): string => Number(value.toPrecision(3)).toString()

/** A value with what must stand beside it. */
export function metricText(metric: TableRow['metrics'][string] | undefined): string {
  if (metric === undefined || 'unavailable' in metric) return '–'
  const { value, std, baseline, bias } = metric
  const beside = [
    ...(baseline === undefined ? [] : [`full run ${three(baseline)}`]),
    ...(bias === undefined ? [] : [`halves ${three(bias.halves)}, ∞ ${three(bias.extrapolated)}`]),
  ]
  const spread = std === undefined ? '' : ` ± ${three(std)}`
  return `${value === null ? 'equal' : three(value)}${spread}${beside.length > 0 ? ` (${beside.join('; ')})` : ''}`
}

/** How each metric that has a value was computed, and from which weights. */
export function metricNotes({ rows, metrics }: TableResult): string[] {
  return Object.entries(metrics).flatMap(([name, { about }]) => {
    const value = rows.map((row) => row.metrics[name]).find((each) => each !== undefined && 'settings' in each)
    if (value === undefined || 'unavailable' in value) return []
    const settings = Object.entries(value.settings).map(([key, each]) => `${key} ${each}`)
    const weights = value.published_weights === false ? ' Not the published weights: it compares with nothing published.' : ''
    return [`${name}: ${about} ${settings.join(', ')}.${weights}`]
  })
}

/** What its authors report of the policy with the row's solver, else where they name none; never with another. */
export function publishedText({ published, scheduler }: TableRow): string {
  const found = published.find(({ solver }) => solver === scheduler) ?? published.find(({ solver }) => solver === null)
  if (found === undefined) return ''
  const { psnr_db: psnr, speedup, unit, model, source, verified } = found
  const times = speedup === null ? '' : `${speedup}×${unit === 'wall' ? '' : unit === 'flops' ? ' (FLOPs)' : ' (unit not said)'}`
  const figures = [psnr === null ? '' : `${psnr} dB`, times].filter(Boolean).join(' @ ')
  return `${figures} on ${model} (${source}${verified ? '' : '; not verified'})`
}

/** The whole table as Markdown, one for each scheduler, guidance and kind. */
export function markdown(result: TableResult): string {
  const { model, steps, created, load, rows, missing, metrics } = result
  const shown = shownMetrics(result)
  const head = [
    'method',
    'n',
    'runs',
    'FLOPs ÷',
    'wall ×',
    'pairs',
    '5 %–95 %',
    'PSNR',
    'worst tenth',
    'worst',
    'equal',
    ...similarityHead(result),
    ...shown,
  ]
  const tables = places(result).map((place) => {
    const own = bySpeed(rowsLike(place, rows))
    const lines = own.map((row) => [
      ...figures(row),
      ...similarityHead(result).map(() => similarityText(row)),
      ...shown.map((name) => metricText(row.metrics[name])),
      plainText(row),
      publishedText(row),
    ])
    return [
      `### ${place.scheduler}, guidance ${place.guidance}, ${place.kind} prompts`,
      '',
      tableOf([...head, plainHead(result), 'published elsewhere'], lines),
    ].join('\n')
  })
  const notes = [
    '`*`: no other row of its table is both faster in wall time and closer on average. ' + FRONT_NOTE,
    'PSNR in dB against the run of every step from the same noise; worst tenth: the mean over the worst tenth of the pictures, rounded up.',
    EQUAL_NOTE,
    PAIRS_NOTE,
    ...unreliableNotes(result),
    ...similarityNotes(result),
    `"${plainHead(result)}": the unaccelerated run with as many steps as fit, rounded down, and in brackets what the row is above it in dB: mean, worst tenth.`,
    ...metricNotes(result),
    ...Object.entries(metrics).flatMap(([name, { unavailable }]) =>
      unavailable === undefined ? [] : [`${name}: unavailable. ${unavailable}`],
    ),
    ...unique(missing.map(({ scheduler, method, reason }) => `Not run: ${method} with ${scheduler}. ${reason}`)),
  ]
  return [
    `## ${model}, ${steps} steps`,
    '',
    `Made ${created.slice(0, 10)}. Load of the machine: median ${load.p50.toFixed(1)}, at most ${load.max.toFixed(1)}.`,
    '',
    ...tables.map((table) => table + '\n'),
    ...notes.map((note) => `- ${note}`),
    '',
  ].join('\n')
}

/** Head of the column with the plain runs. */
export const plainHead = ({ plain_by: by }: TableResult): string => `plain, same ${by === 'time' ? 'time' : 'FLOPs'}`

const unique = (texts: readonly string[]): string[] => [...new Set(texts)]

function figures(row: TableRow): string[] {
  const { speedup, psnr_db: psnr, pareto } = row
  return [
    `${row.method}${row.is_default ? '' : ' °'}${pareto.wall ? ' \\*' : ''}`,
    String(row.samples),
    row.nfe.mean.toFixed(1),
    row.flops.ratio.toFixed(2),
    wallText(row),
    String(row.timing.pairs),
    intervalText(speedup),
    ...decibelTexts(psnr),
    String(row.identical),
  ]
}

export function plainText({ plain, samples }: TableRow): string {
  if (plain === null) return 'not made yet'
  const { steps, psnr_db: psnr, gain_db: gain } = plain
  return `${steps} steps: ${decibelTexts(psnr)[0]} (${signed(gain.mean)}, ${signed(gain.worst_decile)})${plain.samples < samples ? `, ${plain.samples} of ${samples}` : ''}`
}

function tableOf(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|')
  const rule = head.map((_, k) => (k === 0 || k >= head.length - 2 ? '---' : '--:'))
  return [head, rule, ...lines.map((line) => line.map(cell))].map((line) => `| ${line.join(' | ')} |`).join('\n')
}

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

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
