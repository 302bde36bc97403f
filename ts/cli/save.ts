import { greatest, least } from '../bench/statistics.ts'
import type { GenerateResult, Pipeline } from '../pipeline/pipeline.ts'
import { seedsFrom } from './arguments.ts'
import { commandFor } from './command-line.ts'
import type { GenerateArguments } from './generate.ts'
import type { OutputFile } from './output-file.ts'
import { sheet } from './sheet.ts'

/** What was asked, of what, and how long it took. */
export interface Asked {
  readonly prompt: string
  readonly options: GenerateArguments
  readonly pipeline: Pick<Pipeline, 'name' | 'defaults' | 'device' | 'versions'>
  readonly wallMs: number
  readonly signal?: AbortSignal
}

/** Writes the result, to stdout where there is no file, and says what was saved. */
export async function save(file: OutputFile | undefined, asked: Asked, result: GenerateResult): Promise<void> {
  const { trace, droppedTokens } = result
  const made = result.audio.length > 0 ? soundOf(result) : await pictureOf(asked, result)
  if (file) await file.write(made.bytes, asked.signal)
  else await toStdout(made.bytes)
  const { reason } = asked.pipeline.device
  const onCpu = asked.options.engine === 'webgpu' ? 'All but the network on the CPU' : 'On the CPU'
  if (reason !== undefined) process.stderr.write(`${onCpu}: ${reason}.\n`)
  for (const warning of trace.warnings ?? []) process.stderr.write(`Warning: ${warning}\n`)
  const dropped = Math.max(0, ...droppedTokens)
  if (dropped > 0) process.stderr.write(`The model did not read the last ${dropped} tokens of the prompt: it is too long.\n`)
  const told = describe(file, asked, result, made)
  const line = asked.options.json ? JSON.stringify(told) : summary(told)
  // Where the result itself is on stdout, what is said about it is not.
  ;(file ? process.stdout : process.stderr).write(line + '\n')
}

/** Until stdout has taken all of them; where it cannot, the program ends (program.ts), and nothing is said to be saved. */
const toStdout = (bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(bytes, (error) => {
      if (!error) resolve()
    })
  })

/** A result as the bytes of a file, and what it is. */
interface Made {
  readonly bytes: Uint8Array
  readonly what: { readonly pictures: number; readonly width: number; readonly height: number } | { readonly seconds: number }
}

function soundOf({ audio: [sound] }: GenerateResult): Made {
  return { bytes: sound.wav(), what: { seconds: sound.seconds } }
}

async function pictureOf({ prompt, options, pipeline }: Asked, { images, trace }: GenerateResult): Promise<Made> {
  const whole = sheet(images)
  const settings = { ...settingsOf(options, pipeline), steps: trace.steps, policy: trace.policy, options: trace.options }
  const bytes = await whole.png({
    Title: latin1(prompt),
    Software: softwareOf(pipeline),
    Seed: seedsFrom(options.seed, images.length).join(' '),
    // Characters that a text chunk cannot hold are escaped.
    Settings: escaped(JSON.stringify(settings)),
    Command: escaped(JSON.stringify(commandFor(prompt, options))),
  })
  return { bytes, what: { pictures: images.length, width: whole.width, height: whole.height } }
}

/** For JSON, which leaves out what is undefined. */
function settingsOf(options: GenerateArguments, { name, defaults }: Asked['pipeline']) {
  const { scheduler, guidance, negative, init, strength, mask, control } = options
  return {
    model: name,
    scheduler: scheduler ?? defaults.scheduler,
    guidance: guidance ?? defaults.guidanceScale,
    negative,
    true_guidance: options.trueGuidance,
    second_prompt: options.secondPrompt,
    init,
    strength,
    mask,
    control,
    control_strength: options.controlStrength,
    control_start: options.controlStart,
    control_end: options.controlEnd,
  }
}

/** `sada 0.1.0, onnxruntime 1.30.0` */
function softwareOf({ versions }: Asked['pipeline']): string {
  return Object.entries(versions)
    .map((each) => each.join(' '))
    .join(', ')
}

function describe(file: OutputFile | undefined, asked: Asked, { trace, unknownWords }: GenerateResult, { bytes, what }: Made) {
  const { prompt, options, pipeline, wallMs } = asked
  return {
    file: file?.path ?? null,
    bytes: bytes.length,
    ...what,
    prompt,
    // JSON's readers would round it.
    seed: typeof options.seed === 'bigint' ? String(options.seed) : options.seed,
    ...settingsOf(options, pipeline),
    device: pipeline.device,
    policy: trace.policy,
    options: trace.options,
    warnings: trace.warnings,
    steps: trace.steps,
    network_runs: trace.members.map(({ nfe }) => nfe),
    wall_ms: Math.round(wallMs * 10) / 10,
    unknown_words: unknownWords,
  }
}

/** `robot.png: 4 pictures, 130×130, 24 kB, 2.13 s, 21–25 network runs of 50` */
function summary(told: ReturnType<typeof describe>): string {
  const { file, bytes, network_runs: all, steps, wall_ms: wall } = told
  const [fewest, most] = [least(all), greatest(all)]
  const runs = fewest === most ? `${fewest}` : `${fewest}–${most}`
  const what =
    'seconds' in told
      ? `${told.seconds.toFixed(2)} s of sound`
      : `${told.pictures === 1 ? '1 picture' : `${told.pictures} pictures`}, ${told.width}×${told.height}`
  return `${file ?? 'stdout'}: ${what}, ${(bytes / 1000).toFixed(1)} kB, ${(wall / 1000).toFixed(2)} s, ${runs} network runs of ${steps}`
}

/** PNG text chunks hold Latin-1. */
const latin1 = (text: string): string => text.replace(/[^\x20-\x7e\xa1-\xff]/g, '?')
const escaped = (json: string): string =>
  json.replace(/[^\x20-\x7e]/g, (character) => '\\u' + character.charCodeAt(0).toString(16).padStart(4, '0'))
