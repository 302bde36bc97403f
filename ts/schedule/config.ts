import { invalidArgument, SadaError, show } from '../errors.ts'
import { Fields, invalidSchedule, SCHEDULER_FILE } from './fields.ts'
import { classNames, warningsFor } from './known-fields.ts'
import { parsePythonJson } from './python-json.ts'

export type SolverName = keyof typeof classNames
/** ε: the noise. v = α·ε − σ·x0. sample: x0. flow: u = n − x0. */
export type PredictionType = 'epsilon' | 'v_prediction' | 'sample' | 'flow_prediction'

/** Whether a solver's steps add fresh noise. */
export const isStochastic = (solver: SolverName): boolean => solver === 'dpm++-sde' || solver === 'euler-ancestral'

export const predictionTypes: readonly PredictionType[] = ['epsilon', 'v_prediction', 'sample', 'flow_prediction']

/** The noise schedule that the network was trained on. */
export interface TrainingConfig {
  readonly numTrainTimesteps: number
  readonly betaStart: number
  readonly betaEnd: number
  readonly betaSchedule: 'linear' | 'scaled_linear' | 'squaredcos_cap_v2'
  /** β_n as given, instead of a named schedule. */
  readonly trainedBetas?: readonly number[]
  readonly rescaleBetasZeroSnr: boolean
}

interface GridConfig {
  readonly timestepSpacing: 'linspace' | 'leading' | 'trailing'
  readonly stepsOffset: number
  readonly finalSigmasType: 'zero' | 'sigma_min'
  readonly useKarrasSigmas: boolean
  /** The ends of the Karras levels, where they are not the schedule's own. */
  readonly sigmaMin?: number
  readonly sigmaMax?: number
}

/** DPMSolverMultistepScheduler: DPM-Solver++ (2M), or its SDE variant. */
export interface DpmppConfig extends TrainingConfig, GridConfig {
  readonly solver: 'dpm++' | 'dpm++-sde'
  readonly prediction: PredictionType
  readonly solverOrder: 1 | 2
  readonly solverType: 'midpoint' | 'heun'
  readonly lowerOrderFinal: boolean
  readonly eulerAtFinal: boolean
  readonly lambdaMinClipped: number
  readonly useFlowSigmas: boolean
  readonly flowShift: number
  readonly useDynamicShifting: boolean
}

/** EulerDiscreteScheduler, or EulerAncestralDiscreteScheduler, which has fewer choices. */
export interface EulerConfig extends TrainingConfig, GridConfig {
  readonly solver: 'euler' | 'euler-ancestral'
  readonly prediction: PredictionType
  readonly interpolationType: 'linear' | 'log_linear'
  readonly timestepType: 'discrete' | 'continuous'
}

/** FlowMatchEulerDiscreteScheduler. */
export interface FlowEulerConfig {
  readonly solver: 'flow-euler'
  readonly prediction: PredictionType
  readonly numTrainTimesteps: number
  readonly shift: number
  readonly useDynamicShifting: boolean
  readonly timeShiftType: 'exponential' | 'linear'
  readonly baseShift: number
  readonly maxShift: number
  readonly baseImageSeqLen: number
  readonly maxImageSeqLen: number
  readonly shiftTerminal?: number
  readonly useKarrasSigmas: boolean
  readonly sigmaMin?: number
  readonly sigmaMax?: number
}

export type SchedulerConfig = DpmppConfig | EulerConfig | FlowEulerConfig

export interface ParsedConfig {
  readonly config: SchedulerConfig
  /** One sentence for each field that is not understood and has no effect. */
  readonly warnings: string[]
}

/**
 * Reads a diffusers `scheduler_config.json`, as text (Python's JSON) or parsed. The class named in the file (and of DPM-Solver++ the
 * "algorithm_type") decides which solver it configures unless `as` does; a configuration of another class is converted as diffusers' `from_config` would:
 * shared fields carry over, fields listed in `_use_default_values` and missing ones take the target's defaults.
 */
export function parseSchedulerConfig(input: string | object, as?: SolverName): ParsedConfig {
  const values = recordOf(input)
  const solver = solverFor(values, as)
  const fields = new Fields(withoutDefaults(values))
  return { config: readers[solver](fields), warnings: warningsFor(fields.values, solver) }
}

/** The "algorithm_type" of DPM-Solver++'s SDE variant. */
const SDE = 'sde-dpmsolver++'

