import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import { magCacheRatios } from '../../ts/policy/magcache.ts'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'
import { LENGTH, runInJs } from '../support/run.ts'

testRecorded('magcache')
testNeverAndDefault('magcache', { maxConsecutive: 0 })

const noise = (seed: number): Float32Array => new TorchGenerator(seed).randn(LENGTH)

test('magcache, calibrate: the ratios of what a network with known outputs adds to its input', async () => {
  // A network that answers input + 2^(−step): by hand, γ is ½ at every step but the first.
  const { trace } = await runInJs({
    scheduler: 'dpm++',
    steps: 20,
    policy: { name: 'magcache', calibrate: true },
    latents: [noise(1), noise(2)],
    network: ({ sample, step }) => sample.map((v) => v + 2 ** -(step % 8)),
  })
  assert.is(trace.warnings, undefined)
  assert.equal(
    trace.members.map(({ nfe }) => nfe),
    [20, 20],
  )
  const ratios = magCacheRatios(trace.members.map(({ steps }) => steps))
  ratios.forEach((ratio, i) => {
    const expected = i === 0 ? 1 : i % 8 === 0 ? 2 ** 7 : 0.5
    // float32: the residual is a small difference of numbers of about 4.
    assert.ok(Math.abs(ratio / expected - 1) < 1e-3, `step ${i}: ${ratio}`)
  })
})

test("magcache warns of FLUX's ratios on whatever network, and of others where their number is another", async () => {
  const warningsOf = async (policy: object) => {
    const spec = { scheduler: 'flow-euler', policy: { name: 'magcache', ...policy }, latents: [noise(1)], steps: 10 } as const
    return (await runInJs(spec)).trace.warnings
  }
  const [own, ...others] = (await warningsOf({}))!
  assert.match(own, "FLUX.1-dev's")
  assert.equal(others, [])
  assert.is(await warningsOf({ ratios: Array(10).fill(1), keep: -1 }), undefined)
  assert.equal(await warningsOf({ ratios: [1, 1], keep: -1 }), ['The ratios are of a run of 2 steps, this one has 10.'])
})

test('magcache says from which step on it reuses noise; only calibrating puts changes into the trace', async () => {
  const ratios = Array<number>(10).fill(1)
  for (const [retention, step] of [
    [0, 1],
    [0.1, 1],
    [0.24, 2],
    [0.25, 3],
  ]) {
    const policy = { name: 'magcache', keep: -1, ratios, retention } as const
    const { trace } = await runInJs({ scheduler: 'dpm++', steps: 10, policy, latents: [noise(1)] })
    assert.match(trace.warnings!.join(), new RegExp(`times over at step ${step}\\.`))
    const { steps } = trace.members[0]
    assert.equal(steps.map(({ action }) => action).indexOf('reuse'), step)
    assert.ok(steps.every(({ change }) => change === undefined))
  }
})

test('magcache: ratios are a list of numbers', async () => {
  for (const ratios of [[], [1, NaN], [1, -1], 3, 'a', Array(1001).fill(1)]) {
    await runInJs({ scheduler: 'euler', policy: { name: 'magcache', ratios }, latents: [noise(1)], steps: 10 }).then(
      () => assert.unreachable(),
      (error: { code: string; argument: string }) => {
        assert.is(error.code, 'INVALID_ARGUMENT')
        assert.is(error.argument, 'policy.ratios')
      },
    )
  }
})

test.run()
