import { invalidArgument, inWords, SadaError, show } from '../errors.ts'
import {
  parseSchedulerConfig,
  solverFor,
  type FlowEulerConfig,
  type SchedulerConfig,
  type SolverName,
} from '../schedule/config.ts'
import { dynamicShiftFor } from '../schedule/flow-grid.ts'
import { roundHalfEven } from '../schedule/grid.ts'
import { createSchedule, type Schedule, type ScheduleOptions } from '../schedule/schedule.ts'
import { unknownScheduler } from '../schedule/names.ts'
import { parsePythonJson } from '../schedule/python-json.ts'
import type { Folder } from './folder.ts'
import type { Request } from './family.ts'

const FILE = 'scheduler/scheduler_config.json'

/** The schedulers of networks trained on variance-preserving noise, and on flow matching; the first is taken where a folder's own is none of them. */
export const VARIANCE_PRESERVING: readonly SolverName[] = ['dpm++', 'euler', 'dpm++-sde', 'euler-ancestral']
export const FLOW_MATCHING: readonly SolverName[] = ['flow-euler', 'dpm++', 'dpm++-sde']

/** Classes of diffusers whose networks were trained on noise levels that none of these schedulers makes: they would run, and make noise. */
const OTHER_NOISE = /^(EDM|CMStochastic|KarrasVe|ScoreSdeVe|VQDiffusion)/

/** The schedulers that a folder's configuration can be read as. */
export class Schedulers {
  readonly names: readonly SolverName[]
  /** The folder's own where its class is supported, else the first of `names`. */
  readonly own: SolverName
  /** Why others of the family's are not offered: they cannot have what the configuration asks for. */
  readonly refused = new Map<string, SadaError>()
  private readonly text: string
  /** Fields that a configuration of another class lacks. */
  private readonly additions: Readonly<Record<string, unknown>>

  private constructor(text: string, names: readonly SolverName[], additions: Readonly<Record<string, unknown>>) {
    checkNoise(text, names)
    this.text = text
    this.additions = additions
    const own = ownSolver(text)
    this.names = names.filter((name) => this.isSupported(name))
    this.own = own !== undefined && names.includes(own) ? own : (this.names[0] ?? names[0])
    this.parse(this.own)
  }

  /**
   * Reads the folder's configuration as each of `names`; those that cannot have what it asks for are not offered. Throws INVALID_SCHEDULE
   * where that is the folder's own or all of them, UNSUPPORTED or MODEL_NOT_FOUND.
   */
  static async load(
    folder: Folder,
    names: readonly SolverName[],
    additions: Readonly<Record<string, unknown>> = {},
  ): Promise<Schedulers> {
    return new Schedulers(await folder.text(FILE), names, additions)
  }

  /** The configuration that a request names or brings. Throws UNKNOWN_NAME, INVALID_SCHEDULE or INVALID_ARGUMENT. */
  configOf(scheduler: Request['scheduler']): SchedulerConfig {
    if (typeof scheduler === 'object') return this.configOfCaller(scheduler)
    const name = this.names.find((each) => each === scheduler)
    if (name === undefined) throw this.refused.get(scheduler) ?? unknownScheduler(scheduler, this.names)
    return this.parse(name)
  }

  /** Throws INVALID_ARGUMENT for other noise than the folder's own: the run would make noise. */
  private configOfCaller(fields: object): SchedulerConfig {
    const { config } = parseSchedulerConfig(fields)
    const wanted = isFlowMatching(this.parse(this.own))
    if (isFlowMatching(config) === wanted) return config
    const expected = wanted
      ? 'a configuration of flow matching (of FlowMatchEulerDiscreteScheduler, or with "use_flow_sigmas" and "prediction_type": "flow_prediction")'
      : 'a configuration of variance-preserving noise (not of FlowMatchEulerDiscreteScheduler, and without "use_flow_sigmas")'
    const { _class_name: own } = fields as { readonly _class_name?: unknown }
    const hint = `The network was trained on that noise, as ${FILE} has it; ${this.names.join(', ')} make it.`
    throw invalidArgument('scheduler', expected, inWords(`one of ${show(own)}`), hint)
  }

  private isSupported(name: SolverName): boolean {
    try {
      this.parse(name)
      return true
    } catch (error) {
      if (!(error instanceof SadaError && error.code === 'INVALID_SCHEDULE')) throw error
      this.refused.set(name, error)
      return false
    }
  }

  private parse(name: SolverName): SchedulerConfig {
    const { config } = parseSchedulerConfig(this.text, name)
    if (Object.keys(this.additions).length === 0) return config
    const fields = parsePythonJson(this.text) as object
    const completed =
      name === 'flow-euler'
        ? { shift: this.additions.flow_shift, ...fields }
        : { ...fields, ...this.additions, _class_name: undefined }
    return parseSchedulerConfig(completed, name).config
  }
}

