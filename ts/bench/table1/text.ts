import { NO_NETWORKS } from '../../metrics/network-files.ts'
import { EQUAL_DB } from '../decibels.ts'
import type { TableResult, TableRow } from './result.ts'

/** Mean, worst tenth and worst; `equal` where every picture is. */
export const decibelTexts = ({ mean, worst_decile: tenth, worst }: TableRow['psnr_db']): string[] =>
  [mean, tenth, worst].map((value) => (value === null || worst === null ? 'equal' : value.toFixed(1)))
const signed = (value: number): string => `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(1)}`

/** How equal pictures count. */
export const EQUAL_NOTE = `Pictures equal to the full run's, bit for bit, count as ${EQUAL_DB} dB in means and worst tenths, more than which none counts, and are counted apart too.`

/** 5 % to 95 % of the pairs, where there are enough. */
export const intervalText = ({ p05, p95 }: TableRow['speedup']): string =>
  p05 === null || p95 === null ? '–' : `${p05.toFixed(2)}–${p95.toFixed(2)}`

/** Head of the column of that range, where one of the rows has it. */
export const intervalHead = (rows: readonly TableRow[]): string[] =>
  rows.some(({ speedup }) => speedup.p05 !== null && speedup.p95 !== null) ? ['5 %–95 %'] : []

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

/** Metrics without a value, and why: what several lack for want of the same is one note. */
export function unavailableNotes({ metrics }: TableResult): string[] {
  const lacking = Object.entries(metrics).flatMap(([name, { unavailable }]) =>
    unavailable === undefined ? [] : [[name, unavailable] as const],
  )
  const ofNetworks = lacking.filter(([, why]) => why.includes(NO_NETWORKS)).map(([name]) => name)
  if (ofNetworks.length < 2) return lacking.map(([name, why]) => `${name} is unavailable. ${why}`)
  return [
    `${ofNetworks.join(', ')} are unavailable: they need networks, and ${NO_NETWORKS}; docs/metrics.md says what makes them.`,
    ...lacking.filter(([name]) => !ofNetworks.includes(name)).map(([name, why]) => `${name} is unavailable. ${why}`),
  ]
}

/** What could not run, and why; at which guidance scales, where it ran at others. */
export function missingNotes({ missing, rows }: TableResult, shown: (text: string) => string = String): string[] {
  const notes = missing.map(({ scheduler, method, reason }) => {
    const scales = missing.filter((each) => each.scheduler === scheduler && each.method === method && each.reason === reason)
    const ran = rows.some((row) => row.scheduler === scheduler && row.method === method)
    const at = ran ? ` at guidance ${scales.map(({ guidance }) => guidance).join(', ')}` : ''
    return `Not run: ${shown(method)} with ${shown(scheduler)}${at}. ${shown(reason)}`
  })
  return [...new Set(notes)]
}

/** What policies warned of, with the rows that it was said of. */
export function warningNotes({ rows }: TableResult, shown: (text: string) => string = String): string[] {
  const warned = new Map<string, Set<string>>()
  for (const { method, warnings } of rows) {
    for (const warning of warnings) warned.set(warning, (warned.get(warning) ?? new Set()).add(method))
  }
  return [...warned].map(([warning, methods]) => `${[...methods].map(shown).join(', ')}: ${shown(warning)}`)
}

/** What its authors report of the policy with the row's solver, else where they name none; never with another. */
const publishedOf = ({ published, scheduler }: TableRow): TableRow['published'][number] | undefined =>
  published.find(({ solver }) => solver === scheduler) ?? published.find(({ solver }) => solver === null)

/** The figures alone. */
export function publishedShort(row: TableRow): string {
  const found = publishedOf(row)
  if (found === undefined) return ''
  const { psnr_db: psnr, speedup, unit } = found
  const times = speedup === null ? '' : `${speedup}×${unit === 'wall' ? '' : unit === 'flops' ? ' (FLOPs)' : ' (unit not said)'}`
  return [psnr === null ? '' : `${psnr} dB`, times].filter(Boolean).join(' @ ')
}

/** The figures, on what, and who says so. */
export function publishedText(row: TableRow): string {
  const found = publishedOf(row)
  if (found === undefined) return ''
  return `${publishedShort(row)} on ${found.model} (${found.source}${found.verified ? '' : '; not verified'})`
}

/** Head of the column with the plain runs. */
export const plainHead = ({ plain_by: by }: TableResult): string => `plain, same ${by === 'time' ? 'time' : 'FLOPs'}`

export function plainText({ plain, samples }: TableRow): string {
  if (plain === null) return 'not made yet'
  const { steps, psnr_db: psnr, gain_db: gain } = plain
  return `${steps} steps: ${decibelTexts(psnr)[0]} (${signed(gain.mean)}, ${signed(gain.worst_decile)})${plain.samples < samples ? `, ${plain.samples} of ${samples}` : ''}`
}
