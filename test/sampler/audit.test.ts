import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SadaError } from '../../ts/errors.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { Audit, checkAudit, t95 } from '../../ts/sampler/audit.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configs, LENGTH, mixtureNetwork, runInJs } from '../support/run.ts'

const noise = (seed: number): Float32Array => new TorchGenerator(seed).randn(LENGTH)
const latents = [noise(1), noise(2), noise(3)]
const schedulers = Object.keys(configs) as (keyof typeof configs)[]
const isSkip = (action: string): boolean => !['run', 'prune', 'partial'].includes(action)

for (const scheduler of schedulers) {
  for (const policy of ['sada', 'sada/poster', 'every-n', 'adaptive-diffusion']) {
    test(`${scheduler}, ${policy}: an audit changes neither the result nor the decisions`, async () => {
      const plain = await runInJs({ scheduler, policy, latents })
      const audited = await runInJs({ scheduler, policy, latents, audit: 1 })
      assert.equal(audited.latents, plain.latents)
      for (const [b, { steps, nfe, audit }] of audited.trace.members.entries()) {
        const before = plain.trace.members[b]
        assert.is(nfe, before.nfe)
        assert.equal(
          steps.map(({ action }) => action),
          before.steps.map(({ action }) => action),
        )
        const skips = steps.filter(({ action }) => isSkip(action))
        assert.ok(skips.every(({ auditedError }) => auditedError !== undefined && auditedError >= 0))
        assert.ok(steps.every(({ action, auditedError }) => isSkip(action) || auditedError === undefined))
        assert.is(audit!.skipped, skips.length)
        assert.is(audit!.audited, skips.length)
        // Everything was looked at: nothing is uncertain.
        if (skips.length >= 2) assert.ok(audit!.error!.high - audit!.error!.low <= 1e-12 * audit!.error!.estimate)
      }
    })
  }
}

test('the audited error is the distance of what stood in for x0 from what the network says there', async () => {
  const inner = mixtureNetwork('flow-euler')
  const truths = new Map<number, Float32Array>()
  const guesses = new Map<number, Float32Array>()
  const { trace } = await runInJs({
    scheduler: 'flow-euler',
    policy: { name: 'every-n', n: 3, order: 0 },
    latents: [latents[0]],
    audit: 1,
    network: async (call) => {
      const output = await inner(call)
      truths.set(
        call.step,
        call.sample.map((x, i) => x - call.sigma * output[i]),
      )
      return output
    },
    onStep: ({ step, denoised }) => guesses.set(step, denoised()),
  })
  for (const { step, action, auditedError } of trace.members[0].steps) {
    if (!isSkip(action)) continue
    const [guess, truth] = [guesses.get(step)!, truths.get(step)!]
    const square = guess.reduce((sum, x, i) => sum + (x - truth[i]) ** 2, 0)
    const expected = Math.sqrt(square / LENGTH)
    // The row x0 − x + σ·u is formed in float32 from numbers of order one.
    assert.ok(Math.abs(auditedError! - expected) <= 1e-5 * expected + 3e-7, `step ${step}: ${auditedError}, ${expected}`)
  }
})

test("the report adds up the audited errors by how much of x0 each step mixes into the state, as a sample's mean says", async () => {
  const { levels } = createSchedule(parseSchedulerConfig(configs['dpm++']).config, { steps: 50 })
  const level = levels.map(({ alpha, sigma }) => sigma / (alpha + sigma))
  // Two-sided 95 % quantiles of Student's t by degrees of freedom, as tabulated.
  const quantiles = [NaN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131]
  for (const share of [0.4, 1]) {
    const { trace } = await runInJs({ scheduler: 'dpm++', policy: 'every-n', latents: [latents[0]], audit: share })
    const { steps, audit } = trace.members[0]
    const errors = steps.flatMap(({ step, auditedError }) =>
      auditedError === undefined ? [] : [(1 - level[step + 1] / level[step]) * auditedError],
    )
    const [all, n] = [steps.filter(({ action }) => isSkip(action)).length, errors.length]
    const mean = errors.reduce((sum, error) => sum + error, 0) / n
    const variance = errors.reduce((sum, error) => sum + (error - mean) ** 2, 0) / (n - 1)
    // Of n of N without replacement: the standard error of the sum, with the finite population's correction.
    const spread = n === all ? 0 : quantiles[n - 1] * all * Math.sqrt((variance / n) * ((all - n) / all))
    const expected = [all, n, all * mean, Math.max(0, all * mean - spread), all * mean + spread]
    const { estimate, low, high } = audit!.error!
    const found = [audit!.skipped, audit!.audited, estimate, low, high]
    found.forEach((value, k) =>
      assert.ok(Math.abs(value - expected[k]) <= 1e-3 * expected[k] + 1e-12, `${found.join()}; ${expected.join()}`),
    )
  }
})

