import { rowsLike } from './assemble.ts'
import { visible } from '../plain-text.ts'
import { askedTexts } from './journal.ts'
import type { TableResult, TableRow } from './result.ts'
import {
  bySpeed,
  decibelTexts,
  EQUAL_NOTE,
  FRONT_NOTE,
  intervalText,
  metricNotes,
  metricText,
  missingNotes,
  PAIRS_NOTE,
  places,
  plainHead,
  plainText,
  publishedText,
  shownMetrics,
  similarityHead,
  similarityNotes,
  similarityText,
  unavailableNotes,
  unreliableNotes,
  wallText,
  warningNotes,
} from './text.ts'

/** The whole table as Markdown, one for each scheduler, guidance and kind. */
export function markdown(result: TableResult): string {
  const { model, steps, picture, created, load } = result
  return [
    `## ${[escaped(model), `${steps} steps`, ...askedTexts(picture)].join(', ')}`,
    '',
    `Made ${created.slice(0, 10)}. Load of the machine: median ${load.p50.toFixed(1)}, at most ${load.max.toFixed(1)}.`,
    '',
    ...places(result).map((place) => tableAt(result, place) + '\n'),
    ...notes(result).map((note) => `- ${note}`),
    '',
  ].join('\n')
}

function tableAt(result: TableResult, place: Pick<TableRow, 'scheduler' | 'guidance' | 'kind'>): string {
  const shown = shownMetrics(result)
  const figureNames = ['method', 'n', 'runs', 'FLOPs ÷', 'wall ×', 'pairs', '5 %–95 %', 'PSNR', 'worst tenth', 'worst', 'equal']
  const head = [...figureNames, ...similarityHead(result), ...shown, plainHead(result), 'published elsewhere']
  const lines = bySpeed(rowsLike(place, result.rows)).map((row) => [
    ...figures(row),
    ...similarityHead(result).map(() => similarityText(row)),
    ...shown.map((name) => metricText(row.metrics[name])),
    plainText(row),
    escaped(publishedText(row)),
  ])
  const title = `### ${escaped(place.scheduler)}, guidance ${place.guidance}, ${escaped(place.kind)} prompts`
  return [title, '', tableOf(head, lines)].join('\n')
}

function notes(result: TableResult): string[] {
  const { note, rows } = result
  return [
    ...(note === undefined ? [] : [note]),
    '`*`: no other row of its table is both faster in wall time and closer on average. ' + FRONT_NOTE,
    ...(rows.some((row) => !row.is_default) ? ["°: other settings than the policy's published ones."] : []),
    'PSNR in dB against the run of every step from the same noise; worst tenth: the mean over the worst tenth of the pictures, rounded up.',
    EQUAL_NOTE,
    PAIRS_NOTE,
    ...unreliableNotes(result),
    ...similarityNotes(result),
    `"${plainHead(result)}": the unaccelerated run with as many steps as fit, rounded down, and in brackets what the row is above it in dB: mean, worst tenth.`,
    ...metricNotes(result),
    ...unavailableNotes(result).map(escaped),
    ...warningNotes(result, escaped),
    ...missingNotes(result, escaped),
  ]
}

function figures(row: TableRow): string[] {
  const { speedup, psnr_db: psnr, pareto } = row
  return [
    `${escaped(row.method)}${row.is_default ? '' : ' °'}${pareto.wall ? ' \\*' : ''}`,
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

function tableOf(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const rule = head.map((_, k) => (k === 0 || k >= head.length - 2 ? '---' : '--:'))
  return [head, rule, ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n')
}

/** Text of others as Markdown that shows it as it is. */
const escaped = (text: string): string =>
  visible(text)
    .replace(/[\\`*_[\]|#~]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
