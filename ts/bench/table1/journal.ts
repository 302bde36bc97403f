import { createReadStream } from 'node:fs'
import { open, stat, truncate, type FileHandle } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import * as v from 'valibot'
import { SadaError } from '../../errors.ts'

const amount = v.pipe(v.number(), v.minValue(0))
const whole = v.pipe(amount, v.integer())

/** What all runs of one table share; what differs does not belong together. */
const terms = { model: v.string(), steps: whole, seed: whole }

const session = v.object({
  type: v.literal('session'),
  ...terms,
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
  ssim: v.number(),
  /** One letter a step: what was done. */
  actions: v.string(),
  /** For each step the share of the network's operations that were made. */
  shares: v.array(v.number()),
  warnings: v.optional(v.array(v.string())),
  /** Of the machine when the run ended. */
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

/** What a run is known by: the same name, the same picture. */
export const keyOf = ({ scheduler, guidance, kind, index, method, steps }: Omit<Run, 'type'> | Run): string =>
  [scheduler, guidance, kind, index, method, steps].join('|')

/** What plain runs are matched by: the time of the sampling loop, or the network's operations, which other work on the machine does not touch. */
export type PlainBy = 'time' | 'flops'

/** A run's share of what the unaccelerated run takes. */
export const shareOfBaseline = (run: Run, by: PlainBy): number =>
  by === 'time' ? run.loop_ms / run.baseline_loop_ms : run.flops / run.baseline_flops

export interface JournalContent {
  readonly sessions: readonly Session[]
  readonly runs: ReadonlyMap<string, Run>
  readonly missing: readonly Missing[]
}

/** All that journals hold; of a run that stands in several, the last. A line that a killed run left unfinished is passed over. */
export async function readJournals(paths: readonly string[]): Promise<JournalContent> {
  const sessions: Session[] = []
  const runs = new Map<string, Run>()
  const missing = new Map<string, Missing>()
  for (const path of paths) {
    for await (const entry of lines(path)) {
      if (entry.type === 'session') sessions.push(entry)
      else if (entry.type === 'run') runs.set(keyOf(entry), entry)
      else missing.set([entry.scheduler, entry.guidance, entry.method].join('|'), entry)
    }
  }
  for (const { model, steps, seed } of sessions.slice(1)) {
    const [first] = sessions
    if (model !== first.model || steps !== first.steps || seed !== first.seed) {
      throw new SadaError(
        'INVALID_ARGUMENT',
        `These runs do not belong together: ${first.model}, ${first.steps} steps, seed ${first.seed}, and ${model}, ${steps} steps, seed ${seed}.`,
        { argument: 'resume' },
      )
    }
  }
  return { sessions, runs, missing: [...missing.values()] }
}

async function* lines(path: string): AsyncGenerator<JournalLine> {
  const fail = (why: string, cause?: unknown): never => {
    throw new SadaError('INVALID_ARGUMENT', `Cannot read runs from ${path}: ${why}.`, { argument: 'resume', cause })
  }
  const whole = await lengthOfWholeLines(path).catch((error: Error) => fail(error.message, error))
  if (whole === 0) return
  const stream = createReadStream(path, { encoding: 'utf8', end: whole - 1 })
  let number = 0
  for await (const text of createInterface({ input: stream, crlfDelay: Infinity })) {
    number++
    if (text.trim() === '') continue
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch (error) {
      fail(`line ${number} is not JSON`, error)
    }
    const checked = v.safeParse(line, parsed)
    if (!checked.success) fail(`line ${number}: ${checked.issues[0].message} (${v.getDotPath(checked.issues[0]) ?? 'the line'})`)
    else yield checked.output
  }
}

/** Bytes up to and with the last line feed. */
async function lengthOfWholeLines(path: string): Promise<number> {
  const { size } = await stat(path)
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

  /** Opens a journal, new or old; what a killed run left unfinished is cut off. Throws OUTPUT_FAILED. */
  static async open(path: string): Promise<Journal> {
    try {
      const handle = await open(path, 'a')
      await truncate(path, await lengthOfWholeLines(path))
      return new Journal(path, handle)
    } catch (error) {
      throw new SadaError('OUTPUT_FAILED', `Cannot write ${path}: ${(error as Error).message}.`, {
        argument: 'resume',
        cause: error,
      })
    }
  }

  /** Throws OUTPUT_FAILED. */
  async add(entry: JournalLine): Promise<void> {
    try {
      await this.handle.appendFile(JSON.stringify(entry) + '\n')
    } catch (error) {
      throw new SadaError('OUTPUT_FAILED', `Cannot write ${this.path}: ${(error as Error).message}.`, { cause: error })
    }
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}