function recordOf(input: string | object): Readonly<Record<string, unknown>> {
  const isText = typeof input === 'string'
  const value = isText && /^\ufeff?\s*[[{]/.test(input) ? parsePythonJson(input) : input
  const isBytes = ArrayBuffer.isView(value)
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !isBytes) return value as Record<string, unknown>
  const received = isBytes ? "bytes; read the file with 'utf8'" : show(input)
  throw invalidSchedule(`${SCHEDULER_FILE}: expected an object of fields, or the file's text, received ${received}.`)
}

export function solverFor(values: Readonly<Record<string, unknown>>, as?: SolverName): SolverName {
  const solvers = Object.keys(classNames) as SolverName[]
  if (as !== undefined) {
    if (solvers.includes(as)) return as
    throw invalidArgument('as', `one of ${solvers.join(', ')}`, as)
  }
  const name = values._class_name
  if (name === classNames['dpm++']) return values.algorithm_type === SDE ? 'dpm++-sde' : 'dpm++'
  const own = solvers.find((solver) => classNames[solver] === name)
  if (own !== undefined) return own
  const subject = name === undefined ? 'names no scheduler class' : `is for ${show(name)}`
  throw new SadaError(
    'INVALID_ARGUMENT',
    `This scheduler configuration ${subject}. Set its "_class_name" to ` +
      `${[...new Set(Object.values(classNames))].map((each) => `"${each}"`).join(' or ')}: its other fields then carry over as diffusers' from_config has it.`,
    { argument: 'scheduler' },
  )
}

/** diffusers lists in `_use_default_values` what the saved scheduler had left at its defaults: those are not carried over. */
function withoutDefaults(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const defaults = Array.isArray(values._use_default_values) ? (values._use_default_values as unknown[]) : []
  return Object.fromEntries(Object.entries(values).filter(([name]) => !defaults.includes(name)))
}

const readers: Readonly<Record<SolverName, (fields: Fields) => SchedulerConfig>> = {
  'dpm++': (fields) => readDpmpp(fields, 'dpm++'),
  'dpm++-sde': (fields) => readDpmpp(fields, 'dpm++-sde'),
  euler: readEuler,
  'euler-ancestral': readEulerAncestral,
  'flow-euler': readFlow,
}

const positive = (value: number): boolean => Number.isFinite(value) && value > 0
const unitInterior = (value: number): boolean => value > 0 && value < 1

function readTraining(fields: Fields): TrainingConfig {
  const trainedBetas = readTrainedBetas(fields)
  return {
    numTrainTimesteps: trainedBetas?.length ?? fields.integer('num_train_timesteps', 1000, 2, 100_000),
    betaStart: fields.number('beta_start', 0.0001, 'a number between 0 and 1', unitInterior),
    betaEnd: fields.number('beta_end', 0.02, 'a number between 0 and 1', unitInterior),
    betaSchedule: fields.choice('beta_schedule', 'linear', {
      linear: 'linear',
      scaled_linear: 'scaled_linear',
      squaredcos_cap_v2: 'squaredcos_cap_v2',
    }),
    trainedBetas,
    rescaleBetasZeroSnr: fields.flag('rescale_betas_zero_snr'),
  }
}

function readTrainedBetas(fields: Fields): readonly number[] | undefined {
  if (!fields.has('trained_betas')) return undefined
  const betas = fields.values.trained_betas
  const count = fields.integer('num_train_timesteps', 1000, 2, 100_000)
  if (Array.isArray(betas) && betas.length === count && betas.every((beta) => typeof beta === 'number' && unitInterior(beta))) {
    return betas as number[]
  }
  throw fields.invalid('trained_betas', `${count} numbers between 0 and 1, as many as "num_train_timesteps"`)
}

function readGrid(fields: Fields): GridConfig {
  fields.refuseFlags(['use_exponential_sigmas', 'use_beta_sigmas'])
  return {
    ...readSpacing(fields),
    finalSigmasType: fields.choice('final_sigmas_type', 'zero', { zero: 'zero', sigma_min: 'sigma_min' }),
    useKarrasSigmas: fields.flag('use_karras_sigmas'),
    ...readEnds(fields),
  }
}

function readSpacing(fields: Fields): Pick<GridConfig, 'timestepSpacing' | 'stepsOffset'> {
  const timestepSpacing = fields.choice<GridConfig['timestepSpacing']>('timestep_spacing', 'linspace', {
    linspace: 'linspace',
    leading: 'leading',
    trailing: 'trailing',
  })
  return { timestepSpacing, stepsOffset: fields.integer('steps_offset', 0, 0, 100_000) }
}

function readEnds(fields: Fields): Pick<GridConfig, 'sigmaMin' | 'sigmaMax'> {
  const sigmaMin = fields.optional('sigma_min', 'a number above 0', positive)
  const sigmaMax = fields.optional('sigma_max', 'a number above 0', positive)
  return { sigmaMin, sigmaMax }
}

function readDpmpp(fields: Fields, solver: DpmppConfig['solver']): DpmppConfig {
  fields.refuseFlags(['thresholding', 'use_lu_lambdas'])
  // "deis", "logrho", "bh1" and "bh2" come with converted DEIS and UniPC configurations; diffusers reads them like this, but refuses "deis" with a last level of 0.
  fields.choice('algorithm_type', 'dpmsolver++', { 'dpmsolver++': true, [SDE]: true, deis: true })
  if (fields.values.variance_type === 'learned' || fields.values.variance_type === 'learned_range') {
    throw fields.unsupported('variance_type', 'null, "fixed_small", "fixed_large"')
  }
  return {
    solver,
    ...readTraining(fields),
    ...readGrid(fields),
    solverOrder: fields.choice('solver_order', '2', { 1: 1, 2: 2 }),
    solverType: fields.choice('solver_type', 'midpoint', {
      midpoint: 'midpoint',
      heun: 'heun',
      logrho: 'midpoint',
      bh1: 'midpoint',
      bh2: 'midpoint',
    }),
    lowerOrderFinal: fields.flag('lower_order_final', true),
    eulerAtFinal: fields.flag('euler_at_final'),
    lambdaMinClipped: fields.number('lambda_min_clipped', -Infinity, 'a number', (value) => !Number.isNaN(value)),
    ...readDpmppFlow(fields),
  }
}

function readDpmppFlow(fields: Fields): Pick<DpmppConfig, 'prediction' | 'useFlowSigmas' | 'flowShift' | 'useDynamicShifting'> {
  const useFlowSigmas = fields.flag('use_flow_sigmas')
  const useDynamicShifting = fields.flag('use_dynamic_shifting')
  if (useFlowSigmas && useDynamicShifting) fields.choice('time_shift_type', 'exponential', { exponential: true })
  const [known, hint]: [Record<string, PredictionType>, string] = useFlowSigmas
    ? [{ flow_prediction: 'flow_prediction', epsilon: 'epsilon', sample: 'sample' }, '(This configuration has use_flow_sigmas.)']
    : [{ epsilon: 'epsilon', v_prediction: 'v_prediction', sample: 'sample' }, '("flow_prediction" goes with use_flow_sigmas.)']
  const prediction = fields.choice('prediction_type', 'epsilon', known, hint)
  return {
    prediction,
    useFlowSigmas,
    flowShift: fields.number('flow_shift', 1, 'a number above 0', positive),
    useDynamicShifting,
  }
}

function readEuler(fields: Fields): EulerConfig {
  return {
    solver: 'euler',
    ...readTraining(fields),
    ...readGrid(fields),
    prediction: readEulerPrediction(fields),
    interpolationType: fields.choice('interpolation_type', 'linear', { linear: 'linear', log_linear: 'log_linear' }),
    timestepType: fields.choice('timestep_type', 'discrete', { discrete: 'discrete', continuous: 'continuous' }),
  }
}

function readEulerPrediction(fields: Fields): PredictionType {
  return fields.choice<PredictionType>('prediction_type', 'epsilon', {
    epsilon: 'epsilon',
    v_prediction: 'v_prediction',
    sample: 'sample',
    original_sample: 'sample',
  })
}

function readEulerAncestral(fields: Fields): EulerConfig {
  return {
    solver: 'euler-ancestral',
    ...readTraining(fields),
    ...readSpacing(fields),
    finalSigmasType: 'zero',
    useKarrasSigmas: false,
    prediction: readEulerPrediction(fields),
    interpolationType: 'linear',
    timestepType: 'discrete',
  }
}

function readFlow(fields: Fields): FlowEulerConfig {
  fields.refuseFlags(['use_exponential_sigmas', 'use_beta_sigmas', 'invert_sigmas', 'stochastic_sampling'])
  const terminal = fields.optional('shift_terminal', 'a number from 0 to 1', (value) => value >= 0 && value < 1)
  const useDynamicShifting = fields.flag('use_dynamic_shifting')
  const baseImageSeqLen = fields.integer('base_image_seq_len', 256, 1, 1 << 30)
  const maxImageSeqLen = fields.integer('max_image_seq_len', 4096, 1, 1 << 30)
  // The shift is a line through two points.
  if (useDynamicShifting && baseImageSeqLen === maxImageSeqLen)
    throw fields.invalid('max_image_seq_len', `another number than "base_image_seq_len", ${baseImageSeqLen}`)
  return {
    solver: 'flow-euler',
    prediction: 'flow_prediction',
    numTrainTimesteps: fields.integer('num_train_timesteps', 1000, 2, 100_000),
    shift: fields.number('shift', 1, 'a number above 0', positive),
    useDynamicShifting,
    timeShiftType: fields.choice('time_shift_type', 'exponential', { exponential: 'exponential', linear: 'linear' }),
    baseShift: fields.number('base_shift', 0.5),
    maxShift: fields.number('max_shift', 1.15),
    baseImageSeqLen,
    maxImageSeqLen,
    shiftTerminal: terminal === 0 ? undefined : terminal,
    useKarrasSigmas: fields.flag('use_karras_sigmas'),
    ...readEnds(fields),
  }
}
