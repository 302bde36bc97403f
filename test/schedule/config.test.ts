import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SadaError, type SadaErrorCode } from '../../ts/errors.ts'
import {
  parseSchedulerConfig,
  type DpmppConfig,
  type EulerConfig,
  type FlowEulerConfig,
  type SolverName,
} from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'

function refused(action: () => unknown, code: SadaErrorCode, argument: string, pattern = /./): void {
  assert.throws(action, (error: SadaError) => error.code === code && error.argument === argument && pattern.test(error.message))
}

const dpmpp = (fields: object): DpmppConfig => parseSchedulerConfig(fields, 'dpm++').config as DpmppConfig
const euler = (fields: object): EulerConfig => parseSchedulerConfig(fields, 'euler').config as EulerConfig
const flow = (fields: object): FlowEulerConfig => parseSchedulerConfig(fields, 'flow-euler').config as FlowEulerConfig

test('missing fields take the defaults of diffusers', () => {
  const training = {
    numTrainTimesteps: 1000,
    betaStart: 0.0001,
    betaEnd: 0.02,
    betaSchedule: 'linear',
    trainedBetas: undefined,
    rescaleBetasZeroSnr: false,
  }
  const grid = {
    timestepSpacing: 'linspace',
    stepsOffset: 0,
    finalSigmasType: 'zero',
    useKarrasSigmas: false,
    sigmaMin: undefined,
    sigmaMax: undefined,
  }
  assert.equal(dpmpp({}), {
    solver: 'dpm++',
    ...training,
    ...grid,
    solverOrder: 2,
    solverType: 'midpoint',
    lowerOrderFinal: true,
    eulerAtFinal: false,
    lambdaMinClipped: -Infinity,
    prediction: 'epsilon',
    useFlowSigmas: false,
    flowShift: 1,
    useDynamicShifting: false,
  })
  assert.equal(euler({}), {
    solver: 'euler',
    ...training,
    ...grid,
    prediction: 'epsilon',
    interpolationType: 'linear',
    timestepType: 'discrete',
  })
  assert.equal(flow({}), {
    solver: 'flow-euler',
    prediction: 'flow_prediction',
    numTrainTimesteps: 1000,
    shift: 1,
    useDynamicShifting: false,
    timeShiftType: 'exponential',
    baseShift: 0.5,
    maxShift: 1.15,
    baseImageSeqLen: 256,
    maxImageSeqLen: 4096,
    shiftTerminal: undefined,
    useKarrasSigmas: false,
    sigmaMin: undefined,
    sigmaMax: undefined,
  })
})

test('Python’s None is a missing field', () => {
  assert.equal(dpmpp({ lambda_min_clipped: null, trained_betas: null, use_karras_sigmas: null, variance_type: null }), dpmpp({}))
  assert.equal(flow({ shift_terminal: null, base_shift: null }), flow({}))
  assert.is(flow({ shift_terminal: 0 }).shiftTerminal, undefined)
})

test('the class named in the file decides, the caller overrides it', () => {
  const text = '{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity}'
  assert.is(parseSchedulerConfig(text).config.solver, 'dpm++')
  assert.is(parseSchedulerConfig(text, 'euler').config.solver, 'euler')
  assert.is(parseSchedulerConfig({ _class_name: 'EulerDiscreteScheduler' }).config.solver, 'euler')
  assert.is(parseSchedulerConfig({ _class_name: 'FlowMatchEulerDiscreteScheduler' }).config.solver, 'flow-euler')
})

test('another class, or none, needs a target', () => {
  refused(
    () => parseSchedulerConfig({ _class_name: 'DDIMScheduler' }),
    'INVALID_ARGUMENT',
    'scheduler',
    /"DDIMScheduler".*"_class_name".*"DPMSolverMultistepScheduler".*"EulerDiscreteScheduler"/,
  )
  refused(() => parseSchedulerConfig({}), 'INVALID_ARGUMENT', 'scheduler', /names no scheduler class/)
  refused(() => parseSchedulerConfig({}, 'ddim' as SolverName), 'INVALID_ARGUMENT', 'as')
})

test('text is Python’s JSON, and must hold an object', () => {
  assert.is(dpmpp(JSON.parse('{"lambda_min_clipped": -5.1}') as object).lambdaMinClipped, -5.1)
  for (const text of ['[]', '1', 'null', '{"a": }', ''])
    assert.throws(() => parseSchedulerConfig(text, 'euler'), /scheduler_config\.json/)
  assert.throws(
    () => parseSchedulerConfig(null as unknown as object, 'euler'),
    (error: SadaError) => error.code === 'INVALID_SCHEDULE',
  )
})

