import type { PolicySpec } from '../../policy/index.ts'
import { SadaError } from '../../errors.ts'
import type { MemberStep, StepAction, Trace } from '../../sampler/trace.ts'
import { closeness, finiteOrNull } from '../fidelity.ts'
import { pictureFlops, rowFlops } from '../flops.ts'
import { OthersLoad } from '../load.ts'
import { requestOf } from '../prompts.ts'
import type { BenchProgress, Generate } from '../settings.ts'
import { keyOf, type Missing, type Run } from './journal.ts'
import type { Method } from './methods.ts'
import { plainStepsOf, type Costs } from './plain.ts'
import type { NumberedPrompt } from './prompts.ts'
import type { RowName, Store, TableSettings } from './settings.ts'

/** Letters for what a step did, in a journal. */
export const LETTERS: Readonly<Record<StepAction, string>> = {
  run: 'R',
  partial: 'P',
  prune: 'T',
  extrapolate: 'E',
  interpolate: 'I',
  reuse: 'U',
}

const BASELINE: Method = { policy: 'none', label: 'none', spec: 'none', isDefault: true }
/** An accelerated run's share of the baseline's work, for the estimate of the time left. */
const EXPECTED_SHARE = 0.6
const WARM_UP_STEPS = 6
/** Runs of a row from which on their cost says how many plain steps to make; the others are made at the end. */
const SETTLED = 4

/**
 * Makes every run that the store lacks, prompt by prompt, so that whatever ends it leaves each method with the same prompts.
 * Rejects with the signal's reason when it fires.
 */
export async function runTable(
  generate: Generate,
  settings: TableSettings,
  store: Store,
  progress: BenchProgress,
  signal: AbortSignal,
): Promise<void> {
  const table = new TableRun(generate, settings, store, progress, signal)
  await table.run()
}

interface Place {
  readonly scheduler: string
  readonly guidance: number
}

interface Made {
  readonly sample: Float32Array
  readonly trace: Trace
  readonly wallMs: number
  readonly flops: number
}

class TableRun {
  private readonly generate: Generate
  private readonly settings: TableSettings
  private readonly store: Store
  private readonly progress: BenchProgress
  private readonly signal: AbortSignal
  private readonly load = new OthersLoad()
  /** What the runs of each row cost. */
  private readonly costs = new Map<string, Costs[]>()

  constructor(generate: Generate, settings: TableSettings, store: Store, progress: BenchProgress, signal: AbortSignal) {
    this.generate = generate
    this.settings = settings
    this.store = store
    this.progress = progress
    this.signal = signal
    for (const run of store.runs.values()) this.remember(run)
  }

  async run(): Promise<void> {
    const { schedulers, guidances, prompts, timingOnly } = this.settings
    const places = schedulers.flatMap((scheduler) => guidances.map((guidance): Place => ({ scheduler, guidance })))
    const methods = new Map<Place, readonly Method[]>()
    for (const place of places) methods.set(place, await this.runnable(place))
    const lacking = (place: Place, prompt: NumberedPrompt): Method[] =>
      methods.get(place)!.filter((method) => !this.has(place, prompt, method, this.settings.steps))
    const work = prompts.flatMap((prompt) => places.map((place) => this.workOf(lacking(place, prompt).length)))
    this.progress.start(work.reduce((sum, each) => sum + each, 0))
    for (const [k, prompt] of prompts.entries()) {
      for (const place of places) {
        const all = methods.get(place)!
        const pending = this.workOf(lacking(place, prompt).length)
        // Every other prompt goes through the methods the other way round, so that none is always the first.
        await this.picture(place, prompt, k % 2 === 0 ? all : [...all].reverse(), all)
        this.progress.advance(pending, `${place.scheduler}, guidance ${place.guidance}: ${prompt.prompt}`)
      }
      this.progress.note(`prompt ${k + 1} of ${prompts.length}`)
    }
    // What a method costs has settled by now: the plain runs that this asks for, where the prompts had others.
    if (timingOnly) return
    this.progress.note(`plain runs of the same ${this.settings.plainBy === 'time' ? 'time' : 'operations'}`)
    for (const prompt of prompts) {
      for (const place of places) await this.picture(place, prompt, [], methods.get(place)!)
    }
  }

  private workOf(methods: number): number {
    const { steps, timingOnly } = this.settings
    if (methods === 0) return 0
    return steps * (timingOnly ? methods * (1 + EXPECTED_SHARE) : 1 + 1.6 * EXPECTED_SHARE * methods)
  }

  /** The methods that this model and solver can run; the others are written down with what they lack. Warms up on the way. */
  private async runnable(place: Place): Promise<Method[]> {
    const [prompt] = this.settings.prompts
    await this.make(place, prompt, 'none', Math.min(WARM_UP_STEPS, this.settings.steps))
    const able: Method[] = []
    for (const method of this.settings.methods) {
      const reason = await this.whyNot(place, method)
      if (reason === undefined) {
        able.push(method)
        continue
      }
      const missing: Missing = { type: 'missing', ...place, method: method.label, reason }
      const isKnown = this.store.missing.some(
        (each) => each.scheduler === place.scheduler && each.guidance === place.guidance && each.method === method.label,
      )
      if (!isKnown) {
        this.store.missing.push(missing)
        await this.store.journal.add(missing)
      }
      this.progress.note(`${place.scheduler}: without ${method.label}. ${reason}`)
    }
    return able
  }

