import { stat } from 'node:fs/promises'
import { describeMachine, describeVersions } from '../bench/machine.ts'
import { benchModel } from '../bench/model.ts'
import { filePrompts, modelPrompts } from '../bench/prompts.ts'
import type { BenchProgress, Generate } from '../bench/settings.ts'
import { assemble } from '../bench/table1/assemble.ts'
import { checkTerms, Journal, PictureNames, readJournals, type JournalContent, type Session } from '../bench/table1/journal.ts'
import { defaultMethods, methodFor, withSweeps, type Method } from '../bench/table1/methods.ts'
import { withMetrics } from '../bench/table1/metrics.ts'
import type { PlainBy } from '../bench/table1/plain.ts'
import { Pictures, picturesOf } from '../bench/table1/pictures.ts'
import { cocoPrompts, slice, type NumberedPrompt } from '../bench/table1/prompts.ts'
import { publishedFigures } from '../bench/table1/published.ts'
import { runTable } from '../bench/table1/run.ts'
import type { Store, TableSettings } from '../bench/table1/settings.ts'
import { invalidArgument, unknownName } from '../errors.ts'
import { findModel, isStaged } from '../pipeline/model-folder.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { loadManifest } from '../plan/model.ts'
import { checkSeeds } from './arguments.ts'
import { benchControls } from './control.ts'
import { loadOn, networkDevice, type DeviceArguments } from './engines.ts'
import { lockJournal } from './journal-lock.ts'
import { OutputFile } from './output-file.ts'
import { pictureRequest, pictureTerms, type PictureArguments } from './picture-options.ts'
import { createProgress, duration } from './progress.ts'
import { engineSizesFor } from './request.ts'
import { checkEffects, chosenRuns, type Table1Choice } from './table1-filters.ts'
import { checkFiles, checkWeights, journalsOf, publish, reserveFiles, type Table1Files } from './table1-files.ts'

/** The options of `sada-bench table1`, parsed. */
export interface Table1Arguments extends DeviceArguments, PictureArguments, Table1Files, Table1Choice {
  readonly model: string
  readonly sweep: boolean
  readonly steps?: number
  readonly slice?: readonly [k: number, n: number]
  readonly seed: number
  readonly plainBy: PlainBy
  readonly weights?: string
}

/** Makes the runs that are lacking, and writes the table. */
export async function table1(options: Table1Arguments, signal: AbortSignal): Promise<void> {
  checkEffects(options)
  await checkWeights(options.weights)
  const folder = await findModel(options.model)
  const journals = await journalsOf(options)
  await checkFiles(options, journals)
  const timing = options.timing === undefined ? undefined : await readJournals(options.timing, 'timing')
  const files = await reserveFiles(options)
  try {
    if (!options.reportOnly) await makeRuns(options, folder, journals, timing, signal)
    const content = await finishedRuns(options, folder, journals)
    if (timing !== undefined && timing.sessions.length > 0) checkTerms(content.sessions[0], timing.sessions[0], 'timing')
    const assembled = assemble(content, {
      created: new Date().toISOString(),
      timing,
      plainBy: options.plainBy,
      published: await publishedFigures(),
    })
    const pictures = new Pictures(journals.map(picturesOf))
    const result = await withMetrics(assembled, content, pictures, { weights: options.weights, threads: options.threads, signal })
    await publish(result, pictures, files)
  } catch (error) {
    OutputFile.releaseAll(files.flatMap(({ file }) => file ?? []))
    throw error
  }
}

/** Those that are asked for. Throws INVALID_ARGUMENT where there are none of a policy. */
async function finishedRuns(options: Table1Arguments, folder: string, journals: readonly string[]): Promise<JournalContent> {
  const checked = (content: JournalContent): JournalContent => {
    const isAny = [...content.runs.values()].some(({ method }) => method !== 'none')
    if (!isAny) throw invalidArgument('--resume', 'a file that holds finished runs of a policy', journals.join(', '))
    return content
  }
  const known = await readJournals(journals)
  if (!options.reportOnly) return checked(chosenRuns(known, options))
  await checkGiven(checked(known), options, folder)
  return chosenRuns(known, options)
}

