import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SadaError, type SadaErrorCode } from '../../ts/errors.ts'
import type { FlowEulerConfig, SolverName } from '../../ts/schedule/config.ts'
import { dynamicShiftFor } from '../../ts/schedule/flow-grid.ts'
import { createSchedule, type ScheduleOptions } from '../../ts/schedule/schedule.ts'
import { absoluteError, configOf, relativeError } from '../support/schedulers.ts'

const solvers: readonly SolverName[] = ['dpm++', 'euler', 'flow-euler']
const lengths = [1, 2, 3, 14, 15, 16, 50, 999, 1000]

/** Throws with `code`, naming `argument` where given, and a message like `pattern`. */
function refused(action: () => unknown, code: SadaErrorCode, argument?: string, pattern = /./): void {
  assert.throws(
    action,
    (error: SadaError) =>
      error.code === code && (argument === undefined || error.argument === argument) && pattern.test(error.message),
  )
}

test('T steps have T timesteps and T + 1 levels and times, from noise to the clean sample, without a rise', () => {
  for (const solver of solvers) {
    for (const steps of lengths) {
      const { timesteps, sigmas, levels, times, orders, ...schedule } = createSchedule(configOf(solver), { steps })
      assert.equal(
        [schedule.steps, timesteps.length, sigmas.length, levels.length, times.length, orders.length],
        [steps, steps, steps + 1, steps + 1, steps + 1, steps],
      )
      assert.ok(sigmas.every((sigma, i) => sigma >= 0 && (i === 0 || sigma <= sigmas[i - 1])))
      assert.ok(times.every((time, i) => i === 0 || time <= times[i - 1]))
      assert.equal([times[steps], levels[steps]], [0, { alpha: 1, sigma: 0 }])
    }
  }
})

test('levels lie on the curve of their frame', () => {
  for (const solver of solvers) {
    const { levels, frame } = createSchedule(configOf(solver), { steps: 50 })
    const one = levels.map(({ alpha, sigma }) => (frame === 'flow' ? alpha + sigma : alpha * alpha + sigma * sigma))
    assert.ok(one.every((value) => Math.abs(value - 1) < 1e-15))
  }
})

test('trailing spacing gives as many steps as asked for, down to the last level, at every length', () => {
  for (const solver of ['dpm++', 'euler'] as const) {
    const config = configOf(solver, { timestep_spacing: 'trailing' })
    for (let steps = 1; steps <= 1000; steps++) {
      const { steps: made, sigmas } = createSchedule(config, { steps })
      assert.equal([made, sigmas.length, sigmas[steps]], [steps, steps + 1, 0])
    }
  }
})

test('Karras levels end on the lowest training level where rounding gives "trailing" a timestep −1', () => {
  const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' }
  const config = configOf('euler', { ...sd, timestep_spacing: 'trailing', use_karras_sigmas: true })
  const { sigmas, timesteps } = createSchedule(config, { steps: 61 })
  // EulerDiscreteScheduler of diffusers 0.42.1, set_timesteps(61)
  const expected = [14.6146469, 13.640173, 1.27410531, 0.0291675348, 0]
  assert.ok(
    relativeError(
      [0, 1, 30, 60, 61].map((i) => sigmas[i]),
      expected,
    ) <= 5e-7,
  )
  assert.ok(absoluteError([timesteps[0], timesteps[30], timesteps[60]], [999, 427.489777, 0]) <= 1.2e-4)
})

test('the middle of an odd number of betas is counted from the upper end, as torch.linspace does', () => {
  const config = configOf('dpm++', { num_train_timesteps: 7, beta_start: 0.001, beta_end: 0.05 })
  // float(torch.linspace(0.001, 0.05, 7)[3]), torch 2.13; counted from the lower end it is 0.02550000138580799.
  assert.is(createSchedule(config, { steps: 1 }).trainingBetas[3], 0.025499999523162842)
})

test('a schedule does not depend on earlier ones', () => {
  const config = configOf('dpm++')
  const first = createSchedule(config, { steps: 20 })
  createSchedule(config, { steps: 7 })
  assert.equal(createSchedule(config, { steps: 20 }), first)
})

