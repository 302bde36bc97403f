import { setMaxListeners } from 'node:events'
import { checkNames, invalidArgument, SadaError } from '../errors.ts'
import type { Family, FamilyRun, Output, Pixels, Request } from '../families/family.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { Workspace } from '../native/types.ts'
import { recorded, type Recording } from '../policy/recording.ts'
import { checkCall } from '../sampler/checks.ts'
import { awaited, isOfCaller, never, orAborted, rejectionOf } from '../sampler/abort.ts'
import { DenoisingLoop, type LoopOptions } from '../sampler/loop.ts'
import { planRun, quoteOf, type MemoryQuote, type Purpose, type RunSetting } from '../sampler/memory.ts'
import type { Trace } from '../sampler/trace.ts'
import { packageVersion } from '../version.ts'
import { Sound } from './audio.ts'
import { holdsLatents, readImage, toPicture, type Picture } from './image.ts'
import { checkGenerateOptions, type ControlOptions, type GenerateOptions, type GenerateStep, type ImageInput } from './options.ts'

/** What `generate` made, and how. */
export interface GenerateResult {
  /** One for each prompt, or for each seed of one prompt; none where the model makes sounds. */
  readonly images: readonly Picture[]
  /** As `images`; none where the model makes pictures. */
  readonly audio: readonly Sound[]
  /** Final states of the sampler in its own scale, what `init.latents` takes: [pictures, channels, height, width]; for Flux [pictures, tokens, channels]. */
  readonly latents: Float32Array
  /** What each step did, and how long it took. */
  readonly trace: Trace
  /** With `record`: plain data, fit for a JSON file. */
  readonly recording?: Recording
  /** Words of the prompts that the model does not know; they were read as "unknown". */
  readonly unknownWords: readonly string[]
  /** For each picture or sound, the tokens at its prompt's end that the model's text encoder had no room for. */
  readonly droppedTokens: readonly number[]
}

/** What `stream` yields: every step, and last the result. A step's `denoised()` and `state()` are for `onStep`, while the run waits. */
export type PipelineEvent =
  ({ readonly type: 'step' } & Omit<GenerateStep, 'denoised' | 'state'>) | ({ readonly type: 'result' } & GenerateResult)

/** Calls of `generate` in progress at once; more are refused with QUEUE_FULL. */
const MOST_RUNS = 256

/** A loaded model, ready for any number of calls, also concurrent ones, of which 256 may be in progress: each has state of its own. */
export class Pipeline {
  private readonly family: Family
  private readonly runs = new Set<Promise<unknown>>()
  private readonly closing = new AbortController()
  private disposal: Promise<void> | undefined
  /** Why nothing runs any more: the GPU is gone for this process. */
  private lost: SadaError | undefined

  constructor(family: Family) {
    this.family = family
    // Every run listens to it: many listeners are no leak.
    setMaxListeners(0, this.closing.signal)
  }

  /** The model's name, as its folder gives it. */
  get name(): string {
    return this.family.name
  }

  /** Whether calls give pictures or sounds. */
  get makes(): 'image' | 'audio' {
    return this.family.makes
  }

  /** What is used where nothing else is asked. */
  get defaults(): { readonly scheduler: string; readonly steps: number; readonly guidanceScale: number } {
    const { scheduler, steps, guidance: guidanceScale } = this.family.defaults
    return { scheduler, steps, guidanceScale }
  }

  /** Names that `scheduler` can have: `'flow-euler'`, `'dpm++'`, `'dpm++-sde'`, `'euler'` and `'euler-ancestral'`, as far as they fit the model. */
  get schedulers(): readonly string[] {
    return this.family.schedulers
  }

  /** The options of `generate` that are this model's own; those of other models are INVALID_ARGUMENT. */
  get takes(): readonly string[] {
    return this.family.takes
  }

  /** Where runs are, `cpu` or `cuda:<index>`; where `auto` took the CPU, why. */
  get device(): { readonly name: string; readonly reason?: string } {
    const { gpu, withoutGpu } = this.family
    if (gpu !== undefined) return { name: `cuda:${gpu.index}` }
    return { name: 'cpu', ...(withoutGpu !== undefined && { reason: withoutGpu }) }
  }

