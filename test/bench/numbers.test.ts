import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { meanDecibels, summariseDecibels, worstTenth } from '../../ts/bench/decibels.ts'
import { summarise } from '../../ts/bench/fidelity.ts'
import { OthersLoad } from '../../ts/bench/load.ts'
import { pictureFlops, rowFlops } from '../../ts/bench/flops.ts'
import { greatest, least, quantile, spread } from '../../ts/bench/statistics.ts'
import type { Manifest } from '../../ts/plan/manifest.ts'
import type { MemberStep, StepAction } from '../../ts/sampler/trace.ts'

const near = (value: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(value - expected) <= tolerance, `${value} is not within ${tolerance} of ${expected}`)

test('identical pictures are counted, not averaged', () => {
  const close = [
    { psnr: 60, ssim: 1 },
    { psnr: Infinity, ssim: 1 },
    { psnr: 40, ssim: 0.5 },
  ]
  assert.equal(summarise(close), { psnr_db: { mean: 50, min: 40 }, ssim: { mean: 2.5 / 3, min: 0.5 }, identical: 1 })
  assert.equal(summarise([close[1]]).psnr_db, { mean: null, min: null })
})

test('worst tenths are of all pictures, rounded up; an equal picture counts as 150 dB and no other as more', () => {
  const values = Array.from({ length: 11 }, (_, k) => k) // worst two of eleven: 0 and 1
  assert.is(worstTenth(values), 0.5)
  assert.is(worstTenth([7, 3]), 3)
  // Ten finite ones of eleven: the worst tenth is still two pictures, not one.
  assert.is(worstTenth([...values.slice(0, 10), null]), 0.5)
  assert.is(worstTenth([40, null, null]), 40)
  assert.is(meanDecibels([40, null, 170]), 340 / 3)
  assert.equal(summariseDecibels([null, null]), { mean: 150, worst_decile: 150, worst: null })
  assert.equal(summariseDecibels([null, 30]), { mean: 90, worst_decile: 30, worst: 30 })
})

test("quantiles are numpy's", () => {
  assert.is(quantile([4, 1, 3, 2], 0.5), 2.5) // np.quantile([4, 1, 3, 2], .5)
  near(quantile([15, 20, 35, 40, 50], 0.05), 16, 1e-12)
  near(quantile([15, 20, 35, 40, 50], 0.95), 48, 1e-12)
  assert.equal(spread([7]), { p50: 7, p05: 7, p95: 7 })
  assert.throws(() => quantile([], 0.5), /at least one/)
})

test('any number of values has a least and a greatest, and any number of pictures figures', () => {
  const many = Array.from({ length: 300_000 }, (_, k) => (k * 7919) % 300_000)
  assert.equal([least(many), greatest(many), least([]), greatest([])], [0, 299_999, Infinity, -Infinity])
  assert.is(summarise(many.map((psnr) => ({ psnr, ssim: 1 }))).psnr_db.min, 0)
  assert.is(summariseDecibels(many).worst, 0)
})

test('the load of others is what is left of the load average without the own work of the same minute', () => {
  // The kernel's average after working alone on one core from the start: 1 − e^(−t/60).
  let [seconds, cores, load] = [0, 1, 0]
  let cpuTime = 0
  const others = new OthersLoad({ load: () => load, cpuTime: () => cpuTime, uptime: () => seconds })
  const pass = (duration: number, besides: number): number => {
    const kept = Math.exp(-duration / 60)
    load = load * kept + (cores + besides) * (1 - kept)
    cpuTime += cores * duration * 1e6
    seconds += duration
    return others.read()
  }
  for (const duration of [1, 7, 30, 600]) near(pass(duration, 0), 0, 1e-9)
  near(pass(60, 2), 2 * (1 - Math.exp(-1)), 1e-9)
  cores = 0 // it waits: what it did before is still in the average, and still its own
  near(pass(60, 0), 2 * (1 - Math.exp(-1)) * Math.exp(-1), 1e-9)
  load = 0
  assert.is(others.read(), 0)
})

test('FLOPs count rows, passes and the tokens that pruned ones kept', () => {
  const stage = (kind: 'dense' | 'tokens', fixed: number, per_token: number, per_token_pair: number) => ({
    kind,
    flops: { fixed, per_token, per_token_pair },
  })
  const plan = {
    tokens: { grid: [2, 4], patch: [1, 1] },
    stages: [stage('dense', 100, 10, 0), stage('tokens', 5, 3, 2)],
  } as unknown as Manifest
  const step = (action: StepAction, keptTokens?: number): MemberStep => ({ step: 0, timestep: 0, action, keptTokens, ms: 0 })
  const full = 100 + 80 + 5 + 24 + 2 * 64
  const pruned = 100 + 80 + 5 + 6 + 2 * 4
  assert.is(rowFlops(plan), full)
  assert.is(rowFlops(plan, 2), pruned)
  assert.is(pictureFlops(plan, 2, [step('run'), step('extrapolate'), step('prune', 2), step('reuse')]), 2 * (full + pruned))
})

test.run()