test('DPM++ β(t) is the training schedule’s, per unit of t', () => {
  const { betaAt, timesteps, trainingBetas } = createSchedule(configOf('dpm++'), { steps: 20 })
  assert.equal(
    betaAt,
    timesteps.map((t) => 1000 * trainingBetas[t]),
  )
  // "leading" timesteps with an offset may lie beyond the table.
  const beyond = createSchedule(configOf('dpm++', { timestep_spacing: 'leading', steps_offset: 600 }), { steps: 2 })
  assert.equal([beyond.timesteps, beyond.betaAt], [[1266, 933], [999, 933].map((t) => 1000 * trainingBetas[t])])
})

test('lambda_min_clipped 0 leaves the training timesteps with at least as much signal as noise', () => {
  const { timesteps, alphasCumprod } = createSchedule(configOf('dpm++', { lambda_min_clipped: 0 }), { steps: 10 })
  // λ = ln(α/σ) ≥ 0 where ᾱ = α² ≥ ½.
  assert.is(timesteps[0], alphasCumprod.filter((bar) => bar >= 0.5).length - 1)
})

test('orders: first on step 0, and on the last step where diffusers says so', () => {
  const lastOrder = (fields: object, steps: number): number =>
    createSchedule(configOf('dpm++', fields), { steps }).orders[steps - 1]
  const open = { final_sigmas_type: 'sigma_min' }
  assert.is(lastOrder({}, 20), 1, 'final level 0')
  assert.equal([lastOrder(open, 14), lastOrder(open, 15)], [1, 2], 'lower_order_final counts below 15 steps')
  assert.is(lastOrder({ ...open, lower_order_final: false }, 14), 2)
  assert.is(lastOrder({ ...open, euler_at_final: true }, 20), 1)
  assert.equal(createSchedule(configOf('dpm++'), { steps: 5 }).orders, [1, 2, 2, 2, 1])
  assert.equal(createSchedule(configOf('dpm++', { solver_order: 1 }), { steps: 3 }).orders, [1, 1, 1])
})

test('a prediction that the configuration cannot name is the caller’s to give', () => {
  assert.is(createSchedule(configOf('flow-euler'), { steps: 4 }).prediction, 'flow_prediction')
  assert.is(createSchedule(configOf('flow-euler'), { steps: 4, prediction: 'sample' }).prediction, 'sample')
  refused(() => createSchedule(configOf('euler'), { steps: 4, prediction: 'x0' as 'sample' }), 'INVALID_ARGUMENT', 'prediction')
})

test('steps outside 1 … 1000 are refused', () => {
  for (const solver of solvers) {
    for (const steps of [0, -1, 1001, 1.5, NaN, Infinity, '20' as unknown as number, null as unknown as number]) {
      refused(() => createSchedule(configOf(solver), { steps }), 'INVALID_ARGUMENT', 'steps', /from 1 to 1000/)
    }
    refused(() => createSchedule(configOf(solver), {}), 'INVALID_ARGUMENT', 'steps')
  }
})

test('custom levels must be finite, not negative, and never rise', () => {
  const broken = [
    [1, NaN, 0.5],
    [1, -0.1],
    [0.5, 1],
    [1, 0.5, 0.6, 0],
    [Infinity, 1, 0],
    [0, 0],
    ['1' as unknown as number, 0],
  ]
  for (const sigmas of broken) {
    refused(() => createSchedule(configOf('euler'), { sigmas }), 'INVALID_SCHEDULE', 'sigmas', /sigmas\[\d\]/)
    refused(() => createSchedule(configOf('flow-euler'), { sigmas }), 'INVALID_SCHEDULE', 'sigmas')
  }
  refused(() => createSchedule(configOf('flow-euler'), { sigmas: [1.5, 0.5] }), 'INVALID_SCHEDULE', 'sigmas', /at most 1/)
  refused(() => createSchedule(configOf('euler'), { sigmas: [1, 1e-60, 0] }), 'INVALID_SCHEDULE')
})

