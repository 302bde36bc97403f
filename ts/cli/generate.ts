import { extname } from 'node:path'
import { stat } from 'node:fs/promises'
import { invalidArgument, nearestName, SadaError } from '../errors.ts'
import { findModel, load } from '../pipeline/load.ts'
import type { GenerateResult } from '../pipeline/pipeline.ts'
import { loadManifest } from '../plan/model.ts'
import { Tokenizer } from '../plan/tokenizer.ts'
import { offerOf } from '../families/staged.ts'
import { checkGenerateOptions } from '../pipeline/options.ts'
import type { Manifest } from '../plan/manifest.ts'
import type { PolicySpec } from '../policy/index.ts'
import type { StepEvent } from '../sampler/trace.ts'
import { packageVersion } from '../version.ts'
import { OutputFile } from './output-file.ts'
import { Preview } from './preview.ts'
import { sheet } from './sheet.ts'
import { isLive } from './terminal.ts'

/** The options of `sada`, parsed. */
export interface GenerateArguments {
  readonly count: number
  readonly seed: number
  readonly steps?: number
  readonly guidance?: number
  readonly scheduler?: string
  readonly policy: PolicySpec
  readonly model: string
  readonly output?: string
  readonly preview: boolean
  readonly threads?: number
  readonly json: boolean
}

const COMMANDS = ['models', 'policies', 'doctor', 'help']
const STDOUT = '-'
const MOST_NAMES = 10_000

/** Makes pictures, writes them as one PNG, and says what was saved. */
export async function generate(prompt: string, options: GenerateArguments, signal: AbortSignal): Promise<void> {
  if (prompt === '')
    throw invalidArgument('prompt', 'what to draw, like "a teal robot with round eyes"', prompt, 'See "sada --help".')
  const folder = await findModel(options.model)
  const manifest = await loadManifest(folder)
  const request = requestFor(prompt, options)
  checkGenerateOptions(request, offerOf(manifest))
  checkWords(prompt, await Tokenizer.load(folder, manifest.text), manifest)
  const file = await reserve(prompt, options.output)
  try {
    const pipeline = await load(options.model, { threads: options.threads })
    try {
      const startedAt = performance.now()
      const result = await pipeline.generate({ ...request, signal, onStep: watcher(options, manifest) })
      await save(file, prompt, options, manifest, result, performance.now() - startedAt)
    } finally {
      await pipeline.dispose()
    }
  } catch (error) {
    await file?.release()
    throw error
  }
}

function requestFor(prompt: string, { count, seed, steps, guidance, scheduler, policy }: GenerateArguments) {
  const members = Array.from({ length: count }, (_, k) => k)
  return {
    prompt: members.map(() => prompt),
    seed: members.map((k) => seed + k),
    steps,
    guidanceScale: guidance,
    scheduler,
    policy,
  }
}

/** Unknown words warn; a single one that is almost a command was meant as one. */
function checkWords(prompt: string, tokenizer: Tokenizer, { name }: Manifest): void {
  const { unknown } = tokenizer.encode(prompt)
  if (unknown.length === 0) return
  const command = /^\S+$/.test(prompt) ? nearestName(prompt, COMMANDS) : undefined
  if (command !== undefined)
    throw new SadaError('UNKNOWN_NAME', `Unknown command "${prompt}". Did you mean "sada ${command}"?`, { argument: 'prompt' })
  const words = unknown.map((word) => `"${word}"`).join(', ')
  process.stderr.write(`The model "${name}" does not know ${words}; "sada models" lists its words.\n`)
}

/** The file to write; undefined is stdout. */
async function reserve(prompt: string, output: string | undefined): Promise<OutputFile | undefined> {
  if (output === STDOUT) return undefined
  if (output === undefined) return OutputFile.reserveNew(names(prompt))
  const isDevice = !((await stat(output).catch(() => undefined))?.isFile() ?? true)
  if (!isDevice && !['', '.png'].includes(extname(output).toLowerCase()))
    throw invalidArgument('--output', 'a name that ends with .png', output)
  return OutputFile.reserve(output)
}

