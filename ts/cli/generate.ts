import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { invalidArgument } from '../errors.ts'
import { offerOf } from '../families/staged.ts'
import { findModel, isStaged } from '../pipeline/model-folder.ts'
import { checkGenerateOptions, type GenerateOptions } from '../pipeline/options.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { Manifest } from '../plan/manifest.ts'
import { loadManifest } from '../plan/model.ts'
import { Tokenizer } from '../plan/tokenizer.ts'
import { loadOn } from './engines.ts'
import { meantBy, unknown } from './misspelling.ts'
import { OutputFile } from './output-file.ts'
import type { PictureArguments } from './picture-options.ts'
import { EVERY, Preview, undrawn } from './preview.ts'
import { engineSizesFor, readPictures, requestFor } from './request.ts'
import { resultNames } from './result-names.ts'
import { save } from './save.ts'
import { isLive } from './terminal.ts'

/** The options of `sada`, parsed. */
export interface GenerateArguments extends PictureArguments {
  readonly count: number
  readonly seed: number | bigint
  readonly steps?: number
  readonly guidance?: number
  readonly scheduler?: string
  /** As it was written. */
  readonly policy: string
  readonly model: string
  readonly negative?: string
  readonly trueGuidance?: number
  readonly secondPrompt?: string
  readonly init?: string
  readonly strength?: number
  readonly mask?: string
  readonly tileSize?: number
  readonly output?: string
  readonly preview: boolean
  readonly threads?: number
  readonly device?: string
  readonly engine?: string
  readonly memoryBudget?: number
  readonly json: boolean
}

/** Its other names too: opened again, a file that it leads to would be written from its beginning twice. */
const STDOUT = ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']

/** Makes pictures or a sound, writes them as one file, and says what was saved. `commands`: what the prompt could have been meant as. */
export async function generate(
  prompt: string,
  options: GenerateArguments,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (prompt === '')
    throw invalidArgument('prompt', 'what to draw, like "a teal robot with round eyes"', prompt, 'See "sada --help".')
  const folder = await findModel(options.model)
  const manifest = isStaged(folder) ? await loadManifest(folder) : undefined
  const request = requestFor(prompt, options)
  if (manifest) {
    refusePictures(options, offerOf(manifest).takes)
    checkGenerateOptions(request, offerOf(manifest))
    checkWords(prompt, await Tokenizer.load(folder, manifest.text), manifest, commands)
  } else warnOfMisspelling(prompt, commands)
  const early = manifest || options.output !== undefined ? await reserve(prompt, options.output, manifest && 'image') : undefined
  let file = early
  try {
    const pipeline = await loadOn(options.model, options, engineSizesFor(options), signal)
    try {
      refusePictures(options, pipeline.takes)
      warnOfNegative(options, pipeline)
      if (!manifest) file = await fittingFile(prompt, options, pipeline, early)
      const pictures = await readPictures(options, pipeline.size)
      const startedAt = performance.now()
      const result = await pipeline.generate({ ...request, ...pictures, signal, ...watching(options) })
      await save(file, { prompt, options, pipeline, wallMs: performance.now() - startedAt, signal }, result)
    } finally {
      await pipeline.dispose()
    }
  } catch (error) {
    file?.release()
    throw error
  }
}

/** Refuses a picture file that the model does not take. Throws INVALID_ARGUMENT. */
function refusePictures({ init, mask, control }: GenerateArguments, takes: readonly string[]): void {
  const idle = Object.entries({ init, mask, control: control?.[0] }).find(
    ([name, path]) => path !== undefined && !takes.includes(name),
  )
  if (idle) throw invalidArgument(`--${idle[0]}`, 'left out: this model does not take it', idle[1])
}

/** Unknown words warn; a single one that is almost a command was meant as one. */
function checkWords(prompt: string, tokenizer: Tokenizer, { name }: Manifest, commands: readonly string[]): void {
  const { unknown: words } = tokenizer.encode(prompt)
  if (words.length === 0) return
  const command = meantBy(prompt, commands)
  if (command !== undefined) throw unknown(prompt, command)
  const quoted = words.map((word) => `"${word}"`).join(', ')
  process.stderr.write(`The model "${name}" does not know ${quoted}; "sada models" lists its words.\n`)
}

/** Models without a list of words know any word. */
function warnOfMisspelling(prompt: string, commands: readonly string[]): void {
  const command = meantBy(prompt, commands)
  if (command !== undefined) process.stderr.write(`"${prompt}" is taken for a prompt; there is a command "sada ${command}".\n`)
}

/** Guidance alone makes a negative prompt count, in some models one beside the distilled kind. */
function warnOfNegative({ negative, guidance, trueGuidance }: GenerateArguments, { takes, defaults }: Pipeline): void {
  if (negative === undefined) return
  const hasTwo = takes.includes('trueGuidanceScale')
  const [option, scale] = hasTwo ? ['--true-guidance', trueGuidance ?? 1] : ['--guidance', guidance ?? defaults.guidanceScale]
  if (scale <= 1) process.stderr.write(`Warning: --negative has no effect without ${option} above 1.\n`)
}

type Kind = Pipeline['makes']
const EXTENSION: Readonly<Record<Kind, string>> = { image: '.png', audio: '.wav' }

/** The file to write; undefined is stdout. `kind`: what will be written, where that is known. */
async function reserve(prompt: string, output: string | undefined, kind?: Kind): Promise<OutputFile | undefined> {
  if (STDOUT.includes(output ?? '')) return undefined
  if (output === undefined) return OutputFile.reserveNew(resultNames(prompt, EXTENSION[kind ?? 'image']))
  const isDevice = !((await stat(output).catch(() => undefined))?.isFile() ?? true)
  const fitting = kind === undefined ? Object.values(EXTENSION) : [EXTENSION[kind]]
  if (!isDevice && !['', ...fitting].includes(extname(output).toLowerCase()))
    throw invalidArgument('--output', `a name that ends with ${fitting.join(' or ')}`, output)
  return OutputFile.reserve(output)
}

/** The file for what a loaded model makes. */
async function fittingFile(
  prompt: string,
  { output, count }: GenerateArguments,
  { makes }: Pipeline,
  reserved: OutputFile | undefined,
): Promise<OutputFile | undefined> {
  if (makes === 'audio' && count > 1) throw invalidArgument('--count', '1 with a model that makes sounds', count)
  if (output === undefined) return reserve(prompt, undefined, makes)
  const found = STDOUT.includes(output) ? '' : extname(output).toLowerCase()
  const isOther = Object.entries(EXTENSION).some(([kind, extension]) => kind !== makes && extension === found)
  if (isOther) throw invalidArgument('--output', `a name that ends with ${EXTENSION[makes]}, which this model makes`, output)
  return reserved
}

/** What watches the steps: a preview, a line that counts them, or nothing where stderr is no terminal. */
function watching({ preview }: GenerateArguments): Pick<GenerateOptions, 'preview' | 'onStep'> {
  const why = preview ? undrawn(process.stderr) : undefined
  if (why !== undefined) process.stderr.write(`--preview draws nothing: ${why}.\n`)
  if (!isLive(process.stderr)) return {}
  if (preview && why === undefined) {
    const drawing = new Preview(process.stderr)
    return { preview: EVERY, onStep: (event) => drawing.show(event) }
  }
  const onStep: GenerateOptions['onStep'] = ({ step, steps, etaMs }) => {
    const left = step + 1 === steps ? '\r\x1b[2K' : `\r\x1b[2Kstep ${step + 1} of ${steps}, ${(etaMs / 1000).toFixed(1)} s left`
    process.stderr.write(left)
  }
  return { onStep }
}