  /** Begins a run and ends it at its first step. */
  private async whyNot({ scheduler, guidance }: Place, { spec }: Method): Promise<string | undefined> {
    const { prompts, steps, seed } = this.settings
    const begun = new AbortController()
    const reason = new Error('begun')
    try {
      await this.generate({
        ...requestOf([prompts[0]]),
        seed: [seed],
        scheduler,
        steps,
        guidanceScale: guidance,
        policy: spec,
        signal: AbortSignal.any([begun.signal, this.signal]),
        onStep: () => begun.abort(reason),
      })
      return undefined
    } catch (error) {
      this.signal.throwIfAborted()
      if (error === reason) return undefined
      if (error instanceof SadaError && (error.code === 'UNSUPPORTED' || error.code === 'INVALID_ARGUMENT')) return error.message
      throw error
    }
  }

  /** What is lacking of one picture: its methods, and the plain runs that take as long as `timed` do. */
  private async picture(
    place: Place,
    prompt: NumberedPrompt,
    methods: readonly Method[],
    timed: readonly Method[],
  ): Promise<void> {
    const { steps, timingOnly } = this.settings
    let baseline: Made | undefined
    const made = async (): Promise<Made> => {
      if (baseline !== undefined && !timingOnly) return baseline
      baseline = await this.make(place, prompt, 'none', steps)
      if (!this.has(place, prompt, BASELINE, steps)) await this.write(place, prompt, BASELINE, baseline, baseline)
      return baseline
    }
    for (const method of methods) {
      if (this.has(place, prompt, method, steps)) continue
      const full = await made()
      await this.write(place, prompt, method, await this.make(place, prompt, method.spec, steps), full)
    }
    if (timingOnly) return
    for (const fewer of this.plainSteps(place, prompt.kind, timed, methods.length === 0)) {
      if (this.has(place, prompt, BASELINE, fewer)) continue
      const full = await made()
      await this.write(place, prompt, BASELINE, await this.make(place, prompt, 'none', fewer), full)
    }
  }

  /** Numbers of plain steps that cost as much as the methods do on prompts of a kind, each once. */
  private plainSteps(place: Place, kind: string, methods: readonly Method[], atEnd: boolean): number[] {
    const { steps, plainBy } = this.settings
    const all = methods.flatMap(({ label }) => {
      const timed = this.store.timedRuns?.({ ...place, kind, method: label }) ?? []
      const own = this.costs.get(rowKey({ ...place, kind, method: label })) ?? []
      if (timed.length > 0) return [plainStepsOf(timed, plainBy, steps)]
      return own.length >= (atEnd ? 1 : SETTLED) ? [plainStepsOf(own, plainBy, steps)] : []
    })
    return [...new Set(all)].filter((fewer) => fewer < steps).sort((a, b) => b - a)
  }

  private has(
    { scheduler, guidance }: Place,
    { kind, index }: NumberedPrompt,
    { label: method }: Method,
    steps: number,
  ): boolean {
    return this.store.runs.has([scheduler, guidance, kind, index, method, steps].join('|'))
  }

  private async make({ scheduler, guidance }: Place, prompt: NumberedPrompt, policy: PolicySpec, steps: number): Promise<Made> {
    const { seed, model } = this.settings
    const startedAt = performance.now()
    const result = await this.generate({
      ...requestOf([prompt]),
      seed: [seed + prompt.index],
      scheduler,
      steps,
      guidanceScale: guidance,
      policy,
      signal: this.signal,
    })
    const wallMs = performance.now() - startedAt
    const { trace } = result
    const [sample] = model.samplesOf(result)
    return { sample, trace, wallMs, flops: pictureFlops(model.costs, model.rowsAt(guidance), trace.members[0].steps) }
  }

  private async write(
    place: Place,
    { kind, index, prompt }: NumberedPrompt,
    method: Method,
    made: Made,
    full: Made,
  ): Promise<void> {
    const { model, seed } = this.settings
    const { trace, sample } = made
    const [{ steps, nfe }] = trace.members
    const [{ psnr, ssim }] = closeness([sample], [full.sample], model.shape)
    const run: Run = {
      type: 'run',
      ...place,
      kind,
      index,
      prompt,
      seed: seed + index,
      method: method.label,
      policy: method.policy,
      is_default: method.isDefault,
      options: { ...trace.options },
      steps: trace.steps,
      nfe,
      flops: made.flops,
      baseline_flops: full.flops,
      wall_ms: rounded(made.wallMs),
      baseline_wall_ms: rounded(full.wallMs),
      loop_ms: rounded(trace.ms),
      baseline_loop_ms: rounded(full.trace.ms),
      psnr_db: finiteOrNull(psnr),
      ssim,
      actions: steps.map(({ action }) => LETTERS[action]).join(''),
      shares: steps.map((step) => rounded(this.shareOf(step))),
      ...(trace.warnings && { warnings: [...trace.warnings] }),
      load_average: rounded(this.load.read()),
    }
    await this.store.keep?.(run, sample)
    await this.store.journal.add(run)
    this.store.runs.set(keyOf(run), run)
    this.remember(run)
  }

  /** Share of the network's operations that a step made. */
  private shareOf(step: MemberStep): number {
    const { costs } = this.settings.model
    return pictureFlops(costs, 1, [step]) / rowFlops(costs)
  }

  private remember(run: Run): void {
    if (run.method === BASELINE.label || run.baseline_loop_ms === 0) return
    const key = rowKey(run)
    const known = this.costs.get(key)
    if (known === undefined) this.costs.set(key, [run])
    else known.push(run)
  }
}

const rowKey = ({ scheduler, guidance, kind, method }: RowName): string => [scheduler, guidance, kind, method].join('|')
const rounded = (value: number): number => Math.round(value * 1000) / 1000
