import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SadaError } from '../../ts/errors.ts'
import { predictionTypes, type SolverName } from '../../ts/schedule/config.ts'
import { createSchedule, type Frame, type Schedule } from '../../ts/schedule/schedule.ts'
import { denoised, noiseOf, stateOf } from '../../ts/solver/parameterisation.ts'
import { plus, substitute, type Row } from '../../ts/solver/row.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configOf } from '../support/schedulers.ts'

const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' }

/** One of each kind: frames, spacings, last levels, repeated levels, corrections. */
const cases: readonly (readonly [SolverName, object])[] = [
  ['dpm++', sd],
  ['dpm++', { ...sd, solver_order: 1 }],
  ['dpm++', { ...sd, solver_type: 'heun', final_sigmas_type: 'sigma_min', lower_order_final: false }],
  ['dpm++', { ...sd, use_karras_sigmas: true, final_sigmas_type: 'sigma_min', lower_order_final: false }],
  ['dpm++', { ...sd, rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }],
  ['dpm++', { beta_schedule: 'squaredcos_cap_v2', lambda_min_clipped: -5.1 }],
  ['dpm++', { use_flow_sigmas: true, flow_shift: 3, prediction_type: 'flow_prediction' }],
  ['euler', sd],
  ['euler', { ...sd, timestep_spacing: 'leading', steps_offset: 1, use_karras_sigmas: true }],
  ['euler', { ...sd, interpolation_type: 'log_linear' }],
  ['flow-euler', { shift: 3 }],
  ['flow-euler', { use_karras_sigmas: true }],
]
const lengths = [1, 2, 3, 14, 15, 50, 999]

const schedules = cases.flatMap(([solver, fields]) => lengths.map((steps) => createSchedule(configOf(solver, fields), { steps })))
const named = ({ solver, frame, steps, correction }: Schedule, i?: number): string =>
  `${solver} ${frame} ${correction} T=${steps} step ${i}`

function value(row: Row, buffers: Readonly<Record<string, number>>): number {
  return Object.keys(row).reduce((sum, name) => sum + row[name] * buffers[name], 0)
}

function near(actual: number, expected: number, tolerance: number, message: string): void {
  const error = Math.abs(actual - expected) / Math.max(1, Math.abs(expected))
  assert.ok(error <= tolerance, `${message}: ${actual} instead of ${expected}`)
}

/** Whether two rows say the same, weight by weight. */
function same(actual: Row, expected: Row, tolerance: number, message: string): void {
  for (const name of new Set([...Object.keys(actual), ...Object.keys(expected)])) {
    near(actual[name] ?? 0, expected[name] ?? 0, tolerance, `${message}, weight of ${name}`)
  }
}

/** The solver's state where the sample is α·x0 + σ·n. */
const exactState = ({ levels, frame }: Schedule, i: number, x0: number, n: number): number =>
  value(stateOf(levels[i], frame), { x0, n })

test('an exact denoiser lands on αx0 + σn at every level, to 1e-12', () => {
  for (const schedule of schedules) {
    const solver = createSolver(schedule)
    const [x0, n] = [0.7, -1.3]
    let x = exactState(schedule, 0, x0, n)
    for (let i = 0; i < schedule.steps; i++) {
      x = value(solver.update(i), { x, x0, x0Prev: x0 })
      near(x, exactState(schedule, i + 1, x0, n), 1e-12, named(schedule, i))
    }
  }
})

test('a last level of 0 gives x0 itself', () => {
  for (const schedule of schedules.filter(({ sigmas }) => sigmas[sigmas.length - 1] === 0)) {
    same(createSolver(schedule).update(schedule.steps - 1), { x0: 1 }, 0, named(schedule))
  }
})

test('the weights of an update are finite, the clean samples of step 0 and of first-order steps have no predecessor', () => {
  for (const schedule of schedules) {
    const solver = createSolver(schedule)
    for (let i = 0; i < schedule.steps; i++) {
      const row = solver.update(i)
      assert.ok(Object.values(row).every(Number.isFinite), named(schedule, i))
      if (schedule.orders[i] === 1) assert.not('x0Prev' in row, named(schedule, i))
    }
  }
})

test('state and noise invert the velocity', () => {
  for (const schedule of schedules) {
    const solver = createSolver(schedule)
    for (let i = 0; i < schedule.steps; i++) {
      const y = solver.velocity(i)
      same(substitute(solver.state(i), { y }), { x: 1 }, 1e-9, named(schedule, i))
      same(substitute(solver.noise(i), { y }), noiseOf(schedule.levels[i], schedule.frame), 1e-9, named(schedule, i))
    }
  }
})

test('the velocity is the one of the solver’s ordinary differential equation', () => {
  for (const schedule of schedules) {
    const solver = createSolver(schedule)
    const [x0, n] = [0.7, -1.3]
    for (let i = 0; i < schedule.steps; i++) {
      const y = value(solver.velocity(i), { x: exactState(schedule, i, x0, n), x0 })
      const { alpha, sigma } = schedule.levels[i]
      const expected = { scaled: n, flow: n - x0, vp: (schedule.betaAt[i] / 2) * (n / sigma - (alpha * x0 + sigma * n)) }
      near(y, expected[schedule.frame], 1e-9, named(schedule, i))
    }
  }
})