test('a share is audited, always the same one, and its interval holds the whole in most runs', async () => {
  let inside = 0
  let runs = 0
  for (let seed = 10; seed < 30; seed++) {
    const spec = { scheduler: 'dpm++', policy: 'every-n', latents: [noise(seed)] } as const
    const all = (await runInJs({ ...spec, audit: 1 })).trace.members[0].audit!
    const some = await runInJs({ ...spec, audit: 0.4 })
    const { audit } = some.trace.members[0]
    assert.ok(audit!.audited >= 2 && audit!.audited < audit!.skipped)
    const { low, high } = audit!.error!
    runs++
    if (all.error!.estimate >= low && all.error!.estimate <= high) inside++
  }
  assert.ok(inside / runs >= 0.8, `${inside} of ${runs}`)
})

test('a skip that was refused is none', async () => {
  // The network's answers are float32; a cubic through them, as their signs alternate, is not.
  const { trace } = await runInJs({
    scheduler: 'flow-euler',
    steps: 12,
    policy: { name: 'every-n', n: 3, order: 3, warmup: 4, tail: 0 },
    latents: [latents[0]],
    audit: 1,
    network: ({ sample, step }) => sample.map(() => (step >= 4 ? 0.5 : step % 2 === 0 ? -1e38 : 1e38)),
  })
  const { steps, nfe, audit } = trace.members[0]
  const skips = steps.filter(({ action }) => isSkip(action)).length
  // By the schedule 5, 6, 8, 9 and 11 are skipped.
  assert.is(steps[5].action, 'run')
  assert.ok(skips > 0 && skips < 5)
  assert.is(audit!.skipped, skips)
  assert.is(nfe, 12 - skips)
})

test('of many skips the share that was asked for is audited', () => {
  const schedule = createSchedule(parseSchedulerConfig(configs.euler).config, { steps: 50 })
  for (const share of [0, 0.1, 0.5, 0.8, 1]) {
    const audit = new Audit(share, createSolver(schedule), 64)
    let chosen = 0
    for (let k = 0; k < 50 * 64; k++) if (audit.chooses(k % 50, Math.floor(k / 50))) chosen++
    // Four standard deviations of so many tosses at most.
    assert.ok(Math.abs(chosen / 3200 - share) <= 4 * Math.sqrt((share * (1 - share)) / 3200), `${chosen} at ${share}`)
  }
})

test('one audited skip has no interval; an interval does not go below 0', () => {
  const schedule = createSchedule(parseSchedulerConfig(configs.euler).config, { steps: 50 })
  const audit = new Audit(1, createSolver(schedule), 2)
  audit.note(10, 0, 0.1)
  assert.equal(audit.report(0, 5), { skipped: 5, audited: 1, error: undefined })
  assert.equal(audit.report(1, 5), { skipped: 5, audited: 0, error: undefined })
  audit.note(11, 0, 0)
  const { estimate, low, high } = audit.report(0, 5).error!
  assert.ok(estimate > 0 && low === 0 && high > 2 * estimate)
})

test('t95 is the tabulated quantile', () => {
  const tabulated = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
  for (const [k, expected] of tabulated.entries()) assert.ok(Math.abs(t95(k + 1) - expected) < 2e-3, `${k + 1}: ${t95(k + 1)}`)
  assert.ok(Math.abs(t95(30) - 2.0423) < 1e-4)
  assert.ok(Math.abs(t95(1000) - 1.9623) < 1e-4)
})

test('a share outside of 0 … 1 is refused by name', () => {
  for (const bad of [-0.1, 1.1, NaN, '1', null]) {
    try {
      checkAudit(bad as number)
      assert.unreachable()
    } catch (error) {
      assert.is((error as SadaError).argument, 'audit')
    }
  }
  assert.equal([undefined, 0, 1].map(checkAudit), [0, 0, 1])
})

test('an answer to an audit that is not finite measures nothing', async () => {
  const inner = mixtureNetwork('dpm++')
  const plain = await runInJs({ scheduler: 'dpm++', policy: 'every-n', latents: [noise(1)] })
  const { latents, trace } = await runInJs({
    scheduler: 'dpm++',
    policy: 'every-n',
    latents: [noise(1)],
    audit: 1,
    network: async (call) =>
      plain.trace.members[0].steps[call.step].action === 'run' || call.step % 2 === 0
        ? inner(call)
        : new Float32Array(LENGTH).fill(NaN),
  })
  assert.equal(latents, plain.latents)
  const { steps, audit } = trace.members[0]
  const skips = steps.filter(({ action }) => action !== 'run')
  for (const { step, auditedError } of skips) assert.is(Number.isFinite(auditedError), step % 2 === 0, String(step))
  assert.is(audit!.audited, skips.filter(({ step }) => step % 2 === 0).length)
  assert.ok(Number.isFinite(audit!.error!.estimate))
})

test.run()
