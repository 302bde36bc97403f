import { createReadStream } from 'node:fs'
import { mkdir, open, stat, truncate, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as v from 'valibot'
import { SadaError } from '../../errors.ts'
import { outputFailed, whyUnread } from '../file-errors.ts'

const amount = v.pipe(v.number(), v.minValue(0))
const whole = v.pipe(amount, v.integer())

/** What was asked of each picture beside the prompt: its size in pixels, tokens of the prompt; of a sound, its length; what led ControlNets. */
export const askedPicture = v.object({
  width: v.optional(whole),
  height: v.optional(whole),
  max_sequence_length: v.optional(whole),
  seconds: v.optional(amount),
  control: v.optional(v.string()),
  control_strength: v.optional(amount),
  control_start: v.optional(amount),
  control_end: v.optional(amount),
})

/** What all runs of one table share; what differs does not belong together. */
const terms = {
  model: v.string(),
  steps: whole,
  seed: whole,
  picture: v.optional(askedPicture),
  /** Where the network ran; absent: on the CPU. */
  device: v.optional(v.string()),
}

const session = v.object({
  type: v.literal('session'),
  ...terms,
  /** What stands for a picture, where that is not one. */
  note: v.optional(v.string()),
  created: v.string(),
  machine: v.looseObject({ cpu: v.string(), cores: whole, load_average: amount }),
  versions: v.looseObject({ sada: v.string(), commit: v.nullable(v.string()) }),
})

const run = v.object({
  type: v.literal('run'),
  scheduler: v.string(),
  guidance: amount,
  kind: v.string(),
  index: whole,
  prompt: v.string(),
  seed: whole,
  /** As `Method.label`; `none` with fewer steps is the plain run. */
  method: v.string(),
  policy: v.string(),
  is_default: v.boolean(),
  options: v.record(v.string(), v.unknown()),
  steps: whole,
  nfe: whole,
  flops: amount,
  baseline_flops: amount,
  /** Of the whole call, text to pixels, and of the unaccelerated call before it in the same process. */
  wall_ms: amount,
  baseline_wall_ms: amount,
  /** Of the sampling loop alone. */
  loop_ms: amount,
  baseline_loop_ms: amount,
  /** null: equal to the baseline, bit for bit. */
  psnr_db: v.nullable(v.number()),
  /** Of values in [0, 1]; absent where it was not measured. */
  ssim: v.optional(v.number()),
  /** One letter a step: what was done. */
  actions: v.string(),
  /** For each step the share of the network's operations that were made. */
  shares: v.array(v.number()),
  warnings: v.optional(v.array(v.string())),
  /** Of the machine when the run ended, without what the bench itself adds. */
  load_average: amount,
})

/** A method that the model or the solver cannot run, and why. */
const missing = v.object({
  type: v.literal('missing'),
  scheduler: v.string(),
  guidance: amount,
  method: v.string(),
  reason: v.string(),
})

const line = v.variant('type', [session, run, missing])
export type JournalLine = v.InferOutput<typeof line>
export type Session = v.InferOutput<typeof session>
export type Run = v.InferOutput<typeof run>
export type Missing = v.InferOutput<typeof missing>
export type Terms = Pick<Session, 'model' | 'steps' | 'seed' | 'picture' | 'device'>

/** What a run is known by: the same name, the same picture. */
export const keyOf = ({ scheduler, guidance, kind, index, method, steps }: Omit<Run, 'type'> | Run): string =>
  [scheduler, guidance, kind, index, method, steps].join('|')

export interface JournalContent {
  readonly sessions: readonly Session[]
  readonly runs: ReadonlyMap<string, Run>
  readonly missing: readonly Missing[]
}

/**
 * All that journals hold; of a run that stands in several, the last. A line that a killed run left unfinished is passed over. Throws
 * INVALID_ARGUMENT where they cannot be read or do not belong together.
 */
export async function readJournals(paths: readonly string[], argument = 'resume'): Promise<JournalContent> {
  const sessions: Session[] = []
  const runs = new Map<string, Run>()
  const missing = new Map<string, Missing>()
  const pictures = new PictureNames(argument)
  for (const path of paths) {
    const before = sessions.length
    for await (const entry of lines(path, argument)) {
      if (entry.type === 'session') sessions.push(entry)
      else if (entry.type === 'missing') missing.set([entry.scheduler, entry.guidance, entry.method].join('|'), entry)
      else if (sessions.length === before) throw withoutSession(path, argument)
      else {
        pictures.check(entry)
        runs.set(keyOf(entry), entry)
      }
    }
  }
  for (const each of sessions.slice(1)) checkTerms(sessions[0], each, argument)
  return { sessions, runs, missing: [...missing.values()] }
}

const withoutSession = (path: string, argument: string): SadaError =>
  new SadaError(
    'INVALID_ARGUMENT',
    `Expected ${path} to say of which model, steps and seed its runs are, and no line of type "session" stands before them. Take the whole file.`,
    { argument },
  )

/** What was asked of each picture, as it is said. */
export const askedTexts = (picture: Terms['picture'] = {}): string[] =>
  (Object.keys(askedPicture.entries) as (keyof typeof askedPicture.entries)[])
    .filter((name) => picture[name] !== undefined)
    .map((name) => `${name.replaceAll('_', ' ')} ${picture[name]}`)

/** Refuses runs of other terms than the first. Throws INVALID_ARGUMENT. */
export function checkTerms(first: Terms, other: Terms, argument: string): void {
  const told = ({ model, steps, seed, picture, device = 'cpu' }: Terms): string =>
    [model, `${steps} steps`, `seed ${seed}`, ...askedTexts(picture), `on ${device}`].join(', ')
  if (told(first) === told(other)) return
  throw new SadaError(
    'INVALID_ARGUMENT',
    `These runs do not belong together: ${told(first)}, and ${told(other)}. Ask for the same, or name another file with --${argument}.`,
    { argument },
  )
}

/** Which prompt and seed stand behind a kind and index: pictures that share those are compared with one another. */
export class PictureNames {
  private readonly argument: string
  private readonly known = new Map<string, Pick<Run, 'prompt' | 'seed'>>()

  constructor(argument: string) {
    this.argument = argument
  }

  /** Throws INVALID_ARGUMENT where another prompt or seed is known by this kind and index. */
  check({ kind, index, prompt, seed }: Pick<Run, 'kind' | 'index' | 'prompt' | 'seed'>): void {
    const name = `${kind}|${index}`
    const first = this.known.get(name)
    if (first === undefined) this.known.set(name, { prompt, seed })
    else if (first.prompt !== prompt || first.seed !== seed) {
      throw new SadaError(
        'INVALID_ARGUMENT',
        `Expected one prompt and seed for picture ${index} of kind ${kind}, received ${JSON.stringify(first.prompt)} with seed ` +
          `${first.seed} and ${JSON.stringify(prompt)} with seed ${seed}. Ask for the same prompts, or name another file with --${this.argument}.`,
        { argument: this.argument },
      )
    }
  }
}

/** What is damaged is one run. */
const DELETE = '; delete the line, and its run is made again'

async function* lines(path: string, argument: string): AsyncGenerator<JournalLine> {
  const fail = (why: string, cause?: unknown): never => {
    throw new SadaError('INVALID_ARGUMENT', `Cannot read runs from ${path}: ${why}.`, { argument, cause })
  }
  const whole = await lengthOfWholeLines(path).catch((error: NodeJS.ErrnoException) => {
    const hint = error.code === 'ENOENT' ? `; make runs first, or name another with --${argument}` : ''
    return fail(whyUnread(error) + hint, error)
  })
  if (whole === 0) return
  const stream = createReadStream(path, { encoding: 'utf8', end: whole - 1 })
  let number = 0
  for await (const text of splitLines(stream)) {
    number++
    if (text.trim() === '') continue
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch (error) {
      fail(`line ${number} is not JSON${DELETE}`, error)
    }
    const checked = v.safeParse(line, parsed)
    if (!checked.success)
      fail(`line ${number}: ${checked.issues[0].message} (${v.getDotPath(checked.issues[0]) ?? 'the line'})${DELETE}`)
    else yield checked.output
  }
}

/** What ends with a line feed. Node's own lines end also at U+2028 and U+2029, with version 24 but not 20, which JSON leaves in a prompt as they are. */
async function* splitLines(stream: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = ''
  for await (const block of stream) {
    const parts = (rest + block).split('\n')
    rest = parts.pop()!
    yield* parts
  }
}

/** Bytes up to and with the last line feed. */
async function lengthOfWholeLines(path: string): Promise<number> {
  const found = await stat(path)
  // Opening a pipe would wait for its other end.
  if (!found.isFile()) throw new Error('it is not a regular file')
  const { size } = found
  const handle = await open(path, 'r')
  try {
    const block = Buffer.alloc(65536)
    for (let end = size; end > 0; end -= block.length) {
      const start = Math.max(0, end - block.length)
      const { bytesRead } = await handle.read(block, 0, end - start, start)
      const at = block.subarray(0, bytesRead).lastIndexOf(10)
      if (at >= 0) return start + at + 1
    }
    return 0
  } finally {
    await handle.close()
  }
}

/** A file that runs are added to, each at once: whatever ends the process, it costs one run at most. */
export class Journal {
  private readonly handle: FileHandle
  private readonly path: string

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.handle = handle
  }

  /** Opens a journal, new or old; in a new folder too; what a killed run left unfinished is cut off. Throws OUTPUT_FAILED. */
  static async open(path: string): Promise<Journal> {
    try {
      await mkdir(dirname(path), { recursive: true })
      const handle = await open(path, 'a')
      // The size is read first: what another process adds after that is not cut off.
      const { size } = await stat(path)
      const whole = await lengthOfWholeLines(path)
      if (whole < size) await truncate(path, whole)
      return new Journal(path, handle)
    } catch (error) {
      throw outputFailed(path, error, 'resume')
    }
  }

  /** Throws OUTPUT_FAILED. */
  async add(entry: JournalLine): Promise<void> {
    try {
      await this.handle.appendFile(JSON.stringify(entry) + '\n')
    } catch (error) {
      throw outputFailed(this.path, error, 'resume')
    }
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}