const isFlowMatching = (config: SchedulerConfig): boolean =>
  config.solver === 'flow-euler' || ('useFlowSigmas' in config && config.useFlowSigmas)

/** What a configuration of flow matching lacks to be read as DPM-Solver++. One of DPM-Solver++ or UniPC has its shift by another name. */
export async function flowAdditions(folder: Folder): Promise<Readonly<Record<string, unknown>>> {
  const fields = parsePythonJson(await folder.text(FILE)) as { shift?: unknown; flow_shift?: unknown } | null
  const { shift, flow_shift: own = shift ?? 1 } = fields ?? {}
  return { use_flow_sigmas: true, prediction_type: 'flow_prediction', flow_shift: Number(own) }
}

/**
 * The shift of the noise levels for so many image tokens, where the configuration has it follow them. Of fields that it lacks diffusers'
 * pipelines take defaults, which differ in `maxShift`.
 */
export function shiftFor(config: SchedulerConfig, tokens: number, maxShift: number): number | undefined {
  if (!('useDynamicShifting' in config && config.useDynamicShifting)) return undefined
  const preset = { baseShift: 0.5, maxShift, baseImageSeqLen: 256, maxImageSeqLen: 4096 }
  return dynamicShiftFor({ ...preset, ...config } as FlowEulerConfig, tokens)
}

/** Throws UNSUPPORTED where the folder's own scheduler says that its network was trained on other noise than `names` make. */
function checkNoise(text: string, names: readonly SolverName[]): void {
  const { _class_name: own } = (parsePythonJson(text) ?? {}) as { _class_name?: unknown }
  if (typeof own !== 'string') return
  const isOther = OTHER_NOISE.test(own) || (own.startsWith('FlowMatch') && !names.includes('flow-euler'))
  if (!isOther) return
  const message = `${FILE} is of class "${own}": no scheduler of this model family (${names.join(', ')}) makes the noise levels that such a network was trained on.`
  throw new SadaError('UNSUPPORTED', message, { stage: 'scheduler' })
}

function ownSolver(text: string): SolverName | undefined {
  try {
    return solverFor(parsePythonJson(text) as Record<string, unknown>)
  } catch {
    return undefined
  }
}

/** The part of a schedule from step `from` up to, not including, step `to`: a run that starts from less noise, or ends early. */
export function partOf(schedule: Schedule, from: number, to = schedule.steps): Schedule {
  const { timesteps, sigmas, levels, times, betaAt, orders } = schedule
  return {
    ...schedule,
    steps: to - from,
    timesteps: timesteps.slice(from, to),
    sigmas: sigmas.slice(from, to + 1),
    levels: levels.slice(from, to + 1),
    times: times.slice(from, to + 1),
    betaAt: betaAt.slice(from, to),
    // The first step has no step before it to lean on.
    orders: orders.slice(from, to).map((order, i) => (i === 0 ? 1 : order)),
  }
}

/** The steps that a request asks for: all, the last `strength` of them, or those between `denoisingStart` and `denoisingEnd`. */
export function scheduleFor(config: SchedulerConfig, request: Request, options: ScheduleOptions): Schedule {
  const whole = createSchedule(config, options)
  const { denoisingStart, denoisingEnd } = request
  const count = config.numTrainTimesteps
  const before = (share: number): number => {
    const cutoff = roundHalfEven(count - share * count)
    return whole.timesteps.filter((timestep) => timestep >= cutoff).length
  }
  const from = denoisingStart === undefined ? strengthStart(whole, request) : before(denoisingStart)
  const to = denoisingEnd === undefined ? whole.steps : before(denoisingEnd)
  if (to <= from) {
    const given = request.init === undefined ? 'denoisingEnd' : denoisingStart === undefined ? 'strength' : 'denoisingStart'
    const received = given === 'strength' ? (request.strength ?? defaultStrength(request)) : request[given]
    throw invalidArgument(given, `such that at least one of the ${whole.steps} steps is left`, received)
  }
  return from === 0 && to === whole.steps ? whole : partOf(whole, from, to)
}

/** Of a run from a picture, where it is not given. */
const defaultStrength = ({ mask }: Request): number => (mask === undefined ? 0.8 : 1)

/** diffusers cuts a whole number of steps off; Flux cuts off the steps that are left over. */
function strengthStart({ steps, frame }: Schedule, request: Request): number {
  const { init, strength = defaultStrength(request) } = request
  if (init === undefined) return 0
  const kept = steps * strength
  return frame === 'flow' ? Math.floor(steps - kept) : steps - Math.floor(kept)
}