test('custom levels: Euler takes the last one along, flow matching adds a 0; repeats are allowed', () => {
  assert.equal(createSchedule(configOf('euler'), { sigmas: [8, 2, 2, 0.5] }).sigmas, [8, 2, 2, 0.5])
  assert.equal(
    createSchedule(configOf('flow-euler'), { sigmas: new Float32Array([1, 0.5, 0.5]) as unknown as number[] }).sigmas,
    [1, 0.5, 0.5, 0],
  )
})

test('a level beyond those of the training schedule has the timestep of the nearest of them', () => {
  assert.equal(createSchedule(configOf('euler'), { sigmas: [1000, 1e-4, 0] }).timesteps, [999, 0])
})

test('the number of custom levels must fit', () => {
  const tooMany = Array.from({ length: 1001 }, (_, i) => 1 - i / 2000)
  const wrong: [SolverName, ScheduleOptions, string][] = [
    ['euler', { sigmas: [] }, 'sigmas'],
    ['euler', { sigmas: [1] }, 'sigmas'],
    ['flow-euler', { sigmas: tooMany }, 'sigmas'],
    ['euler', { sigmas: 'high' as unknown as number[] }, 'sigmas'],
    ['euler', { sigmas: [2, 1, 0], steps: 3 }, 'steps'],
    ['flow-euler', { sigmas: [1, 0.5], steps: 3 }, 'steps'],
    ['dpm++', { sigmas: [2, 1, 0] }, 'sigmas'],
  ]
  for (const [solver, options, argument] of wrong)
    refused(() => createSchedule(configOf(solver), options), 'INVALID_ARGUMENT', argument)
  assert.is(createSchedule(configOf('euler'), { sigmas: [2, 1, 0], steps: 2 }).steps, 2)
  assert.equal(createSchedule(configOf('flow-euler'), { sigmas: [1] }).sigmas, [1, 0])
  assert.is(createSchedule(configOf('flow-euler'), { sigmas: tooMany.slice(0, 1000) }).steps, 1000)
  assert.is(createSchedule(configOf('euler'), { sigmas: tooMany }).steps, 1000)
})

test('mu goes with dynamic shifting', () => {
  const shifting = configOf('flow-euler', { use_dynamic_shifting: true })
  refused(() => createSchedule(shifting, { steps: 4 }), 'INVALID_ARGUMENT', 'mu', /use_dynamic_shifting/)
  refused(() => createSchedule(shifting, { steps: 4, mu: NaN }), 'INVALID_ARGUMENT', 'mu')
  refused(() => createSchedule(configOf('dpm++'), { steps: 4, mu: 1 }), 'INVALID_ARGUMENT', 'mu')
  refused(() => createSchedule(configOf('euler'), { steps: 4, mu: 1 }), 'INVALID_ARGUMENT', 'mu')
  assert.equal(
    createSchedule(configOf('flow-euler'), { steps: 4, mu: 1 }),
    createSchedule(configOf('flow-euler'), { steps: 4 }),
    'diffusers ignores it',
  )
})

test('the shift of Flux grows with the number of image tokens', () => {
  const config = configOf('flow-euler', { use_dynamic_shifting: true }) as FlowEulerConfig
  assert.is(dynamicShiftFor(config, 256), 0.5)
  assert.ok(Math.abs(dynamicShiftFor(config, 4096) - 1.15) < 1e-12)
})

test('a fixed flow shift acts twice on spaced levels and once on custom ones, as in diffusers', () => {
  const config = configOf('flow-euler', { shift: 3 })
  const shift = (sigma: number): number => (3 * sigma) / (1 + 2 * sigma)
  const spaced = createSchedule(config, { steps: 2 }).sigmas
  assert.ok(Math.abs(spaced[1] - shift(shift(0.001))) < 1e-8)
  assert.ok(Math.abs(createSchedule(config, { sigmas: [1, 0.5] }).sigmas[1] - shift(0.5)) < 1e-7)
})

