import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sample, type NetworkFunction } from '../../ts/index.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { isStochastic, parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule, type Schedule } from '../../ts/schedule/schedule.ts'
import { configs } from '../support/run.ts'

// The stability criterion (x_{i+1} − x̂_{i+1})·Δ²y_i of runs that compute every step, worked from their states in float64.

const LENGTH = 64
const STEPS = 20
const x0 = { prediction_type: 'sample', timestep_spacing: 'trailing' }
const schedulers = {
  'flow-euler': configs['flow-euler'],
  'dpm++': { ...configs['dpm++'], ...x0 },
  euler: { ...configs.euler, ...x0 },
  'dpm++-sde': { ...configs['dpm++'], ...x0, algorithm_type: 'sde-dpmsolver++' },
  'euler-ancestral': { ...configs.euler, ...x0, _class_name: 'EulerAncestralDiscreteScheduler' },
}

/** Velocities at step `at` for a state and a clean sample: (x − x0)/t, or ½β·(n/σ − x). */
function velocity({ frame, times, levels, betaAt }: Schedule, at: number, x: number, clean: number): number {
  const { alpha, sigma } = levels[at]
  return frame === 'vp' ? (betaAt[at] / 2) * ((x - alpha * clean) / sigma ** 2 - x) : (x - clean) / times[at]
}

/** The terms of the criterion's mean at step `i`. `states[i]`, `cleans[i]`: before the step, at the step. */
function terms(schedule: Schedule, i: number, states: readonly Float32Array[], cleans: readonly Float32Array[]): number[] {
  const { times } = schedule
  const isNoisy = isStochastic(schedule.solver)
  const [h, h1, h2] = [times[i] - times[i + 1], times[i - 1] - times[i], times[i - 2] - times[i - 1]]
  // x̂ = x − h·Σwy is of second order: Σw = 1 and w1·h1 + w2·(h1 + h2) = −h/2; w0 is 5/6.
  const w2 = -(h / 2 + h1 / 6) / h2
  const w = [5 / 6, 1 / 6 - w2, w2]
  return Array.from(states[i], (x, k) => {
    // Fresh noise moves the state: velocities before are those of their clean samples at the present one.
    const y = [0, 1, 2].map((age) =>
      isNoisy
        ? velocity(schedule, i, x, cleans[i - age][k])
        : velocity(schedule, i - age, states[i - age][k], cleans[i - age][k]),
    )
    const next = isNoisy ? x - h * y[0] : states[i + 1][k]
    const predicted = x - h * (w[0] * y[0] + w[1] * y[1] + w[2] * y[2])
    return (next - predicted) * (y[0] - (y[1] + (h1 / h2) * (y[1] - y[2])))
  })
}

for (const [name, scheduler] of Object.entries(schedulers)) {
  test(`${name}: the criterion is that of the states and clean samples of the run`, async () => {
    const schedule = createSchedule(parseSchedulerConfig(scheduler).config, { steps: STEPS })
    const pattern = new TorchGenerator(1).randn(LENGTH)
    const bending: NetworkFunction = ({ sample: x, sigma, step }) =>
      x.map((value, k) => {
        const clean = pattern[k] * (1 + Math.cos(step / 3 + 5 * pattern[k]))
        return name === 'flow-euler' ? (value - clean) / sigma : clean
      })
    const latents = new TorchGenerator(2).randn(LENGTH).map((value) => value * schedule.initNoiseSigma)
    const states: Float32Array[] = [latents]
    const cleans: Float32Array[] = []
    const { trace } = await sample({
      scheduler,
      steps: STEPS,
      shape: [1, LENGTH],
      latents,
      seed: isStochastic(schedule.solver) ? 3 : undefined,
      network: bending,
      policy: { name: 'sada', tolerance: 0 },
      onStep: ({ state, denoised }) => {
        states.push(state())
        cleans.push(denoised())
      },
    })
    const measured = trace.members[0].steps.filter(({ criterion }) => criterion !== undefined)
    assert.is(measured.length, STEPS - 2)
    for (const { step, criterion } of measured) {
      const all = terms(schedule, step, states, cleans)
      const mean = all.reduce((sum, term) => sum + term, 0) / LENGTH
      const size = all.reduce((sum, term) => sum + Math.abs(term), 0) / LENGTH
      // Float32 states, of which differences are taken.
      assert.ok(Math.abs(criterion! - mean) <= 1e-5 * size, `step ${step}: ${criterion}, ${mean}`)
    }
  })
}

test.run()
