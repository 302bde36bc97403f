import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type GenerateResult, type Pipeline } from '../../ts/index.ts'
import { deepCacheSchedule } from '../../ts/policy/deepcache.ts'
import { taylorWeights } from '../../ts/policy/first-block-cache.ts'
import { blocks } from '../../ts/policy/stages.ts'
import type { PolicySpec } from '../../ts/policy/index.ts'
import type { RunContext } from '../../ts/policy/policy.ts'
import { floats } from '../support/mixture.ts'

// DeepCache, First-Block-Cache, DBCache, TeaCache and DiCache on the bundled model, against runs recorded with test/fixtures/rivals/record_staged.py.

interface Recorded {
  readonly scheduler: string
  readonly steps: number
  readonly guidance: number
  readonly policy: string
  readonly options: Readonly<Record<string, unknown>>
  readonly decisions: string
  readonly changes: readonly (number | null)[]
  readonly latents: string
}
const fixture = JSON.parse(readFileSync(join(__dirname, '../fixtures/rivals/staged.json'), 'utf8')) as {
  prompt: string
  seed: number
  stride: number
  cases: Recorded[]
}

let pipeline: Pipeline
test.before(async () => void (pipeline = await load('avatar', { threads: 1 })))
test.after(() => pipeline.dispose())

for (const { scheduler, steps, guidance, policy: name, options, decisions, changes, latents } of fixture.cases) {
  test(`${name} ${JSON.stringify(options)}, ${scheduler}, ${steps} steps, guidance ${guidance}: as recorded`, async () => {
    const { prompt, seed, stride } = fixture
    const policy = { name, ...options }
    const made = await pipeline.generate({ prompt, seed: [seed], steps, scheduler, guidanceScale: guidance, policy })
    const trace = made.trace.members[0].steps
    assert.is(trace.map(({ action }) => (action === 'partial' ? 'P' : action === 'run' ? 'R' : '?')).join(''), decisions)
    for (const [i, change] of changes.entries()) {
      if (change === null) assert.is(trace[i].change, undefined)
      // Sums in another order over features that agree to float32 rounding, which reuse carries along.
      else assert.ok(Math.abs(trace[i].change! - change) <= 2e-4 * change, `step ${i}: ${trace[i].change}, recorded ${change}`)
    }
    const expected = floats(latents)
    const worst = Math.max(...expected.map((value, k) => Math.abs(made.latents[k * stride] - value)))
    // As whole runs (test/pipeline): float32 rounding in two engines over all steps; guidance 3 multiplies it, pictures span −1 … 1.
    assert.ok(worst <= 1e-4, `differs by ${worst}`)
  })
}

const robot: GenerateOptions = { prompt: ['a teal robot', 'a kid with round eyes'], seed: [7, 8], steps: 8, scheduler: 'dpm++' }
let plain: Promise<GenerateResult> | undefined
const never: PolicySpec[] = [
  { name: 'deepcache', interval: 1 },
  { name: 'deepcache', interval: 1, uniform: false },
  { name: 'first-block-cache', threshold: 0 },
  { name: 'dbcache', threshold: 0, warmup: 1 },
  { name: 'dbcache', threshold: 10, warmup: 1, maxCached: 0 },
  { name: 'dbcache', threshold: 10, warmup: 1, maxAccumulated: 0 },
  { name: 'teacache', threshold: 0 },
  { name: 'teacache', preset: 'flux', threshold: 0 },
  { name: 'teacache', threshold: 0, coefficients: [-5] },
  { name: 'dicache', threshold: 0, warmup: 1, tail: 0 },
  { name: 'dicache', threshold: 10, warmup: 4 },
]
for (const policy of never) {
  test(`${JSON.stringify(policy)}: the plain run, bit for bit, announced`, async () => {
    plain ??= pipeline.generate({ ...robot, steps: 5, policy: 'none' })
    const { latents, trace } = await pipeline.generate({ ...robot, steps: 5, policy })
    assert.equal(latents, (await plain).latents)
    assert.ok(trace.warnings!.some((warning) => /nothing can be (skipped|reused)/.test(warning)))
  })
}

