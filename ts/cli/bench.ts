import { join } from 'node:path'
import { measure, type MeasuredCase } from '../bench/bench.ts'
import { describeMachine, describeVersions } from '../bench/machine.ts'
import { tokenCount } from '../bench/flops.ts'
import { benchModel, type BenchModel } from '../bench/model.ts'
import { visible } from '../bench/plain-text.ts'
import { filePrompts, modelPrompts } from '../bench/prompts.ts'
import { reportPage } from '../bench/report/page.ts'
import type { BenchResult } from '../bench/result.ts'
import type { BenchSettings } from '../bench/settings.ts'
import { methodFor } from '../bench/table1/methods.ts'
import { benchTable, caseName, incomparables } from '../bench/table.ts'
import { invalidArgument, unknownName } from '../errors.ts'
import { networkThreads } from '../native/threads.ts'
import { findModel } from '../pipeline/model-folder.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { PolicySpec } from '../policy/index.ts'
import { checkSeeds } from './arguments.ts'
import { checkDistinct } from './distinct-files.ts'
import { benchControls } from './control.ts'
import { loadOn, networkDevice, type DeviceArguments } from './engines.ts'
import { OutputFile } from './output-file.ts'
import { pictureRequest, pictureTerms, type PictureArguments } from './picture-options.ts'
import { createProgress } from './progress.ts'
import { engineSizesFor } from './request.ts'
import { coloursFor, columnsOf } from './terminal.ts'

/** The options of `sada-bench`, parsed. */
export interface BenchArguments extends DeviceArguments, PictureArguments {
  readonly model: string
  readonly scheduler?: readonly string[]
  readonly policy?: readonly PolicySpec[]
  readonly steps?: number
  readonly samples?: number
  readonly batch: number
  readonly guidance?: number
  readonly seed: number
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
  const samples = samplesOf(options)
  if (samples % options.batch !== 0) throw invalidArgument('--samples', `a multiple of --batch (${options.batch})`, samples)
  checkSeeds(options.seed, samples)
  const machine = describeMachine()
  await checkDistinct(
    filesOf(options).map(({ option, path }) => ({ option, path })),
    [
      ...(options.prompts === undefined ? [] : [{ option: '--prompts', path: options.prompts }]),
      ...(options.control ?? []).map((path) => ({ option: '--control', path })),
    ],
  )
  const files = await reserveFiles(options)
  const progress = createProgress()
  try {
    const { settings, cases, device } = await run(options, machine, progress, signal)
    process.stderr.write(cases.flatMap(warningsOf).join(''))
    const result: BenchResult = {
      schema: 'sada-bench/1',
      created: new Date().toISOString(),
      quick: options.quick,
      machine: { ...machine, device },
      versions: describeVersions(),
      model: describeModel(settings, options.threads),
      cases: cases.map(({ figures }) => figures),
    }
    await publish(result, cases, settings.model, files)
  } catch (error) {
    OutputFile.releaseAll(files.all)
    throw error
  }
}

async function run(
  options: BenchArguments,
  machine: ReturnType<typeof describeMachine>,
  progress: ReturnType<typeof createProgress>,
  signal: AbortSignal,
) {
  const pipeline = await loadOn(options.model, options, engineSizesFor({ ...options, count: options.batch }), signal)
  try {
    const settings = await prepare(options, pipeline)
    if (machine.load_average > BUSY * machine.cores) {
      process.stderr.write(
        `The machine was busy in the last minute (load ${machine.load_average} on ${machine.cores} cores): wall times may vary.\n`,
      )
    }
    const stochastic = settings.schedulers.filter((each) => !settings.model.deterministic.includes(each))
    if (stochastic.length > 0)
      process.stderr.write(`${stochastic.join(', ')}: fewer steps draw other noise and make another picture.\n`)
    const picture = pictureRequest(options)
    const cases = await measure((call) => pipeline.generate({ ...call, ...picture }), settings, signal, progress)
    return { settings, cases, device: networkDevice(options, pipeline) }
  } finally {
    progress.stop()
    await pipeline.dispose()
  }
}

