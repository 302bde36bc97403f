import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pictures } from '../bench/table1/pictures.ts'
import type { TableResult } from '../bench/table1/result.ts'
import { invalidArgument, inWords, SadaError } from '../errors.ts'
import { checkDistinct } from './distinct-files.ts'
import { OutputFile } from './output-file.ts'

/** The options of `sada-bench table1` that name files. */
export interface Table1Files {
  readonly coco?: string
  readonly control?: readonly string[]
  readonly prompts?: string
  readonly resume?: readonly string[]
  readonly timing?: readonly string[]
  readonly reportOnly: boolean
  readonly html?: string
  readonly json?: string
  readonly markdown?: string
  readonly csv?: string
}

const FOLDER = 'bench-report'
const STDOUT = '-'
const FORMATS = ['html', 'json', 'markdown', 'csv'] as const
type Format = (typeof FORMATS)[number]
const ENDINGS: Readonly<Record<Format, string>> = { html: 'html', json: 'json', markdown: 'md', csv: 'csv' }

/** Files of finished runs; new ones go to the first. */
export async function journalsOf({ resume, json }: Table1Files): Promise<readonly string[]> {
  if (resume !== undefined && resume.length > 0) return resume
  const beside = json === undefined || json === STDOUT ? join(FOLDER, 'table1.jsonl') : json.replace(/\.json$/, '') + '.jsonl'
  const { size } = await stat(beside).catch(() => ({ size: 0 }))
  if (size > 0) {
    throw new SadaError('INVALID_ARGUMENT', `${beside} holds finished runs: continue with --resume ${beside}, or move it away.`, {
      argument: 'resume',
    })
  }
  return [beside]
}

/** Networks that are named and not there would be missed after all runs are made. Throws INVALID_ARGUMENT. */
export async function checkWeights(folder: string | undefined): Promise<void> {
  if (folder === undefined) return
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory()) return
  throw invalidArgument(
    '--weights',
    'a folder with the networks of metrics',
    inWords(`${folder}, which is ${found ? 'none' : 'not there'}`),
  )
}

/** Refuses what would write over a file that is read or written for another option. Throws INVALID_ARGUMENT. */
export async function checkFiles(options: Table1Files, journals: readonly string[]): Promise<void> {
  const { timing = [], prompts, coco, control = [], reportOnly } = options
  const named = (option: string, paths: readonly (string | undefined)[]) =>
    paths.flatMap((path) => (path === undefined ? [] : [{ option, path }]))
  const written = reportOnly ? 0 : 1
  await checkDistinct(
    [
      ...named('--resume', journals.slice(0, written)),
      ...filesOf(options).map(({ format, path }) => ({ option: `--${format}`, path })),
    ],
    [
      ...named('--resume', journals.slice(written)),
      ...named('--timing', timing),
      ...named('--prompts', [prompts]),
      ...named('--coco', [coco]),
      ...named('--control', control),
    ],
  )
}

export interface Target {
  readonly format: Format
  /** undefined: stdout. */
  readonly file: OutputFile | undefined
}

const isAsked = (options: Table1Files): boolean => FORMATS.some((format) => options[format] !== undefined)

/** The files to write: those that were asked for; without any, all four in the report's folder. */
function filesOf(options: Table1Files): { readonly format: Format; readonly path: string }[] {
  if (!isAsked(options)) return FORMATS.map((format) => ({ format, path: join(FOLDER, `table1.${ENDINGS[format]}`) }))
  return FORMATS.flatMap((format) => {
    const path = options[format]
    return path === undefined || path === STDOUT ? [] : [{ format, path }]
  })
}

/** Reserves what will be written. */
export async function reserveFiles(options: Table1Files): Promise<Target[]> {
  const printed = FORMATS.filter((format) => options[format] === STDOUT)
  if (printed.length > 1) throw invalidArgument('-', 'given for one output only', inWords('it for several'))
  const filed = filesOf(options)
  const files = await OutputFile.reserveAll(filed.map(({ path }) => ({ path, folders: !isAsked(options) })))
  return [
    ...filed.map(({ format }, k) => ({ format, file: files[k] })),
    ...printed.map((format) => ({ format, file: undefined })),
  ]
}

/** Writes every form that was asked for; the table goes to stdout unless one of them does. */
export async function publish(result: TableResult, pictures: Pictures, targets: readonly Target[]): Promise<void> {
  const texts = {
    html: async () => (await import('../bench/table1/page.ts')).tablePage(result, pictures),
    json: () => Promise.resolve(JSON.stringify(result, undefined, 1) + '\n'),
    markdown: async () => (await import('../bench/table1/markdown.ts')).markdown(result),
    csv: async () => (await import('../bench/table1/csv.ts')).csv(result),
  }
  let isPrinted = false
  for (const { format, file } of targets) {
    const text = await texts[format]()
    if (file !== undefined) {
      await file.write(text)
      process.stderr.write(`${format}: ${file.path}\n`)
    } else {
      process.stdout.write(text)
      isPrinted = true
    }
  }
  if (!isPrinted) process.stdout.write(await texts.markdown())
}
