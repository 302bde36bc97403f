import { join } from 'node:path'
import { measure, type MeasuredCase } from '../bench/bench.ts'
import { describeMachine, describeVersions } from '../bench/machine.ts'
import { filePrompts, modelPrompts } from '../bench/prompts.ts'
import { reportPage } from '../bench/report/page.ts'
import type { BenchResult } from '../bench/result.ts'
import { checkBatch, type BenchSettings } from '../bench/settings.ts'
import { benchTable } from '../bench/table.ts'
import { unknownName } from '../errors.ts'
import { findModel, load } from '../pipeline/load.ts'
import type { Manifest } from '../plan/manifest.ts'
import { loadManifest } from '../plan/model.ts'
import type { PolicySpec } from '../policy/index.ts'
import { OutputFile } from './output-file.ts'
import { createProgress } from './progress.ts'
import { coloursFor } from './terminal.ts'

/** The options of `sada-bench`, parsed. */
export interface BenchArguments {
  readonly model: string
  readonly scheduler?: readonly string[]
  readonly policy?: readonly PolicySpec[]
  readonly steps: number
  readonly samples?: number
  readonly batch: number
  readonly guidance: number
  readonly seed: number
  readonly threads?: number
  readonly prompts?: string
  readonly json?: string
  readonly html?: string
  readonly quick: boolean
}

const FOLDER = 'bench-report'
const STDOUT = '-'
/** Above this share of busy cores the wall times say more about the rest of the machine. */
const BUSY = 0.5

/** Measures, prints the result, writes the report. */
export async function bench(options: BenchArguments, signal: AbortSignal): Promise<void> {
  const settings = await prepare(options)
  const machine = describeMachine()
  const files = await reserveFiles(options)
  const progress = createProgress()
  try {
    if (machine.load_average > BUSY * machine.cores) {
      process.stderr.write(
        `The machine is busy (load ${machine.load_average} on ${machine.cores} cores): wall times will vary.\n`,
      )
    }
    const pipeline = await load(options.model, { threads: options.threads })
    let cases: MeasuredCase[]
    try {
      cases = await measure((call) => pipeline.generate(call), settings, signal, progress)
    } finally {
      progress.stop()
      await pipeline.dispose()
    }
    const result: BenchResult = {
      schema: 'sada-bench/1',
      created: new Date().toISOString(),
      quick: options.quick,
      machine,
      versions: describeVersions(),
      model: describeModel(settings.manifest, options.threads),
      cases: cases.map(({ figures }) => figures),
    }
    await publish(result, cases, settings, files)
  } catch (error) {
    await Promise.all([files.json?.release(), files.html?.release()])
    throw error
  }
}

interface Files {
  readonly json?: OutputFile
  readonly html?: OutputFile
  readonly jsonToStdout: boolean
}

/** JSON on stdout is for another program: it leaves no files behind unless they are asked for. */
async function reserveFiles({ json, html }: BenchArguments): Promise<Files> {
  const jsonToStdout = json === STDOUT
  const htmlPath = html ?? (jsonToStdout ? undefined : join(FOLDER, 'index.html'))
  const jsonPath = jsonToStdout ? undefined : (json ?? join(FOLDER, 'result.json'))
  return {
    jsonToStdout,
    json: jsonPath === undefined ? undefined : await OutputFile.reserve(jsonPath, { folders: json === undefined }),
    html: htmlPath === undefined ? undefined : await OutputFile.reserve(htmlPath, { folders: html === undefined }),
  }
}

async function publish(
  result: BenchResult,
  cases: readonly MeasuredCase[],
  settings: BenchSettings,
  files: Files,
): Promise<void> {
  const json = JSON.stringify(result, undefined, 2) + '\n'
  await files.json?.write(json)
  await files.html?.write(await reportPage(result, cases, settings.manifest))
  process.stdout.write(files.jsonToStdout ? json : benchTable(result, coloursFor(process.stdout)) + '\n')
  for (const [name, file] of [
    ['Report', files.html],
    ['Figures', files.json],
  ] as const) {
    if (file) process.stderr.write(`${name}: ${file.path}\n`)
  }
}

/** Checks what can be checked before anything is loaded. */
async function prepare(options: BenchArguments): Promise<BenchSettings> {
  const { steps, batch, guidance, seed, quick, policy: policies = ['sada'] } = options
  const samples = options.samples ?? Math.ceil((quick ? 4 : 8) / batch) * batch
  checkBatch(samples, batch)
  const folder = await findModel(options.model)
  const manifest = await loadManifest(folder)
  const known = Object.keys(manifest.schedulers)
  const schedulers = options.scheduler?.length ? options.scheduler : known
  const unknown = schedulers.find((name) => !known.includes(name))
  if (unknown !== undefined) throw unknownName('scheduler', unknown, known)
  const prompts =
    options.prompts === undefined ? await modelPrompts(folder, manifest, samples) : await filePrompts(options.prompts, samples)
  return { manifest, schedulers, policies, steps, prompts, batch, guidance, seed, quick }
}

function describeModel(manifest: Manifest, threads = 0): BenchResult['model'] {
  const [, height, width] = manifest.latents
  const bytes = [manifest.text, ...manifest.stages].reduce((sum, part) => sum + part.bytes, 0)
  return { name: manifest.name, bytes, size: [width, height], tokens: manifest.tokens.grid[0] * manifest.tokens.grid[1], threads }
}
