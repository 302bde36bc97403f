import { types } from 'node:util'
import { checkNames, invalidArgument, inWords, show } from '../errors.ts'
import { asSadaError, loadAddon } from '../native/load.ts'
import type { TokenLayout, Workspace } from '../native/types.ts'
import { createPolicy, type PolicySpec } from '../policy/index.ts'
import { recorded, type Recording } from '../policy/recording.ts'
import { parseSchedulerConfig } from '../schedule/config.ts'
import { checkConfiguration } from '../schedule/names.ts'
import { createSchedule, type Schedule } from '../schedule/schedule.ts'
import { createSolver, type Solver } from '../solver/solver.ts'
import { checkAudit } from './audit.ts'
import { awaited, never, rejectionOf } from './abort.ts'
import { checkCall } from './checks.ts'
import { CallbackNetwork, type NetworkFunction } from './callback-network.ts'
import { checkFinite, checkSeed, initialLatents, NoiseSource, split, unwritten, type Seed } from './latents.ts'
import { DenoisingLoop } from './loop.ts'
import { planRun, quoteOf, type MemoryOptions, type MemoryQuote, type Purpose, type RunSetting } from './memory.ts'
import type { StepEvent, Trace } from './trace.ts'

/** What `sample` takes. */
export interface SampleOptions {
  /**
   * A diffusers `scheduler_config.json`: its text, or the object. DPMSolverMultistep ("dpmsolver++" and "sde-dpmsolver++"), EulerDiscrete,
   * EulerAncestralDiscrete or FlowMatchEulerDiscrete.
   */
  readonly scheduler: string | object
  /** Sampling steps, 1 … 1000. May be left out where `sigmas` are given; else it is as many as they make. */
  readonly steps?: number | undefined
  /**
   * The noise levels themselves, never rising, as diffusers' `set_timesteps(sigmas=…)` takes them. EulerDiscrete: σ/α, one more than steps,
   * above 0 but for the last. FlowMatchEulerDiscrete: σ above 0, at most 1, as many as steps, before the shift; the final 0 is added. The
   * others refuse them (INVALID_ARGUMENT).
   */
  readonly sigmas?: readonly number[] | undefined
  /**
   * Resolution-dependent shift of schedulers with `use_dynamic_shifting`, as diffusers takes it; finite. FlowMatchEulerDiscrete must be given
   * it then, and does not read it otherwise. DPMSolverMultistep takes it then, in place of `flow_shift`. All else refuse it (INVALID_ARGUMENT).
   */
  readonly mu?: number | undefined
  /** [batch, …]: at least two sizes, each at least 1; at most 2³¹ − 1 elements in all. */
  readonly shape: readonly number[]
  /**
   * The initial state, of `shape`, in the scheduler's own scale (diffusers' `latents`, `init_noise_sigma` included); finite. Either it or `seed`,
   * but both where the scheduler is stochastic. Read before `sample` returns its promise, and not written to.
   */
  readonly latents?: Float32Array | undefined
  /**
   * Noise as PyTorch's CPU generator makes it: one `randn(shape)`, or with an array one generator per member. A stochastic scheduler goes on
   * drawing from it at every step, and needs it; beside `latents` it is for that alone.
   */
  readonly seed?: Seed | undefined
  /** Of your own; guidance is its business. */
  readonly network: NetworkFunction
  /**
   * The guidance scale that your network applies, 0 … 100; 1, the default, for none. It multiplies nothing: defaults of `sada` and `auto` follow it
   * (above 3 the end runs, and `damping` is on), and warnings of other policies.
   */
  readonly guidanceScale?: number | undefined
  /** Default `'sada'`; `'none'` computes every step. Those that leave out parts of a network are UNSUPPORTED here. */
  readonly policy?: PolicySpec | undefined
  /**
   * How a member's elements form tokens; given, the trace of `sada`, its `poster` preset and `auto` says for each computed step with a criterion
   * which share of them was unstable. `'channels-first'`:
   * `shape` is [batch, channels, height, width], a token one place of the map; `'tokens'`: it is [batch, tokens, channels]. The policy
   * `seacache` needs the former.
   */
  readonly layout?: 'channels-first' | 'tokens' | undefined
  /** Note every decision and measurement, for `policy: { name: 'replay', recording }`. */
  readonly record?: boolean | undefined
  /** Share of the skipped steps, 0 … 1, that are computed as well, beside the run: the trace then says what they got wrong. Default 0. */
  readonly audit?: number | undefined
  /** What the run may take of the host's memory; the network's own is not part of it. */
  readonly memory?: MemoryOptions | undefined
  /** Ends the run: `sample` rejects with its reason, at once, whatever the network does. */
  readonly signal?: AbortSignal | undefined
  /** Called after every step; a promise it returns is waited for before the next one. What it throws ends the run, which rejects with it. */
  readonly onStep?: ((event: StepEvent) => unknown) | undefined
}