const active: PolicySpec[] = [
  'deepcache',
  { name: 'first-block-cache', threshold: 0.4 },
  { name: 'dbcache', threshold: 0.5, warmup: 2, order: 2 },
  { name: 'teacache', threshold: 0.3 },
  { name: 'dicache', threshold: 0.6 },
]
for (const policy of active) {
  const batch = { ...robot, policy }
  let run: Promise<GenerateResult> | undefined
  const recorded = (): Promise<GenerateResult> => (run ??= pipeline.generate({ ...batch, record: true }))

  test(`${JSON.stringify(policy)}: a member of a batch is what it is alone, also among concurrent runs`, async () => {
    const first = await recorded()
    const alone = (k: number) => ({ ...batch, prompt: [robot.prompt[k]], seed: [7 + k] })
    const [again, ...others] = await Promise.all([batch, alone(0), alone(1)].map((each) => pipeline.generate(each)))
    assert.equal(again.latents, first.latents)
    for (const [k, { latents, trace }] of others.entries()) {
      assert.equal(latents, first.latents.slice(k * latents.length, (k + 1) * latents.length))
      assert.ok(trace.members[0].steps.some(({ action }) => action === 'partial'))
      assert.not(trace.warnings)
    }
  })

  test(`${JSON.stringify(policy)}: recorded and replayed it is the same, and would decide the same`, async () => {
    const { recording, latents } = await recorded()
    const read = JSON.parse(JSON.stringify(recording)) as typeof recording
    const again = await pipeline.generate({ ...robot, policy: { name: 'replay', recording: read } })
    assert.equal(again.latents, latents)
    for (const { steps } of again.trace.members)
      for (const { own, deviation } of steps) assert.equal([own, deviation], [undefined, undefined])
  })
}

test('deepcache: the power schedule of the published worked example; equal intervals otherwise', () => {
  const options = { interval: 5, uniform: false, center: 15, power: 1.4 }
  assert.equal(deepCacheSchedule(50, options), [0, 5, 9, 13, 17, 21, 26, 31, 37, 43])
  // Powers at which steps coincide, lowered by the published code in numpy.
  assert.equal(deepCacheSchedule(20, { ...options, interval: 2, center: 0, power: 5 }), [0, 1, 2, 4, 6, 8, 10, 12, 14, 17])
  assert.equal(deepCacheSchedule(28, { ...options, interval: 3, center: 25, power: 5 }), [0, 6, 11, 15, 19, 22, 24, 25, 26, 27])
  assert.equal(deepCacheSchedule(11, { ...options, uniform: true }), [0, 5, 10])
  assert.equal(deepCacheSchedule(3, options), [0])
  assert.throws(() => deepCacheSchedule(50, { ...options, interval: 2, center: 25 }), /around center 25/)
})

test('deepcache reuses the deep part: all blocks but the last, or what lies between the ends of a UNet', async () => {
  const { trace } = await pipeline.generate({ ...robot, policy: 'deepcache' })
  const partial = trace.members[0].steps.find(({ action }) => action === 'partial')!
  // plan.json, by hand: embed 200908800, a block 442368 + 64·1062912 + 4096·768, the middle four of them, head 337600512.
  const block = 442368 + 64 * 1062912 + 4096 * 768
  const rest = 200908800 + block + 337600512
  assert.ok(Math.abs(partial.flopShare! - rest / (rest + 5 * block)) < 1e-12)
})

test('blocks are the stages of kind "tokens"; too few are named', () => {
  const context = (kinds: string) =>
    ({
      stages: Array.from(kinds, (kind, k) => ({ name: `s${k}`, kind: kind === 't' ? 'tokens' : 'dense' })),
    }) as unknown as RunContext
  assert.equal(blocks('x', context('dttd'), 2), ['s1', 's2'])
  assert.throws(() => blocks('x', context('dtd'), 2), /at least 2 of kind .* has s0 \(dense\), s1 \(tokens\), s2 \(dense\)/)
  assert.throws(() => blocks('x', context('dtdtd'), 2), /only dense ones around them/)
  assert.throws(() => blocks('x', context(''), 1), /one piece/)
})

test('Taylor weights continue polynomials of their order exactly where gaps are equal', () => {
  // Backward differences at distance g: of f(t) = t, F_1 = 1 exactly; of f = t², F_1 = 2t − g, F_2 = 2, at any e: f + F_1·e + F_2·e²/2.
  const at = (f: (t: number) => number, computed: number[], step: number, order: number): number =>
    taylorWeights(computed, step, order).reduce((sum, weight, k) => sum + weight * f(computed[k]), 0)
  assert.is(
    at((t) => t, [9, 5, 2], 11, 1),
    11,
  )
  assert.is(
    at((t) => t * t, [9, 6, 3], 11, 2),
    81 + (18 - 3) * 2 + (2 * 4) / 2,
  )
  assert.equal(taylorWeights([4], 6, 3), [1])
  assert.equal(taylorWeights([4, 2], 6, 0), [1])
  assert.equal(taylorWeights([4, 2], 6, 2), [2, -1])
})

test.run()