/** Lines of what every run of a case was warned of, which is of its settings. */
function warningsOf({ figures, accelerated: { calls } }: MeasuredCase): string[] {
  const [first, ...others] = calls.map(({ trace }) => trace.warnings ?? [])
  const shared = first.filter((each) => others.every((warnings) => warnings.includes(each)))
  return shared.map((each) => `Warning: ${figures.scheduler}, ${caseName(figures)}: ${each}\n`)
}

interface Files {
  readonly all: readonly OutputFile[]
  readonly json?: OutputFile
  readonly html?: OutputFile
  readonly jsonToStdout: boolean
}

/** JSON on stdout is for another program: it leaves no files behind unless they are asked for. */
function filesOf({ json, html }: BenchArguments) {
  const jsonToStdout = json === STDOUT
  if (html === STDOUT) throw invalidArgument('--html', 'a file', html, 'The table or JSON goes to stdout.')
  const wanted = [
    { option: '--html', path: html ?? (jsonToStdout ? undefined : join(FOLDER, 'index.html')), folders: html === undefined },
    { option: '--json', path: jsonToStdout ? undefined : (json ?? join(FOLDER, 'result.json')), folders: json === undefined },
  ]
  return wanted.filter((each): each is typeof each & { path: string } => each.path !== undefined)
}

async function reserveFiles(options: BenchArguments): Promise<Files> {
  const wanted = filesOf(options)
  const files = await OutputFile.reserveAll(wanted)
  const of = (option: string): OutputFile | undefined => files[wanted.findIndex((each) => each.option === option)]
  return { all: files, jsonToStdout: options.json === STDOUT, json: of('--json'), html: of('--html') }
}

async function publish(result: BenchResult, cases: readonly MeasuredCase[], model: BenchModel, files: Files): Promise<void> {
  const json = JSON.stringify(result, undefined, 2) + '\n'
  await files.json?.write(json)
  await files.html?.write(await reportPage(result, cases, model))
  // The table has them below.
  if (files.jsonToStdout)
    process.stderr.write(
      incomparables(result.cases)
        .map((each) => `Warning: ${visible(each)}\n`)
        .join(''),
    )
  process.stdout.write(
    files.jsonToStdout ? json : benchTable(result, coloursFor(process.stdout), columnsOf(process.stdout)) + '\n',
  )
  for (const [name, file] of [
    ['Report', files.html],
    ['Figures', files.json],
  ] as const) {
    if (file) process.stderr.write(`${name}: ${file.path}\n`)
  }
}

const samplesOf = ({ samples, quick, batch }: BenchArguments): number => samples ?? Math.ceil((quick ? 4 : 8) / batch) * batch

/** Checks what was asked against what the model can. */
async function prepare(options: BenchArguments, pipeline: Pipeline): Promise<BenchSettings> {
  const { defaults } = pipeline
  const { steps = defaults.steps, guidance = defaults.guidanceScale, batch, seed, quick } = options
  // Once, however often it is named.
  const policies = [...new Map((options.policy ?? ['sada']).map((policy) => [methodFor(policy).label, policy])).values()]
  const folder = await findModel(options.model)
  const model = await benchModel(pipeline, folder, options)
  const schedulers = options.scheduler?.length ? options.scheduler : model.deterministic
  const unknown = schedulers.find((name) => !model.schedulers.includes(name))
  if (unknown !== undefined) throw unknownName('scheduler', unknown, model.schedulers)
  const samples = samplesOf(options)
  const prompts =
    options.prompts === undefined ? await modelPrompts(folder, samples) : await filePrompts(options.prompts, samples)
  for (const { prompt } of prompts) model.checkPrompt?.(prompt)
  const controls = await benchControls(options, pipeline.size)
  const led = prompts.map((prompt, k) => ({ ...prompt, ...controls.at(k) }))
  const picture = { ...pictureTerms(options), ...controls.terms }
  return { model, schedulers, policies, steps, prompts: led, batch, guidance, seed, picture, quick }
}

function describeModel({ model, picture = {} }: BenchSettings, threads?: number): BenchResult['model'] {
  const { name, bytes, note, shape, costs } = model
  const { width = shape[2], height = shape[1], ...asked } = picture
  const tokens = costs ? tokenCount(costs.tokens) : null
  return { name, bytes: bytes ?? null, size: [width, height], tokens, threads: networkThreads(threads), note, ...asked }
}