/** What `sample` made, and how. */
export interface SampleResult {
  /** The final state, of `shape`: the clean sample. */
  readonly latents: Float32Array
  /** What each step did, and how long it took. */
  readonly trace: Trace
  /** With `record`: plain data, fit for a JSON file. */
  readonly recording?: Recording
}

/**
 * Runs a sampler over a network of your own, skipping evaluations where the trajectory allows it.
 *
 * Rejects with a `SadaError` (INVALID_ARGUMENT, INVALID_SCHEDULE, UNKNOWN_NAME, NETWORK_FAILED, NETWORK_OUTPUT, NON_FINITE,
 * BACKEND_UNAVAILABLE, OUT_OF_MEMORY), or with the signal's reason, at once, when it fires.
 */
export async function sample(given: SampleOptions): Promise<SampleResult> {
  const options = checkCall(given)
  // Each run has one of its own: what a network listens to ends with its run.
  const { signal = new AbortController().signal } = options
  signal.throwIfAborted()
  const { policy, prepare, schedulerWarnings } = check(options)
  for (const warning of schedulerWarnings) process.emitWarning(warning, { type: 'SadaWarning' })
  let workspace: Workspace | undefined
  try {
    const { setting, plan, warnings } = await planRun(prepare, policy, undefined, options.memory)
    const notes = options.record ? recorded(setting.policy) : undefined
    workspace = new (loadAddon().Workspace)(undefined, plan)
    const loop = await prepare(workspace, { ...setting, policy: notes?.policy ?? setting.policy }, signal, [
      ...schedulerWarnings,
      ...warnings,
    ])
    return { ...(await loop.run()), ...(notes && { recording: notes.take() }) }
  } catch (error) {
    throw rejectionOf(error, signal)
  } finally {
    workspace?.dispose()
  }
}

/** What `sample` takes with the same options, before anything is allocated; the network's own memory is not part of it. */
export async function sampleMemory(given: SampleOptions): Promise<MemoryQuote> {
  const options = checkCall(given)
  const { policy, prepare } = check(options)
  try {
    return quoteOf(await planRun(prepare, policy, undefined, options.memory), undefined)
  } catch (error) {
    throw asSadaError(error)
  }
}

const OPTIONS: Readonly<Record<keyof SampleOptions, true>> = {
  scheduler: true,
  steps: true,
  sigmas: true,
  mu: true,
  shape: true,
  latents: true,
  seed: true,
  network: true,
  guidanceScale: true,
  policy: true,
  layout: true,
  record: true,
  audit: true,
  memory: true,
  signal: true,
  onStep: true,
}