/** Only the first may be new: another that is missing would be missed after all runs are made. */
async function readExisting([first, ...others]: readonly string[]): Promise<JournalContent> {
  const isNew = (await stat(first).catch(() => undefined)) === undefined
  return readJournals(isNew ? others : [first, ...others])
}

async function makeRuns(
  options: Table1Arguments,
  folder: string,
  journals: readonly string[],
  timing: JournalContent | undefined,
  signal: AbortSignal,
): Promise<void> {
  const machine = describeMachine()
  const [path] = journals
  ;(await OutputFile.reserve(path, { folders: options.resume === undefined })).release()
  const unlock = await lockJournal(path, signal)
  try {
    const known = await readExisting(journals)
    await makeLacking(options, folder, path, { known, timing, machine }, signal)
  } finally {
    await unlock()
  }
}

interface Before {
  readonly known: JournalContent
  readonly timing: JournalContent | undefined
  readonly machine: Session['machine']
}

async function makeLacking(
  options: Table1Arguments,
  folder: string,
  path: string,
  { known, timing, machine }: Before,
  signal: AbortSignal,
): Promise<void> {
  const pipeline = await loadOn(options.model, options, engineSizesFor({ ...options, count: 1 }), signal)
  try {
    const settings = await prepare(options, pipeline, folder)
    checkKnown(known, timing, settings)
    const pictures = new Pictures([picturesOf(path)])
    const store: Omit<Store, 'journal'> = {
      runs: new Map(known.runs),
      missing: [...known.missing],
      // Operations are the same wherever they are counted, and here they are counted on more pictures.
      timedRuns: timing && options.plainBy === 'time' ? runsOfRow(timing) : undefined,
      keep: options.timingOnly ? undefined : (run, sample) => pictures.keep(run, sample, settings.model),
    }
    const generate: Generate = (call) => pipeline.generate({ ...call, ...pictureRequest(options) })
    await runInto(path, machine, generate, settings, store, signal)
  } finally {
    await pipeline.dispose()
  }
}

/** Adds the runs that are lacking to a journal. */
async function runInto(
  path: string,
  machine: Session['machine'],
  generate: Generate,
  settings: TableSettings,
  known: Omit<Store, 'journal'>,
  signal: AbortSignal,
): Promise<void> {
  const { model, steps, seed, picture, device } = settings
  const journal = await Journal.open(path)
  const progress = new Eta(createProgress())
  const tell = (): void => void process.stderr.write(`Finished runs are kept: go on with --resume ${path}\n`)
  signal.addEventListener('abort', tell)
  try {
    const created = new Date().toISOString()
    const terms = { model: model.name, steps, seed, picture, device, note: model.note }
    await journal.add({ type: 'session', ...terms, created, machine, versions: describeVersions() })
    const before = known.runs.size
    await runTable(generate, settings, { ...known, journal }, progress, signal)
    if (known.runs.size === before) process.stderr.write(`Every run is finished already: nothing was added to ${path}\n`)
  } finally {
    signal.removeEventListener('abort', tell)
    progress.stop()
    await journal.close()
  }
}

/** Refuses finished runs of another model, number of steps or seed than the command line names. */
async function checkGiven(
  { sessions: [session] }: JournalContent,
  { given, steps, seed, ...options }: Table1Arguments,
  folder: string,
): Promise<void> {
  // A folder of diffusers has its name from what it holds, which takes loading it.
  const model = given?.has('model') && isStaged(folder) ? (await loadManifest(folder)).name : session.model
  const asked = {
    model,
    steps: given?.has('steps') ? steps! : session.steps,
    seed: given?.has('seed') ? seed : session.seed,
    picture: { ...session.picture, ...pictureTerms(options) },
    device: session.device,
  }
  checkTerms(session, asked, 'resume')
}

/** Refuses finished runs of other terms or of other prompts than those that are asked for. */
function checkKnown(known: JournalContent, timing: JournalContent | undefined, settings: TableSettings): void {
  const { model, steps, seed, picture, device, prompts } = settings
  const asked = { model: model.name, steps, seed, picture, device }
  for (const [argument, content] of Object.entries({ resume: known, timing })) {
    const first = content?.sessions.at(0)
    if (first !== undefined) checkTerms(first, asked, argument)
  }
  const pictures = new PictureNames('resume')
  for (const run of known.runs.values()) pictures.check(run)
  for (const { kind, index, prompt } of prompts) pictures.check({ kind, index, prompt, seed: seed + index })
}

