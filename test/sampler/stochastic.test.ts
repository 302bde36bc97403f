import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sample, sampleMemory, type NetworkFunction, type SadaError, type SampleOptions } from '../../ts/index.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { floats } from '../support/mixture.ts'
import type { PolicySpec } from '../../ts/policy/spec.ts'

// Solvers whose steps add fresh noise: SDE-DPM-Solver++ and ancestral Euler.

interface RecordedRun {
  readonly config: Readonly<Record<string, unknown>>
  readonly steps: number
  readonly seed: number | readonly number[]
  readonly shape: readonly number[]
  readonly latents: string | null
  readonly states: readonly string[]
}

const file = join(__dirname, '../fixtures/schedulers/stochastic.json')
const recorded = JSON.parse(readFileSync(file, 'utf8').replaceAll('-Infinity', '-1e999')) as RecordedRun[]

/** The formula of record_stochastic.py. */
const formula: NetworkFunction = ({ sample: x, timestep }) => x.map((v) => 0.8 * Math.tanh(v) + 0.1 * (timestep / 1000))

for (const { config, steps, seed, shape, latents, states } of recorded) {
  const { _class_name: name, timestep_spacing: spacing, prediction_type: prediction, solver_type: type } = config
  test(`diffusers' states of ${[name, steps, spacing, prediction, type].join(', ')}`, async () => {
    const start = latents === null ? undefined : floats(latents)
    const own: Float32Array[] = []
    const onStep: SampleOptions['onStep'] = ({ state }) => void own.push(state())
    await sample({ scheduler: config, steps, shape, seed, latents: start, policy: 'none', network: formula, onStep })
    assert.is(own.length, states.length)
    // float32 states of diffusers; a first level of 4096 leaves few digits after one step (README.md of the fixtures).
    const tolerance = config.rescale_betas_zero_snr === true ? 2e-4 : 1e-5
    for (const [i, each] of states.entries()) {
      const expected = floats(each)
      const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
      const error = expected.reduce((most, v, k) => Math.max(most, Math.abs(v - own[i][k])), 0)
      assert.ok(error <= tolerance * largest, `step ${i}: ${error} of ${largest}`)
    }
  })
}

const ancestral = { _class_name: 'EulerAncestralDiscreteScheduler', prediction_type: 'sample', timestep_spacing: 'trailing' }
const sde = {
  _class_name: 'DPMSolverMultistepScheduler',
  algorithm_type: 'sde-dpmsolver++',
  prediction_type: 'sample',
  timestep_spacing: 'trailing',
}
const schedulers = { 'euler-ancestral': ancestral, 'dpm++-sde': sde }
const pattern = new TorchGenerator(1).randn(64)
/** A clean sample that bends smoothly along the run, whatever the state is. */
const smooth: NetworkFunction = ({ sample: x, timestep }) => x.map((_, k) => pattern[k % 64] * (1 + (timestep / 1000) ** 3))
const base = { steps: 30, shape: [1, 1, 8, 8], network: smooth }

for (const [name, scheduler] of Object.entries(schedulers)) {
  test(`${name}: what is measured and decided does not depend on the fresh noise`, async () => {
    const runs = await Promise.all([3, 4].map((seed) => sample({ ...base, scheduler, seed, policy: 'sada' })))
    const [a, b] = runs.map(({ trace }) => trace.members[0].steps)
    assert.equal(
      a.map(({ action }) => action),
      b.map(({ action }) => action),
    )
    assert.ok(a.some(({ action }) => action === 'extrapolate'))
    for (const [i, { criterion, error }] of a.entries()) {
      if (criterion === undefined || error === undefined) continue
      // Sums over 64 float32 products of states that differ.
      assert.ok(Math.abs(criterion - b[i].criterion!) <= 1e-5 * Math.abs(criterion) + 1e-9, `step ${i}`)
      assert.ok(Math.abs(error - b[i].error!) <= 1e-4 * error, `step ${i}`)
    }
  })

  test(`${name}: a clean sample that stands still is skipped without a trace`, async () => {
    const network: NetworkFunction = ({ sample: x }) => x.map((_, k) => pattern[k % 64])
    const [full, fast] = await Promise.all(
      (['none', 'sada'] as const).map((policy) => sample({ ...base, scheduler, network, seed: 5, policy })),
    )
    assert.ok(fast.trace.members[0].nfe < 20)
    full.latents.forEach((value, k) => assert.ok(Math.abs(value - fast.latents[k]) <= 1e-5))
  })

  test(`${name}: each member with a seed of its own equals what it gives alone, bit for bit`, async () => {
    const network = formula
    const both = await sample({ ...base, scheduler, network, shape: [2, 1, 8, 8], seed: [8, 9], policy: 'sada' })
    for (const [k, seed] of [8, 9].entries()) {
      const alone = await sample({ ...base, scheduler, network, seed, policy: 'sada' })
      assert.equal(both.latents.slice(k * 64, (k + 1) * 64), alone.latents)
    }
  })

  test(`${name}: latents take a seed for the steps' noise alone`, async () => {
    const latents = new TorchGenerator(2).randn(64)
    const made = await Promise.all([3, 3, 4].map((seed) => sample({ ...base, scheduler, network: formula, latents, seed })))
    assert.equal(made[0].latents, made[1].latents)
    assert.not.equal(made[0].latents, made[2].latents)
    const error = await sample({ ...base, scheduler, latents }).catch((e: unknown) => e as SadaError)
    assert.match((error as SadaError).message, /"seed" to be given: this scheduler adds fresh noise/)
  })

  test(`${name}: policies that extrapolate states are refused, those that reuse outputs warn`, async () => {
    for (const policy of ['sada-reference', { name: 'sada', preset: 'poster' }] as const) {
      const error = (await sample({ ...base, scheduler, seed: 1, policy }).catch((e: unknown) => e)) as SadaError
      assert.is(error.code, 'INVALID_ARGUMENT')
      assert.match(error.message, /"policy" to be one for stochastic schedulers/)
    }
    const { trace } = await sample({ ...base, scheduler, seed: 1, policy: 'easycache' })
    assert.match(trace.warnings![0], /adds fresh noise at every step\. "easycache" reuses/)
    for (const policy of ['sada', 'every-n', 'none', 'auto'] as const) {
      const spec: PolicySpec = policy === 'auto' ? { name: 'auto', target: { speedup: 1.5 } } : policy
      const { trace: quiet } = await sample({ ...base, scheduler, seed: 1, policy: spec })
      assert.not.ok(quiet.warnings?.some((warning) => warning.includes('fresh noise')))
    }
  })

  test(`${name}: the noise on its way is part of what a run takes`, async () => {
    const deterministic = { ...sde, algorithm_type: 'dpmsolver++' }
    const [with_, without] = await Promise.all(
      [scheduler, deterministic].map((each) => sampleMemory({ ...base, scheduler: each, seed: 1, policy: 'none' })),
    )
    assert.is(with_.parts.latents - without.parts.latents, 64 * 4)
  })
}

test.run()