/** Checks everything a call was given; `prepare` makes its run in a workspace. */
function check(options: SampleOptions) {
  checkNames(options, OPTIONS)
  const [members, length] = checkShape(options.shape)
  const call = options.network
  if (typeof call !== 'function') throw invalidArgument('network', 'a function that returns a Float32Array', call)
  const { policy: chosen = 'sada', guidanceScale = 1 } = options
  if (!(typeof guidanceScale === 'number' && guidanceScale >= 0 && guidanceScale <= 100))
    throw invalidArgument('guidanceScale', 'a number from 0 to 100', guidanceScale)
  const policy = createPolicy(chosen)
  checkConfiguration(options.scheduler)
  const { config, warnings: schedulerWarnings } = parseSchedulerConfig(options.scheduler)
  const { steps, sigmas, mu } = options
  const schedule = createSchedule(config, { steps, sigmas, mu })
  const layout = options.layout === undefined ? undefined : checkLayout(options.layout, options.shape)
  const audit = checkAudit(options.audit)
  const solver = createSolver(schedule)
  checkStart(options, solver, members, length)
  const prepare = (workspace: Workspace, { policy, storage }: RunSetting, purpose: Purpose, warnings: readonly string[] = []) => {
    const isPlanned = purpose === 'planning'
    const noise = options.seed === undefined ? undefined : new NoiseSource(options.seed, members)
    const latents = isPlanned ? unwritten(members, length) : initialState(options, noise, members, length, schedule)
    const network = new CallbackNetwork(call, workspace, members, length, { layout, guidance: guidanceScale })
    const signal = isPlanned ? never : purpose
    const onStep = options.onStep && awaited((event: StepEvent) => options.onStep!(event), signal)
    return Promise.resolve(
      new DenoisingLoop({ solver, network, policy, workspace, latents, noise, storage, warnings, audit, signal, onStep }),
    )
  }
  return { policy, prepare, schedulerWarnings }
}

function checkShape(shape: readonly number[]): [members: number, length: number] {
  const isSize = (n: unknown): boolean => typeof n === 'number' && Number.isInteger(n) && n >= 1
  if (!Array.isArray(shape) || shape.length < 2 || !shape.every(isSize)) {
    throw invalidArgument(
      'shape',
      'an array [batch, …] of at least two positive integers',
      Array.isArray(shape) ? inWords(`[${shape.map(show).join(', ')}]`) : shape,
    )
  }
  const total = (shape as readonly number[]).reduce((product, n) => product * n, 1)
  if (total > 2 ** 31 - 1) throw invalidArgument('shape', 'at most 2147483647 elements in all', total)
  return [shape[0], total / shape[0]]
}

function checkLayout(layout: string, shape: readonly number[]): TokenLayout {
  if (layout === 'channels-first') {
    if (shape.length !== 4)
      throw invalidArgument(
        'shape',
        '[batch, channels, height, width] with layout "channels-first"',
        inWords(`[${shape.join(', ')}]`),
      )
    return { order: 'channels-first', channels: shape[1], grid: [shape[2], shape[3]], patch: [1, 1] }
  }
  if (layout === 'tokens') {
    if (shape.length !== 3)
      throw invalidArgument('shape', '[batch, tokens, channels] with layout "tokens"', inWords(`[${shape.join(', ')}]`))
    return { order: 'tokens', channels: shape[2], grid: [shape[1], 1], patch: [1, 1] }
  }
  throw invalidArgument('layout', '"channels-first" or "tokens"', layout)
}

/** Throws INVALID_ARGUMENT unless there is one start, and it is sound; and a seed, where steps draw noise of their own. */
function checkStart({ latents, seed }: SampleOptions, { isStochastic }: Solver, members: number, length: number): void {
  if (isStochastic && seed === undefined)
    throw invalidArgument(
      'seed',
      'given: this scheduler adds fresh noise at every step',
      seed,
      'With "latents" it is for that noise alone.',
    )
  if (!isStochastic && (latents === undefined) === (seed === undefined)) {
    throw invalidArgument(
      'latents',
      'given, or "seed" instead (exactly one of the two)',
      inWords(latents === undefined ? 'neither' : 'both'),
    )
  }
  if (seed !== undefined) checkSeed(seed, members)
  if (latents === undefined) return
  if (!types.isFloat32Array(latents) || latents.length !== members * length) {
    throw invalidArgument('latents', `a Float32Array of length ${members * length} (the product of "shape")`, latents)
  }
  checkFinite('latents', latents)
}

function initialState(
  { latents }: SampleOptions,
  noise: NoiseSource | undefined,
  members: number,
  length: number,
  { initNoiseSigma }: Schedule,
): Float32Array[] {
  return latents === undefined ? initialLatents(noise!, length, initNoiseSigma) : split(latents, members)
}