/** `a-teal-robot.png`, `a-teal-robot-2.png`, … */
function* names(prompt: string): Generator<string> {
  const stem =
    prompt
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 60)
      .replace(/-$/, '') || 'sada'
  yield `${stem}.png`
  for (let k = 2; k <= MOST_NAMES; k++) yield `${stem}-${k}.png`
}

/** What watches the steps: a preview, a line that counts them, or nothing where stderr is no terminal. */
function watcher({ preview, steps }: GenerateArguments, manifest: Manifest): ((event: StepEvent) => void) | undefined {
  if (!isLive(process.stderr)) return undefined
  if (preview && !process.env.NO_COLOR) {
    const drawing = new Preview(process.stderr, manifest)
    return (event) => drawing.show(event)
  }
  const total = steps ?? manifest.defaults.steps
  return ({ step, etaMs }) => {
    const left = step + 1 === total ? '\r\x1b[2K' : `\r\x1b[2Kstep ${step + 1} of ${total}, ${(etaMs / 1000).toFixed(1)} s left`
    process.stderr.write(left)
  }
}

async function save(
  file: OutputFile | undefined,
  prompt: string,
  options: GenerateArguments,
  manifest: Manifest,
  { images, trace, unknownWords }: GenerateResult,
  wallMs: number,
): Promise<void> {
  const whole = images.length === 1 ? images[0] : sheet(images)
  const { scheduler = manifest.defaults.scheduler } = options
  const settings = {
    model: manifest.name,
    scheduler,
    steps: trace.steps,
    guidance: trace.guidance,
    policy: trace.policy,
    ...trace.options,
  }
  const png = await whole.png({
    Title: latin1(prompt),
    Software: `sada ${packageVersion()}`,
    Seed: images.map((_, k) => options.seed + k).join(' '),
    Settings: JSON.stringify(settings),
  })
  if (file) await file.write(png)
  else process.stdout.write(png)
  const runs = trace.members.map(({ nfe }) => nfe)
  const told = {
    file: file?.path ?? null,
    bytes: png.length,
    width: whole.width,
    height: whole.height,
    pictures: images.length,
    prompt,
    seed: options.seed,
    model: manifest.name,
    scheduler,
    policy: trace.policy,
    options: trace.options,
    ...(trace.warnings && { warnings: trace.warnings }),
    guidance: trace.guidance,
    steps: trace.steps,
    network_runs: runs,
    wall_ms: Math.round(wallMs * 10) / 10,
    unknown_words: unknownWords,
  }
  for (const warning of trace.warnings ?? []) process.stderr.write(`Warning: ${warning}\n`)
  const line = options.json ? JSON.stringify(told) : summary(told)
  // Where the picture itself is on stdout, what is said about it is not.
  ;(file ? process.stdout : process.stderr).write(line + '\n')
}

interface Told {
  readonly file: string | null
  readonly bytes: number
  readonly width: number
  readonly height: number
  readonly pictures: number
  readonly steps: number
  readonly network_runs: readonly number[]
  readonly wall_ms: number
}

/** `robot.png: 4 pictures, 130×130, 24 kB, 2.13 s, 21–25 network runs of 50` */
function summary({ file, bytes, width, height, pictures, steps, network_runs: all, wall_ms: wall }: Told): string {
  const [least, most] = [Math.min(...all), Math.max(...all)]
  const runs = least === most ? `${least}` : `${least}–${most}`
  const what = pictures === 1 ? '1 picture' : `${pictures} pictures`
  const size = `${width}×${height}, ${(bytes / 1000).toFixed(1)} kB`
  return `${file ?? 'stdout'}: ${what}, ${size}, ${(wall / 1000).toFixed(2)} s, ${runs} network runs of ${steps}`
}

/** PNG text chunks hold Latin-1. */
const latin1 = (text: string): string => text.replace(/[^\x20-\x7e\xa1-\xff]/g, '?')
