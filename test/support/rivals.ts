import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import type { NetworkFunction } from '../../ts/sampler/callback-network.ts'
import type { MemberStep, Trace } from '../../ts/sampler/trace.ts'
import { floats } from './mixture.ts'
import { configs, LENGTH, runInJs } from './run.ts'

type Scheduler = keyof typeof configs
export const schedulers = Object.keys(configs) as Scheduler[]
export const isSkip = ({ action }: MemberStep): boolean => ['extrapolate', 'interpolate', 'reuse'].includes(action)
const decisionsOf = ({ members }: Trace): string => members[0].steps.map((step) => (isSkip(step) ? 'S' : 'C')).join('')

/** One run of test/fixtures/rivals/record.py. */
interface RecordedRun {
  readonly scheduler: Scheduler
  readonly steps: number
  readonly options: Readonly<Record<string, unknown>>
  readonly predicts: 'noise' | 'velocity' | 'x0'
  readonly decisions: string
  readonly states: string
}

const WATCHED = 16
/** As record.py's MAP. */
const map = [2, 8, 16] as const

/** E[x0 | s] of record.py's network. */
function denoised(s: number, k: number, alpha: number, sigma: number): number {
  const m = 0.3 + 0.7 * ((k * 0.6180339887498949) % 1)
  const v = 0.05
  const w = alpha * alpha * v + sigma * sigma
  const x0 = ((alpha * v) / w) * s + (1 - (alpha * alpha * v) / w) * m * Math.tanh((alpha * m * s) / w)
  return x0 + 0.01 * Math.sin(9 * s + 5 * alpha)
}

/** record.py's network. */
function network(predicts: RecordedRun['predicts']): NetworkFunction {
  return ({ sample, alpha, sigma }) =>
    sample.map((s, k) => {
      const x0 = denoised(s, k % LENGTH, alpha, sigma)
      const noise = (s - alpha * x0) / sigma
      return { x0, noise, velocity: noise - x0 }[predicts]
    })
}

/**
 * Replays every recorded run of a policy: the decisions are the same and so is every state. Tolerance: float32 rounding of
 * both sides over 50 steps, relative to the states' size (the Euler solver starts at about 14).
 */
export function testRecorded(policy: string): void {
  const file = join(__dirname, '../fixtures/rivals', `${policy}.json`)
  const { noise, cases } = JSON.parse(readFileSync(file, 'utf8')) as { noise: string; cases: RecordedRun[] }
  for (const { scheduler, steps, options, predicts, decisions, states: expected } of cases) {
    test(`${policy} ${JSON.stringify(options)}, ${scheduler} ${steps}, ${predicts}: as recorded`, async () => {
      const states: Float32Array[] = []
      const { trace } = await runInJs({
        scheduler,
        steps,
        policy: { name: policy, ...options },
        latents: [floats(noise)],
        map,
        network: network(predicts),
        prediction: predicts === 'x0' ? 'sample' : undefined,
        onStep: ({ state }) => states.push(state().filter((_, k) => k % (LENGTH / WATCHED) === 0)),
      })
      assert.is(decisionsOf(trace), decisions)
      const size = scheduler === 'euler' ? 16 : 4
      floats(expected).forEach((value, k) => {
        const found = states[Math.floor(k / WATCHED)][k % WATCHED]
        assert.ok(Math.abs(found - value) <= 3e-6 * size, `step ${Math.floor(k / WATCHED)}: ${found}, recorded ${value}`)
      })
      assert.is(states.length, steps)
    })
  }
}

/** A setting that cannot skip gives the plain run's bits and says so beforehand; the defaults skip. Each on every solver. */
export function testNeverAndDefault(policy: string, never: Readonly<Record<string, unknown>>, defaults: object = {}): void {
  const noise = (seed: number): Float32Array => new TorchGenerator(seed).randn(LENGTH)
  const latents = [noise(1), noise(2)]
  for (const scheduler of schedulers) {
    test(`${policy} ${JSON.stringify(never)}, ${scheduler}: the plain run, bit for bit, announced`, async () => {
      const plain = await runInJs({ scheduler, policy: 'none', latents })
      const { latents: result, trace } = await runInJs({ scheduler, policy: { name: policy, ...never }, latents, map })
      assert.equal(result, plain.latents)
      assert.equal(
        trace.members.map(({ nfe }) => nfe),
        [50, 50],
      )
      assert.ok(trace.warnings!.some((warning) => warning.includes('nothing can be skipped')))
    })

    test(`${policy}, ${scheduler}: its defaults skip, and the result is the plain run's but for 5 % of its energy`, async () => {
      const plain = await runInJs({ scheduler, policy: 'none', latents })
      const { latents: result, trace } = await runInJs({ scheduler, policy: { name: policy, ...defaults }, latents, map })
      for (const { nfe } of trace.members) assert.ok(nfe < 50, `${nfe} runs`)
      assert.not(trace.warnings?.some((warning) => warning.includes('nothing can be skipped')))
      const square = (a: Float32Array, b?: Float32Array): number => a.reduce((sum, v, k) => sum + (v - (b ? b[k] : 0)) ** 2, 0)
      const error = square(result, plain.latents) / square(plain.latents)
      assert.ok(error < 0.05, `relative squared error ${error}`)
    })
  }

  test(`${policy}: a member decides the same alone and in a batch`, async () => {
    const spec = { scheduler: 'dpm++', policy: { name: policy, ...defaults }, map } as const
    const both = await runInJs({ ...spec, latents })
    const alone = await runInJs({ ...spec, latents: [latents[1]] })
    assert.equal(both.latents.slice(LENGTH), alone.latents)
    assert.equal(both.trace.members[1].steps.map(isSkip), alone.trace.members[0].steps.map(isSkip))
  })
}