  /** Versions that bits depend on: this package's, ONNX Runtime's, and that of another engine where it runs the network. */
  get versions(): { readonly sada: string; readonly onnxruntime: string; readonly network?: string } {
    const { engine, device } = this.family
    return { sada: packageVersion(), onnxruntime: engine.version, ...(device && { network: device.engine.version }) }
  }

  /** [width, height] of pictures where nothing else is asked; [0, 0] of sounds. */
  get size(): readonly [number, number] {
    return this.family.size
  }

  /** Samples per second, and length in seconds where nothing else is asked, of sounds; undefined where pictures are made. */
  get sound(): { readonly sampleRate: number; readonly seconds: number } | undefined {
    return this.family.sound
  }

  /**
   * Makes pictures, or sounds. Rejects with a `SadaError` (INVALID_ARGUMENT, INVALID_SCHEDULE, UNKNOWN_NAME, UNSUPPORTED, PROMPT_TOO_LONG,
   * NETWORK_FAILED, IO_MISMATCH, NON_FINITE, QUEUE_FULL, OUT_OF_MEMORY, DISPOSED), or with the signal's reason, at once, when it fires. After DEVICE_LOST every call rejects with it.
   */
  async generate(options: GenerateOptions): Promise<GenerateResult> {
    if (this.closing.signal.aborted) throw this.closing.signal.reason
    if (this.lost) throw this.lost
    if (this.runs.size >= MOST_RUNS)
      throw new SadaError('QUEUE_FULL', `${MOST_RUNS} calls of generate are in progress; wait for one to end.`)
    const call = checkCall(options)
    call.signal?.throwIfAborted()
    const run = this.run(call)
    this.runs.add(run)
    try {
      return await run
    } catch (error) {
      const failure = rejectionOf(error, call.signal)
      if (failure instanceof SadaError && failure.code === 'DEVICE_LOST' && !isOfCaller(error, call.signal)) this.lost ??= failure
      throw failure
    } finally {
      this.runs.delete(run)
    }
  }

  /**
   * What `generate` takes with the same options, before anything is allocated: the plan that its workspace is made from. Weights, and
   * text encoders and autoencoders, which run before and after it, are not part of it. Rejects as `generate` does; INVALID_ARGUMENT
   * where the run does not fit into `memory.budget`.
   */
  async memory(options: GenerateOptions): Promise<MemoryQuote> {
    if (this.closing.signal.aborted) throw this.closing.signal.reason
    const call = checkCall(options)
    const { gpu, device } = this.family
    try {
      return quoteOf((await this.plan(call)).planned, gpu, device?.activationBytes, device?.onGpu !== true)
    } catch (error) {
      throw asSadaError(error)
    }
  }

  /**
   * `generate` as a stream of typed events, from the first `next()` on; leaving the loop ends the run. The run does not wait for its reader, as it does for
   * `onStep`: events queue, and an iterator that is dropped without `return()` runs to the end. While a `next()` is pending,
   * `return()` waits for the next event: give a `signal` to end the run at once. Rejects as `generate` does; throws INVALID_ARGUMENT where
   * `options`, which are read at the call, are none.
   */
  stream(options: GenerateOptions): AsyncGenerator<PipelineEvent, void, undefined> {
    return this.events(checkCall(options))
  }