/** The runs of a row in a journal. */
const runsOfRow =
  ({ runs }: JournalContent): NonNullable<Store['timedRuns']> =>
  ({ scheduler, guidance, kind, method }) =>
    [...runs.values()].filter(
      (run) => run.scheduler === scheduler && run.guidance === guidance && run.kind === kind && run.method === method,
    )

/** Checks what was asked against what the model can. */
async function prepare(options: Table1Arguments, pipeline: Pipeline, folder: string): Promise<TableSettings> {
  const { defaults } = pipeline
  const model = await benchModel(pipeline, folder, options)
  const schedulers = options.scheduler?.length ? options.scheduler : model.deterministic
  const unknown = schedulers.find((name) => !model.schedulers.includes(name))
  if (unknown !== undefined) throw unknownName('scheduler', unknown, model.schedulers)
  const methods: readonly Method[] = options.policy?.map(methodFor).filter(isNotBaseline) ?? defaultMethods(model.name)
  if (methods.length === 0) throw invalidArgument('--policy', 'another than "none", which is run anyway', 'none')
  const prompts = slice(await promptsFor(options, folder), ...(options.slice ?? [1, 1]))
  if (prompts.length === 0) {
    throw invalidArgument(
      '--slice',
      'a part with at least one prompt',
      options.slice!.join('/'),
      'Ask for more --samples, or for fewer parts.',
    )
  }
  checkSeeds(options.seed, 1 + prompts.at(-1)!.index)
  for (const { prompt } of prompts) model.checkPrompt?.(prompt)
  const controls = await benchControls(options, pipeline.size)
  const device = networkDevice(options, pipeline)
  return {
    model,
    schedulers,
    guidances: options.guidance ?? [defaults.guidanceScale],
    methods: options.sweep ? withSweeps(methods) : methods,
    prompts: prompts.map((prompt) => ({ ...prompt, ...controls.at(prompt.index) })),
    steps: options.steps ?? defaults.steps,
    seed: options.seed,
    picture: { ...pictureTerms(options), ...controls.terms },
    device: device === 'cpu' ? undefined : device,
    timingOnly: options.timingOnly,
    plainBy: options.plainBy,
  }
}

/** The baseline is run anyway. */
const isNotBaseline = ({ policy }: Method): boolean => policy !== 'none'

async function promptsFor({ samples, kind: kinds, coco, prompts }: Table1Arguments, folder: string): Promise<NumberedPrompt[]> {
  if (coco !== undefined) return numbered(await cocoPrompts(coco, samples))
  const read = (n: number) => (prompts === undefined ? modelPrompts(folder, n) : filePrompts(prompts, n))
  if (kinds === undefined) return numbered(await read(samples))
  // Kinds take turns in what is read: twice as many kinds, twice as many prompts.
  const all = numbered(await read(samples * 64))
  const present = [...new Set(all.map(({ kind }) => kind))]
  const unknown = kinds.find((kind) => !present.includes(kind))
  if (unknown !== undefined) throw unknownName('kind of prompt', unknown, present)
  return all.filter(({ kind }) => kinds.includes(kind)).slice(0, samples)
}

const numbered = (prompts: readonly { prompt: string; kind: string }[]): NumberedPrompt[] =>
  prompts.map((prompt, index) => ({ ...prompt, index }))

/** Puts the time left before every line of the log. */
class Eta implements BenchProgress {
  private readonly inner: ReturnType<typeof createProgress>
  private startedAt = 0
  private total = 1
  private done = 0

  constructor(inner: ReturnType<typeof createProgress>) {
    this.inner = inner
  }

  start(total: number): void {
    this.startedAt = performance.now()
    this.total = total
    this.inner.start(total)
  }

  note(text: string): void {
    if (this.total === 0) return this.inner.note(text)
    const left = ((performance.now() - this.startedAt) / this.done) * (this.total - this.done)
    this.inner.note(this.done > 0 && this.done < this.total ? `${text}; ${duration(left)} left` : text)
  }

  advance(work: number, task: string): void {
    this.done = Math.min(this.total, this.done + work)
    this.inner.advance(work, task)
  }

  stop(): void {
    this.inner.stop()
  }
}
