import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mean } from '../../ts/bench/statistics.ts'
import { load, sample, type NetworkFunction, type PolicySpec } from '../../ts/index.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { findModel } from '../../ts/pipeline/model-folder.ts'
import { loadManifest } from '../../ts/plan/model.ts'
import { usualError } from '../../ts/policy/usual-error.ts'
import type { MemberStep } from '../../ts/sampler/trace.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { configs } from '../support/run.ts'

const x0 = { prediction_type: 'sample' }
const schedulers = {
  'flow-euler': configs['flow-euler'],
  'dpm++': { ...configs['dpm++'], ...x0 },
  euler: { ...configs.euler, ...x0 },
  'dpm++-sde': { ...configs['dpm++'], algorithm_type: 'sde-dpmsolver++', ...x0 },
  'euler-ancestral': { ...configs.euler, _class_name: 'EulerAncestralDiscreteScheduler', ...x0 },
}
const LENGTH = 64
const [end, slope] = [1, 2].map((seed) => new TorchGenerator(seed).randn(LENGTH))

/** A clean sample that moves along a straight line in σ/(α+σ), whatever the state is. */
const straight =
  (isFlow: boolean): NetworkFunction =>
  ({ sample: x, alpha, sigma }) =>
    x.map((value, k) => {
      const clean = end[k] + (sigma / (alpha + sigma)) * slope[k]
      return isFlow ? (value - clean) / sigma : clean
    })

interface Run {
  readonly states: readonly Float32Array[]
  readonly steps: readonly MemberStep[]
}

async function run(name: keyof typeof schedulers, policy: PolicySpec): Promise<Run> {
  const states: Float32Array[] = []
  const network = straight(name === 'flow-euler')
  const options = { scheduler: schedulers[name], steps: 50, shape: [1, LENGTH], seed: 3, network, policy }
  const { trace } = await sample({ ...options, onStep: ({ state }) => void states.push(state()) })
  return { states, steps: trace.members[0].steps }
}

const largest = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)

for (const name of Object.keys(schedulers) as (keyof typeof schedulers)[]) {
  test(`${name}: where the clean sample moves straight, a computed step mends the skips before it altogether`, async () => {
    const full = await run(name, 'none')
    for (const share of [0, 0.7]) {
      const { states, steps } = await run(name, { name: 'sada', slope: share, tolerance: 10 })
      const actions = steps.map(({ action }) => (action === 'run' ? '.' : 'E')).join('')
      assert.is(actions, '....' + 'EEEE.'.repeat(8) + 'EEE...')
      for (const [i, state] of states.entries()) {
        const off = largest(state.map((value, k) => value - full.states[i][k]))
        // Some dozens of roundings in float32, of numbers as large as the state.
        if (actions[i] === '.') assert.ok(off <= 1e-6 * Math.max(4, largest(state)), `${share}, step ${i}: ${off}`)
        else assert.ok(off > 4e-5, `${share}, step ${i}: ${off}, nothing to mend`)
      }
    }
  })
}

for (const name of ['flow-euler', 'dpm++', 'euler'] as const) {
  test(`${name}: the error of a computed step is by how much a skip there would have missed the clean sample`, async () => {
    const { levels } = createSchedule(parseSchedulerConfig(schedulers[name]).config, { steps: 50 })
    const level = levels.map(({ alpha, sigma }) => sigma / (alpha + sigma))
    const perLevel = Math.sqrt(slope.reduce((sum, value) => sum + value * value, 0) / LENGTH)
    const { steps } = await run(name, { name: 'sada', slope: 0.7, tolerance: 10 })
    let newest = 1
    for (const { step, error } of steps.filter(({ action, step: i }) => action === 'run' && i >= 2)) {
      const missed = 0.3 * (level[newest] - level[step]) * perLevel
      // Differences of float32 numbers of order one.
      assert.ok(Math.abs(error! - missed) <= 1e-6, `step ${step}: ${error}, ${missed}`)
      newest = step
    }
  })
}

test('errors along runs of the bundled model go down as the ledger takes them to', async () => {
  const { schedulers: own, prediction } = await loadManifest(await findModel('avatar'))
  const pipeline = await load('avatar')
  for (const scheduler of ['flow-euler', 'dpm++']) {
    const magnitudes: number[] = []
    const { trace } = await pipeline.generate({
      prompt: 'a teal robot with round eyes',
      seed: 5,
      steps: 50,
      scheduler,
      policy: { name: 'sada', tolerance: 0 },
      onStep: ({ denoised }) => void magnitudes.push(mean(Array.from(denoised(), Math.abs))),
    })
    const { levels } = createSchedule(parseSchedulerConfig(own[scheduler]).config, { steps: 50, prediction })
    const usual = levels.map(({ alpha, sigma }) => usualError(sigma / (alpha + sigma)))
    const measured = trace.members[0].steps.filter(({ error }) => error !== undefined)
    const logs = measured.map(({ step, error }) => Math.log(error! / magnitudes[step] / usual[step]))
    const height = mean(logs)
    const spread = Math.sqrt(mean(logs.map((log) => (log - height) ** 2)))
    // The usual error spans 3.1 in these logarithms; what a single picture's differ by is 0.5 and 0.6.
    assert.ok(Math.abs(height) < 0.8 && spread < 0.8, `${scheduler}: ${height} ± ${spread}`)
  }
  await pipeline.dispose()
})

test.run()
