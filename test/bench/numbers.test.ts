import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { summarise } from '../../ts/bench/fidelity.ts'
import { pictureFlops, rowFlops } from '../../ts/bench/flops.ts'
import { psnr } from '../../ts/bench/psnr.ts'
import { ssim } from '../../ts/bench/ssim.ts'
import { quantile, spread } from '../../ts/bench/statistics.ts'
import type { Manifest } from '../../ts/plan/manifest.ts'
import type { MemberStep, StepAction } from '../../ts/sampler/trace.ts'

const near = (value: number, expected: number, tolerance: number): void =>
  assert.ok(Math.abs(value - expected) <= tolerance, `${value} is not within ${tolerance} of ${expected}`)

interface Recorded {
  readonly cases: readonly {
    shape: [number, number, number]
    first: [number, number]
    second: [number, number]
    ssim: number
    psnr: number | null
  }[]
}
const recorded = JSON.parse(readFileSync(join(__dirname, '..', 'fixtures', 'ssim', 'values.json'), 'utf8')) as Recorded

/** The pictures of test/fixtures/ssim/record.py. */
const made = (length: number, [a, b]: [number, number]): number[] =>
  Array.from({ length }, (_, k) => ((a * k + b * k * k) % 256) / 127.5 - 1)

test('SSIM and PSNR are those of scikit-image', () => {
  for (const { shape, first, second, ssim: structure, psnr: decibels } of recorded.cases) {
    const length = shape[0] * shape[1] * shape[2]
    const x = made(length, first)
    const other = made(length, second)
    const y = x.map((value, k) => 0.75 * value + 0.25 * other[k])
    near(ssim(x, y, shape), structure, 1e-12)
    if (decibels !== null) near(psnr(x, y), decibels, 1e-10)
  }
})

test('PSNR: one unit of 255 everywhere is 48.13 dB, equal samples have none, values outside are clipped', () => {
  const grey = new Float64Array(300)
  near(
    psnr(
      grey,
      grey.map(() => 2 / 255),
    ),
    20 * Math.log10(255),
    1e-9,
  )
  assert.is(psnr(grey, grey), Infinity)
  assert.is(psnr([1.5, -7], [1, -1]), Infinity)
  assert.is(psnr([1, 1], [-1, -1]), 0)
  assert.throws(() => psnr([1], [1, 2]), /one length/)
  assert.throws(() => ssim(new Float32Array(300), new Float32Array(300), [3, 10, 10]), /at least 11/)
})

test('identical pictures are counted, not averaged', () => {
  const close = [
    { psnr: 60, ssim: 1 },
    { psnr: Infinity, ssim: 1 },
    { psnr: 40, ssim: 0.5 },
  ]
  assert.equal(summarise(close), { psnr_db: { mean: 50, min: 40 }, ssim: { mean: 2.5 / 3, min: 0.5 }, identical: 1 })
  assert.equal(summarise([close[1]]).psnr_db, { mean: null, min: null })
})

test("quantiles are numpy's", () => {
  assert.is(quantile([4, 1, 3, 2], 0.5), 2.5) // np.quantile([4, 1, 3, 2], .5)
  near(quantile([15, 20, 35, 40, 50], 0.05), 16, 1e-12)
  near(quantile([15, 20, 35, 40, 50], 0.95), 48, 1e-12)
  assert.equal(spread([7]), { p50: 7, p05: 7, p95: 7 })
  assert.throws(() => quantile([], 0.5), /at least one/)
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
