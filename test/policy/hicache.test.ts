import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TorchGenerator } from '../../ts/noise.ts'
import type { PolicyDefinition } from '../../ts/policy/definition.ts'
import { hermite, hiCache } from '../../ts/policy/hicache.ts'
import { resolveOptions } from '../../ts/policy/options.ts'
import type { RunContext } from '../../ts/policy/policy.ts'
import { taylorSeer } from '../../ts/policy/taylorseer.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { testNeverAndDefault, testRecorded } from '../support/rivals.ts'
import { configs, LENGTH, runInJs } from '../support/run.ts'

testRecorded('hicache')
testNeverAndDefault('hicache', { interval: 1 })

test('Hermite polynomials of the physicists, by hand', () => {
  // 1, 2x, 4x² − 2, 8x³ − 12x, 16x⁴ − 48x² + 12.
  assert.equal(hermite(1.5, 5), [1, 3, 7, 9, -15])
  assert.equal(hermite(0, 5), [1, 0, -2, 0, 12])
  assert.equal(hermite(-1.5, 4), [1, -3, 7, -9])
  for (const count of [1, 2]) assert.is(hermite(3, count).length, count)
})

/** What stands in for x0 at the skips of a run of 30 steps, as weights of what is remembered and of the state. */
function skips<O>(policy: PolicyDefinition<O>, options: Partial<O>) {
  const solver = createSolver(createSchedule(parseSchedulerConfig(configs['flow-euler']).config, { steps: 30 }))
  const context = { solver, members: 1, guidance: 1, stages: [] } as unknown as RunContext
  const [member] = policy.begin(resolveOptions(policy.options, options, context), context)
  return Array.from({ length: 30 }, (_, step) => {
    const decision = member.before(step)
    member.after(step, decision, [], 1)
    return decision.kind === 'skip' ? decision.x0 : {}
  })
}

test('hicache: at order 1 it goes 2σ² as far as taylorseer, at σ² = ½ as far; at order 0 they are the same', () => {
  const taylor = skips(taylorSeer, {})
  const same = skips(hiCache, { contraction: Math.SQRT1_2 })
  const [half, none] = [skips(hiCache, {}), skips(hiCache, { order: 0 })]
  assert.equal(none, skips(taylorSeer, { order: 0 }))
  const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-12, `${a}, ${b}`)
  let compared = 0
  for (const [step, row] of taylor.entries()) {
    assert.equal(Object.keys(same[step]).sort(), Object.keys(row).sort())
    for (const [name, weight] of Object.entries(row)) {
      close(same[step][name], weight)
      // Halfway from the newest output, which order 0 takes.
      close(half[step][name], (weight + (none[step][name] ?? 0)) / 2)
      compared++
    }
  }
  assert.ok(compared > 40, `${compared} weights`)
})

test('hicache: a network that always answers the same is continued exactly, whatever the order', async () => {
  const answer = new TorchGenerator(3).randn(LENGTH)
  const latents = [new TorchGenerator(1).randn(LENGTH)]
  const made = async (policy: object | string) =>
    (await runInJs({ scheduler: 'flow-euler', policy: policy as never, latents, network: () => Promise.resolve(answer.slice()) }))
      .latents
  const plain = await made('none')
  for (const order of [0, 1, 2, 4]) {
    const found = await made({ name: 'hicache', order, contraction: 0.9 })
    // float32 rounding of weights that add up to 1 but are larger at higher orders.
    for (const [k, value] of plain.entries())
      assert.ok(Math.abs(found[k] - value) < 1e-4, `order ${order}: ${found[k]}, ${value}`)
  }
})

test.run()
