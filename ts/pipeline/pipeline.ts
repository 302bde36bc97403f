import { SadaError } from '../errors.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { EngineOp, Workspace } from '../native/types.ts'
import type { Model } from '../plan/model.ts'
import { networkOf, PlanNetwork, rowsPerMember } from '../plan/plan-network.ts'
import { RowTensors } from '../plan/row-tensors.ts'
import { recorded, type Recording } from '../policy/recording.ts'
import { orAborted } from '../sampler/abort.ts'
import { DenoisingLoop } from '../sampler/loop.ts'
import { initialLatents } from '../sampler/latents.ts'
import type { StepEvent, Trace } from '../sampler/trace.ts'
import { parseSchedulerConfig } from '../schedule/config.ts'
import { createSchedule } from '../schedule/schedule.ts'
import { createSolver } from '../solver/solver.ts'
import { toPicture, type Picture } from './image.ts'
import { checkGenerateOptions, type CheckedOptions, type GenerateOptions } from './options.ts'

export interface GenerateResult {
  readonly images: readonly Picture[]
  /** Final samples before they became pictures, [pictures, channels, height, width]. */
  readonly latents: Float32Array
  readonly trace: Trace
  /** With `record`: plain data, fit for a JSON file. */
  readonly recording?: Recording
  /** Words of the prompts that the model does not know; they were read as "unknown". */
  readonly unknownWords: readonly string[]
}

/** What `stream` yields: every step, and last the result. */
export type PipelineEvent = ({ readonly type: 'step' } & StepEvent) | ({ readonly type: 'result' } & GenerateResult)

/** Calls of `generate` in progress at once; more are refused with QUEUE_FULL. */
const MOST_RUNS = 256

/** A loaded model, ready for any number of calls, also concurrent ones: each has state of its own. */
export class Pipeline {
  private readonly model: Model
  private readonly runs = new Set<Promise<unknown>>()
  private readonly closing = new AbortController()
  private disposal: Promise<void> | undefined

  constructor(model: Model) {
    this.model = model
  }

  /** The model's name, as its manifest gives it. */
  get name(): string {
    return this.model.manifest.name
  }

  /** [width, height] of the pictures. */
  get size(): readonly [number, number] {
    const [, height, width] = this.model.manifest.latents
    return [width, height]
  }

  /**
   * Makes pictures. Rejects with a `SadaError` (INVALID_ARGUMENT, UNKNOWN_NAME, PROMPT_TOO_LONG, NON_FINITE, QUEUE_FULL,
   * OUT_OF_MEMORY, DISPOSED), or with the signal's reason, at once, when it fires.
   */
  async generate(options: GenerateOptions): Promise<GenerateResult> {
    if (this.closing.signal.aborted) throw this.closing.signal.reason
    if (this.runs.size >= MOST_RUNS)
      throw new SadaError('QUEUE_FULL', `${MOST_RUNS} calls of generate are in progress; wait for one to end.`)
    options.signal?.throwIfAborted()
    const run = this.run(options, checkGenerateOptions(options, this.model.manifest))
    this.runs.add(run)
    try {
      return await run
    } finally {
      this.runs.delete(run)
    }
  }

  /** `generate` as a stream of typed events; leaving the loop ends the run. */
  async *stream(options: GenerateOptions): AsyncGenerator<PipelineEvent, void, undefined> {
    const left = new AbortController()
    const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal
    const waiting: PipelineEvent[] = []
    let wake = (): void => {}
    const onStep = (event: StepEvent): void => {
      options.onStep?.(event)
      waiting.push({ type: 'step', ...event })
      wake()
    }
    let failure: { error: unknown } | undefined
    let running = true
    const run = this.generate({ ...options, signal, onStep })
      .then(
        (result) => void waiting.push({ type: 'result', ...result }),
        (error: unknown) => void (failure = { error }),
      )
      .then(() => ((running = false), wake()))
    try {
      while (running || waiting.length > 0) {
        if (waiting.length > 0) yield waiting.shift()!
        else await new Promise<void>((resolve) => (wake = resolve))
      }
      if (failure) throw failure.error
    } finally {
      left.abort()
      await run
    }
  }

  /** Ends runs in progress (they reject with DISPOSED) and releases the model. Idempotent. */
  dispose(): Promise<void> {
    this.disposal ??= this.close()
    return this.disposal
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  private async close(): Promise<void> {
    this.closing.abort(new SadaError('DISPOSED', 'This pipeline has been disposed; load() makes a new one.'))
    await Promise.allSettled(this.runs)
    await this.model.engine.dispose()
  }

  private async run(options: GenerateOptions, checked: CheckedOptions): Promise<GenerateResult> {
    const { manifest, tokenizer } = this.model
    const { prompts, steps, guidance, seed } = checked
    const notes = options.record ? recorded(checked.policy) : undefined
    const signal = options.signal ? AbortSignal.any([options.signal, this.closing.signal]) : this.closing.signal
    const { config } = parseSchedulerConfig(manifest.schedulers[checked.scheduler])
    const schedule = createSchedule(config, { steps, prediction: manifest.prediction })
    const encoded = prompts.map((prompt) => tokenizer.encode(prompt))
    const members = prompts.length
    const length = manifest.latents.reduce((product, n) => product * n, 1)
    const latents = initialLatents(seed, members, length, schedule.initNoiseSigma)

    const workspace = new (loadAddon().Workspace)(this.model.gpu)
    try {
      const rows = members * rowsPerMember(guidance)
      const tensors = new RowTensors(workspace, manifest.tensors, rows, manifest.tokens.grid[0] * manifest.tokens.grid[1])
      const unconditional = tokenizer.unconditional()
      const ids = encoded.flatMap((each) => (guidance === 1 ? [each.ids] : [each.ids, unconditional]))
      await this.encodeText(workspace, tensors, ids, signal)
      const network = new PlanNetwork(networkOf(this.model), workspace, members, guidance, tensors)
      const loop = new DenoisingLoop({
        solver: createSolver(schedule),
        network,
        policy: notes?.policy ?? checked.policy,
        workspace,
        latents,
        audit: checked.audit,
        signal,
        onStep: options.onStep,
      })
      const result = await loop.run()
      const images = latents.map((_, b) =>
        toPicture(result.latents.subarray(b * length, (b + 1) * length), manifest.latents, manifest.output.range),
      )
      const unknownWords = [...new Set(encoded.flatMap(({ unknown }) => unknown))]
      return { images, ...result, unknownWords, ...(notes && { recording: notes.take() }) }
    } finally {
      workspace.dispose()
    }
  }

  /** Runs the text encoder over one row of ids for each row of the run; its outputs stay in the workspace. */
  private async encodeText(
    workspace: Workspace,
    tensors: RowTensors,
    ids: readonly Float32Array[],
    signal: AbortSignal,
  ): Promise<void> {
    const { text } = this.model.manifest
    const input = workspace.allocate(ids.length * text.length)
    for (const [row, each] of ids.entries()) workspace.write(input, row * text.length, each)
    const op: EngineOp = {
      kind: 'stage',
      session: this.model.sessions.get('text')!,
      inputs: [{ name: text.input, tensor: input, offset: 0, dims: [ids.length, text.length] }],
      outputs: text.outputs.map((name) => tensors.bind('run', name, ids.length)),
    }
    const job = this.model.engine.run(workspace, [op])
    try {
      await orAborted(job.done, signal)
    } catch (error) {
      job.abort()
      signal.throwIfAborted()
      throw asSadaError(error, { stage: 'text' })
    }
  }
}