test('fields that a class shares with another carry over, the rest says nothing', () => {
  const pndm = {
    _class_name: 'PNDMScheduler',
    _diffusers_version: '0.6.0',
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: 'scaled_linear',
    num_train_timesteps: 1000,
    set_alpha_to_one: false,
    skip_prk_steps: true,
    steps_offset: 1,
    trained_betas: null,
    clip_sample: false,
  }
  const { config, warnings } = parseSchedulerConfig(pndm, 'dpm++')
  assert.equal(config, dpmpp({ beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', steps_offset: 1 }))
  assert.equal(warnings, [])
  assert.is(
    euler({ _class_name: 'DPMSolverMultistepScheduler', solver_order: 3, thresholding: true }).solver,
    'euler',
    'nothing that Euler knows',
  )
})

test('fields left at their defaults by the saved scheduler take the target’s', () => {
  const leading = { _class_name: 'PNDMScheduler', timestep_spacing: 'leading' }
  assert.is(dpmpp(leading).timestepSpacing, 'leading')
  assert.is(dpmpp({ ...leading, _use_default_values: ['timestep_spacing'] }).timestepSpacing, 'linspace')
})

test('names that diffusers maps: deis, logrho, bh1, bh2, original_sample', () => {
  assert.is(dpmpp({ algorithm_type: 'deis', solver_type: 'logrho' }).solverType, 'midpoint')
  for (const solver_type of ['bh1', 'bh2', 'midpoint']) assert.is(dpmpp({ solver_type }).solverType, 'midpoint')
  assert.is(dpmpp({ solver_type: 'heun' }).solverType, 'heun')
  assert.is(euler({ prediction_type: 'original_sample' }).prediction, 'sample')
})

test('unknown fields are warned about, with the nearest known name', () => {
  const { config, warnings } = parseSchedulerConfig({ predicton_type: 'v_prediction', my_own: 1, _private: 2 }, 'euler')
  assert.is(config.prediction, 'epsilon')
  assert.is(warnings.length, 2)
  assert.match(warnings[0], /"predicton_type".*Did you mean "prediction_type"\?/)
  assert.match(warnings[1], /"my_own" is unknown and has no effect\.$/)
})

const unsupported: readonly (readonly [SolverName, string, unknown, RegExp])[] = [
  ['dpm++', 'algorithm_type', 'dpmsolver', /"dpmsolver".*"dpmsolver\+\+", "sde-dpmsolver\+\+"/],
  ['dpm++-sde', 'algorithm_type', 'sde-dpmsolver', /"sde-dpmsolver".*"dpmsolver\+\+"/],
  ['dpm++', 'solver_order', 3, /is 3, which is not supported\. Supported: 1, 2/],
  ['dpm++', 'solver_type', 'rk4', /"midpoint", "heun"/],
  ['dpm++', 'thresholding', true, /is true.*Supported: false/],
  ['dpm++', 'use_exponential_sigmas', true, /./],
  ['dpm++', 'use_beta_sigmas', true, /./],
  ['dpm++', 'use_lu_lambdas', true, /./],
  ['dpm++', 'variance_type', 'learned_range', /./],
  ['dpm++', 'prediction_type', 'flow_prediction', /use_flow_sigmas/],
  ['dpm++', 'beta_schedule', 'laplace', /"linear", "scaled_linear", "squaredcos_cap_v2"/],
  ['euler', 'prediction_type', 'flow_prediction', /"epsilon", "v_prediction", "sample"/],
  ['euler', 'interpolation_type', 'cubic', /"linear", "log_linear"/],
  ['euler', 'timestep_spacing', 'karras', /"linspace", "leading", "trailing"/],
  ['euler', 'final_sigmas_type', 'one', /"zero", "sigma_min"/],
  ['euler', 'use_exponential_sigmas', true, /./],
  ['flow-euler', 'stochastic_sampling', true, /./],
  ['flow-euler', 'invert_sigmas', true, /./],
  ['flow-euler', 'use_beta_sigmas', true, /./],
  ['flow-euler', 'time_shift_type', 'cosine', /"exponential", "linear"/],
]

for (const [solver, field, value, pattern] of unsupported) {
  test(`${solver}: ${field} ${String(value)} is refused by name, with what is supported`, () => {
    refused(() => parseSchedulerConfig({ [field]: value }, solver), 'INVALID_SCHEDULE', `scheduler.${field}`, pattern)
  })
}

test('DPM++ with flow levels shifts them by resolution exponentially alone, as diffusers asserts', () => {
  const shifting = { use_flow_sigmas: true, use_dynamic_shifting: true, prediction_type: 'flow_prediction' }
  const read = (time_shift_type: string) => () => parseSchedulerConfig({ ...shifting, time_shift_type }, 'dpm++')
  refused(read('linear'), 'INVALID_SCHEDULE', 'scheduler.time_shift_type', /"linear".*"exponential"/)
  read('exponential')()
})

test('a configuration is read as stochastic where it says so, and as either kind by name', () => {
  const solverOf = (given: object, as?: SolverName): SolverName => parseSchedulerConfig(given, as).config.solver
  const sde = { _class_name: 'DPMSolverMultistepScheduler', algorithm_type: 'sde-dpmsolver++' }
  assert.is(solverOf(sde), 'dpm++-sde')
  assert.is(solverOf({ ...sde, algorithm_type: 'dpmsolver++' }), 'dpm++')
  assert.is(solverOf(sde, 'dpm++'), 'dpm++')
  assert.is(solverOf({ _class_name: 'DPMSolverMultistepScheduler' }, 'dpm++-sde'), 'dpm++-sde')
  assert.is(solverOf({ _class_name: 'EulerAncestralDiscreteScheduler' }), 'euler-ancestral')
  assert.is(solverOf({ _class_name: 'DDIMScheduler' }, 'euler-ancestral'), 'euler-ancestral')
  const { config } = parseSchedulerConfig({ _class_name: 'EulerAncestralDiscreteScheduler' })
  refused(
    () => createSchedule(config, { sigmas: [2, 1, 0] }),
    'INVALID_ARGUMENT',
    'sigmas',
    /EulerDiscreteScheduler takes custom/,
  )
})

test('options that are switched off, or that another option makes idle, are no reason to refuse', () => {
  const idle = {
    thresholding: false,
    sample_max_value: 99,
    dynamic_thresholding_ratio: 2,
    use_exponential_sigmas: false,
    use_beta_sigmas: null,
    variance_type: 'fixed_small',
    time_shift_type: 'linear',
    use_dynamic_shifting: true,
    invert_sigmas: true,
    stochastic_sampling: true,
  }
  assert.equal(parseSchedulerConfig(idle, 'dpm++').warnings, [])
})

const malformed: readonly (readonly [SolverName, string, unknown])[] = [
  ['dpm++', 'num_train_timesteps', 1],
  ['dpm++', 'num_train_timesteps', 1e9],
  ['dpm++', 'num_train_timesteps', 10.5],
  ['dpm++', 'beta_start', NaN],
  ['dpm++', 'beta_start', 0],
  ['dpm++', 'beta_end', 1],
  ['dpm++', 'beta_end', '0.02'],
  ['dpm++', 'steps_offset', -1],
  ['dpm++', 'lambda_min_clipped', NaN],
  ['dpm++', 'flow_shift', 0],
  ['dpm++', 'lower_order_final', 1],
  ['euler', 'trained_betas', [0.1, 0.2]],
  ['euler', 'trained_betas', 'linear'],
  ['euler', 'sigma_min', -1],
  ['euler', 'sigma_max', Infinity],
  ['flow-euler', 'shift', 0],
  ['flow-euler', 'shift', Infinity],
  ['flow-euler', 'shift_terminal', 1],
  ['flow-euler', 'max_shift', NaN],
  ['flow-euler', 'use_karras_sigmas', 'yes'],
]

for (const [solver, field, value] of malformed) {
  test(`${solver}: ${field} ${JSON.stringify(value)} is refused by name`, () => {
    refused(() => parseSchedulerConfig({ [field]: value }, solver), 'INVALID_SCHEDULE', `scheduler.${field}`, /expected .* to be/)
  })
}

test('trained betas must be as many as training timesteps', () => {
  const trained_betas = Array.from({ length: 10 }, (_, n) => 0.01 * (n + 1))
  assert.equal(euler({ trained_betas, num_train_timesteps: 10 }).trainedBetas, trained_betas)
  refused(() => euler({ trained_betas }), 'INVALID_SCHEDULE', 'scheduler.trained_betas', /1000 numbers/)
  refused(
    () => euler({ trained_betas: [...trained_betas.slice(1), 1], num_train_timesteps: 10 }),
    'INVALID_SCHEDULE',
    'scheduler.trained_betas',
  )
})

test('a shift that follows the number of tokens needs two of them; a fixed one reads neither', () => {
  const read = (fields: object) => () => parseSchedulerConfig({ use_dynamic_shifting: true, ...fields }, 'flow-euler')
  for (const fields of [
    { base_image_seq_len: 4096 },
    { max_image_seq_len: 256 },
    { base_image_seq_len: 1, max_image_seq_len: 1 },
  ]) {
    refused(read(fields), 'INVALID_SCHEDULE', 'scheduler.max_image_seq_len', /another number than "base_image_seq_len"/)
    read({ ...fields, use_dynamic_shifting: false })()
  }
  read({ base_image_seq_len: 4096, max_image_seq_len: 256 })()
})

test.run()