  private async *events(options: GenerateOptions): AsyncGenerator<PipelineEvent, void, undefined> {
    const left = new AbortController()
    const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal
    const waiting: PipelineEvent[] = []
    let wake = (): void => {}
    const onStep = (event: GenerateStep): unknown => {
      const pending = options.onStep?.(event)
      const { step, steps, timestep, members, elapsedMs, etaMs, preview } = event
      const told = { step, steps, timestep, members, elapsedMs, etaMs, ...(preview && { preview }) }
      waiting.push({ type: 'step', ...told })
      wake()
      return pending
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
    await Promise.all([this.family.engine.dispose(), this.family.device?.engine.dispose()])
  }

  private async run(options: GenerateOptions): Promise<GenerateResult> {
    const signal = options.signal ? AbortSignal.any([options.signal, this.closing.signal]) : this.closing.signal
    const { planned, prepare, schedulerWarnings } = await orAborted(this.plan(options), signal)
    for (const warning of schedulerWarnings) process.emitWarning(warning, { type: 'SadaWarning' })
    const { setting, plan, warnings } = planned
    const notes = options.record ? recorded(setting.policy) : undefined
    const workspace = new (loadAddon().Workspace)(this.family.gpu, plan)
    try {
      const { loop, run } = await prepare(workspace, { ...setting, policy: notes?.policy ?? setting.policy }, signal, [
        ...schedulerWarnings,
        ...warnings,
      ])
      const { unknownWords, droppedTokens } = run
      const result = await loop.run()
      // Not beside what autoencoders take.
      workspace.dispose()
      const made = results(await run.finish(result.latents, signal))
      await this.family.device?.keepCompiled?.()
      return { ...made, ...result, unknownWords, droppedTokens, ...(notes && { recording: notes.take() }) }
    } finally {
      workspace.dispose()
    }
  }

  /** Checks a call and plans its run; `prepare` makes it in a workspace. */
  private async plan(options: GenerateOptions) {
    const { request, policy, audit, schedulerWarnings } = checkGenerateOptions(options, this.family)
    const complete = { ...request, ...(await readImages(options)) }
    const prepare = async (
      workspace: Workspace,
      { policy, storage }: RunSetting,
      purpose: Purpose,
      warnings: readonly string[] = [],
    ) => {
      const run = await this.family.begin(complete, workspace, purpose)
      const { solver, network, latents, noise, afterStep } = run
      const signal = purpose === 'planning' ? never : purpose
      const onStep = watcher(options, run, signal)
      const inputs = { solver, network, policy, workspace, latents, noise, storage, warnings, audit, afterStep, signal, onStep }
      return { run, loop: new DenoisingLoop(inputs) }
    }
    const planned = await planRun(async (...of) => (await prepare(...of)).loop, policy, this.family.gpu, options.memory)
    return { planned, prepare, schedulerWarnings }
  }
}

/** Tells of every step, with a preview where one is due. */
function watcher({ onStep, preview: every }: GenerateOptions, run: FamilyRun, signal: AbortSignal): LoopOptions['onStep'] {
  if (onStep === undefined) return undefined
  const tell = awaited(onStep, signal)
  if (every === undefined) return tell
  return async (event) => {
    const isDue = event.step % every === 0 || event.step === event.steps - 1
    await tell(isDue ? { ...event, preview: results(await run.preview(event.denoised(), signal)).images } : event)
  }
}

/** The pictures among the options, as pixels. */
async function readImages({ init, mask, control }: GenerateOptions): Promise<Pick<Request, 'init' | 'mask' | 'control'>> {
  const controls = control === undefined ? undefined : listOf(control)
  return {
    init: init === undefined || holdsLatents(init) ? init : await readImage('init', init),
    mask: mask === undefined ? undefined : await readImage('mask', mask),
    control:
      controls &&
      (await Promise.all(
        controls.map(async ({ image, ...more }) => ({ ...more, images: await readAll('control.image', image) })),
      )),
  }
}

const readAll = (argument: string, given: ImageInput | readonly ImageInput[]): Promise<Pixels[]> =>
  Promise.all(
    (Array.isArray(given) ? (given as readonly ImageInput[]) : [given as ImageInput]).map((each) => readImage(argument, each)),
  )

const CONTROL: Readonly<Record<keyof ControlOptions, true>> = { image: true, strength: true, start: true, end: true }

/** One control, or a list of them. Throws INVALID_ARGUMENT or UNKNOWN_NAME. */
function listOf(control: NonNullable<GenerateOptions['control']>): readonly ControlOptions[] {
  const all: readonly ControlOptions[] = Array.isArray(control) ? control : [control]
  if (!all.every((each) => typeof each === 'object' && each !== null))
    throw invalidArgument('control', '{ image, strength, start, end }, or an array of them', control)
  for (const each of all) checkNames(each, CONTROL, { within: 'control' })
  return all
}

function results(output: Output): Pick<GenerateResult, 'images' | 'audio'> {
  if (output.kind === 'audio') return { images: [], audio: output.samples.map((each) => new Sound(each, output.sampleRate)) }
  return { images: output.samples.map((each) => toPicture(each, output.shape, output.range)), audio: [] }
}