test('Euler solvers move along the velocity by the difference of times', () => {
  for (const schedule of schedules.filter(({ solver }) => solver !== 'dpm++')) {
    const solver = createSolver(schedule)
    for (let i = 0; i < schedule.steps; i++) {
      const step = schedule.times[i + 1] - schedule.times[i]
      same(solver.update(i), plus({ x: 1 }, substitute({ y: step }, { y: solver.velocity(i) })), 1e-12, named(schedule, i))
    }
  }
})

test('the VP velocity is the time derivative of the exact trajectory', () => {
  const schedule = createSchedule(configOf('dpm++', { ...sd, timestep_spacing: 'trailing' }), { steps: 500 })
  const solver = createSolver(schedule)
  for (const i of [1, 100, 250, 400, 480]) {
    // For x0 = 0 the trajectory is σ(t)·n: compare with the central difference of σ over its neighbours.
    const y = value(solver.velocity(i), { x: schedule.levels[i].sigma, x0: 0 })
    const slope = (schedule.levels[i + 1].sigma - schedule.levels[i - 1].sigma) / (schedule.times[i + 1] - schedule.times[i - 1])
    assert.ok(Math.abs(y / slope - 1) < 0.05, `step ${i}: ${y} against ${slope}`)
  }
})

test('the network is given αx0 + σn', () => {
  for (const schedule of schedules) {
    const solver = createSolver(schedule)
    for (let i = 0; i < schedule.steps; i++) {
      const { alpha, sigma } = schedule.levels[i]
      near(solver.inputScale(i) * exactState(schedule, i, 0.7, -1.3), alpha * 0.7 - sigma * 1.3, 1e-14, named(schedule, i))
    }
  }
})

const levels = { vp: [0.999, 0.6, 0.01], scaled: [0.999, 0.6, 0.01], flow: [0.999, 0.5, 0.02] }

for (const frame of Object.keys(levels) as Frame[]) {
  for (const prediction of predictionTypes) {
    test(`${prediction} in the ${frame} frame: the clean sample follows from a true prediction`, () => {
      for (const sigma of levels[frame]) {
        const level = { alpha: frame === 'flow' ? 1 - sigma : Math.sqrt(1 - sigma * sigma), sigma }
        const [x0, n] = [0.7, -1.3]
        const output = { epsilon: n, v_prediction: level.alpha * n - sigma * x0, sample: x0, flow_prediction: n - x0 }[prediction]
        const x = value(stateOf(level, frame), { x0, n })
        near(value(denoised(prediction, level, frame), { x, output }), x0, 1e-12, `${sigma}`)
      }
    })
  }
}

test('pure noise (α = 0) gives x0 for every prediction but the noise itself, which is refused', () => {
  const level = { alpha: 0, sigma: 1 }
  assert.is(value(denoised('flow_prediction', level, 'flow'), { x: -1.3, output: -2 }), 0.7)
  assert.is(value(denoised('v_prediction', level, 'flow'), { x: -1.3, output: -0.7 }), 0.7)
  const schedule = createSchedule(configOf('flow-euler'), { steps: 4, prediction: 'epsilon' })
  assert.throws(
    () => createSolver(schedule),
    (error: SadaError) => error.code === 'INVALID_SCHEDULE',
  )
})

/** x(0) of x0-Gaussian data with standard deviation s, and what a solver makes of the same start, in the state's own scale. */
function gaussianError(solver: SolverName, fields: object, steps: number): number {
  const schedule = createSchedule(configOf(solver, fields), { steps })
  const rows = createSolver(schedule)
  const s = 0.5
  const spread = (i: number): number =>
    Math.hypot(schedule.levels[i].alpha * s, schedule.levels[i].sigma) /
    (schedule.frame === 'scaled' ? schedule.levels[i].alpha : 1)
  let x = spread(0)
  let x0Prev = 0
  for (let i = 0; i < steps; i++) {
    const { alpha, sigma } = schedule.levels[i]
    const x0 = ((alpha * s * s) / (alpha * alpha * s * s + sigma * sigma)) * rows.inputScale(i) * x
    x = value(rows.update(i), { x, x0, x0Prev })
    x0Prev = x0
  }
  return Math.abs(x - spread(steps))
}

test('order of convergence on Gaussian data: Euler 1, DPM++ 2', () => {
  const ends = { ...sd, timestep_spacing: 'trailing', final_sigmas_type: 'sigma_min', use_karras_sigmas: true }
  const order = (solver: SolverName, fields: object): number =>
    Math.log2(gaussianError(solver, fields, 100) / gaussianError(solver, fields, 200))
  assert.ok(Math.abs(order('euler', ends) - 1) < 0.2, `${order('euler', ends)}`)
  assert.ok(Math.abs(order('flow-euler', {}) - 1) < 0.2, `${order('flow-euler', {})}`)
  assert.ok(Math.abs(order('dpm++', { ...ends, solver_order: 1 }) - 1) < 0.2)
  for (const solver_type of ['midpoint', 'heun']) {
    assert.ok(order('dpm++', { ...ends, solver_type }) > 1.7, `${solver_type}: ${order('dpm++', { ...ends, solver_type })}`)
  }
})

test.run()