test('log_linear never reaches 0: the run ends on the lowest training level', () => {
  const { sigmas } = createSchedule(configOf('euler', { interpolation_type: 'log_linear' }), { steps: 10 })
  assert.ok(Math.abs(sigmas[10] - 0.010001) < 1e-6)
})

test('log_linear with Karras levels may end an ulp below the lowest training level', () => {
  const curves = { beta_schedule: 'squaredcos_cap_v2', use_karras_sigmas: true, interpolation_type: 'log_linear' }
  const { sigmas } = createSchedule(configOf('euler', { ...curves, final_sigmas_type: 'sigma_min' }), { steps: 7 })
  // EulerDiscreteScheduler of diffusers 0.42.1; the tolerance is that of log_linear levels.
  const expected = [20291.3047, 6666.47559, 1773.39465, 345.885376, 40.8431587, 1.85829794, 0.00642710738, 0.00642710878]
  assert.ok(relativeError(sigmas, expected) <= 1e-6)
})

test('what diffusers makes NaN of is refused, naming the field', () => {
  // Between levels that rise there is no noise to add: diffusers takes the root of a negative number.
  const rising = { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }
  for (const solver of ['euler-ancestral', 'dpm++-sde'] as const)
    refused(
      () => createSchedule(configOf(solver, rising), { steps: 1000 }),
      'INVALID_SCHEDULE',
      'scheduler.rescale_betas_zero_snr',
      /rises/,
    )
  // The logarithm of α = 1 − σ.
  const flow = { use_flow_sigmas: true, prediction_type: 'flow_prediction' }
  const karras = configOf('dpm++', { ...flow, use_karras_sigmas: true })
  refused(() => createSchedule(karras, { steps: 10 }), 'INVALID_SCHEDULE', 'scheduler.use_karras_sigmas', /below level 1/)
})

test('grids that cannot be sampled are refused with a reason', () => {
  refused(
    () => createSchedule(configOf('dpm++', { timestep_spacing: 'leading' }), { steps: 1000 }),
    'INVALID_SCHEDULE',
    'steps',
    /leading/,
  )
  refused(
    () => createSchedule(configOf('euler', { timestep_spacing: 'leading', num_train_timesteps: 100 }), { steps: 101 }),
    'INVALID_SCHEDULE',
    'steps',
  )
  refused(
    () => createSchedule(configOf('dpm++', { lambda_min_clipped: Infinity }), { steps: 10 }),
    'INVALID_SCHEDULE',
    'scheduler.lambda_min_clipped',
  )
  refused(
    () => createSchedule(configOf('flow-euler', { shift_terminal: 0.1 }), { steps: 1 }),
    'INVALID_SCHEDULE',
    'steps',
    /shift_terminal/,
  )
  const inverted = configOf('euler', { use_karras_sigmas: true, sigma_min: 5, sigma_max: 1 })
  refused(() => createSchedule(inverted, { steps: 10 }), 'INVALID_SCHEDULE', 'scheduler', /rises/)
  const flow = { use_flow_sigmas: true, prediction_type: 'flow_prediction' }
  refused(
    () => createSchedule(configOf('dpm++', { ...flow, flow_shift: 1e6 }), { steps: 10 }),
    'INVALID_SCHEDULE',
    'scheduler.flow_shift',
  )
  const jump = configOf('dpm++', { ...flow, final_sigmas_type: 'sigma_min' })
  refused(() => createSchedule(jump, { steps: 100 }), 'INVALID_SCHEDULE', 'scheduler.final_sigmas_type', /rises/)
  const trained_betas = Array.from({ length: 1000 }, () => 0.9)
  refused(
    () => createSchedule(configOf('euler', { trained_betas }), { steps: 10 }),
    'INVALID_SCHEDULE',
    'scheduler.beta_schedule',
  )
})

test('zero terminal SNR starts at 4096, even with a step on every training timestep', () => {
  const config = configOf('euler', { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' })
  for (const steps of [1, 2, 1000]) assert.ok(Math.abs(createSchedule(config, { steps }).sigmas[0] - 4096) < 1e-3)
})

test.run()
