import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { sample, type SadaError, type NetworkFunction, type PolicySpec } from '../../ts/index.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { createPolicy } from '../../ts/policy/index.ts'
import { Response } from '../../ts/policy/response.ts'
import { parseSchedulerConfig } from '../../ts/schedule/config.ts'
import { createSchedule } from '../../ts/schedule/schedule.ts'
import { createSolver } from '../../ts/solver/solver.ts'
import { configs } from '../support/run.ts'

/** A network that overreacts to errors of the state, as strong guidance has it, and what `sada` learns of it. */

const x0 = { prediction_type: 'sample' }
const schedulers = {
  'flow-euler': configs['flow-euler'],
  'dpm++': { ...configs['dpm++'], ...x0 },
  euler: { ...configs.euler, ...x0 },
}
type Scheduler = keyof typeof schedulers
const LENGTH = 64
const STEPS = 50
const [end, slope, bend] = [1, 2, 4].map((seed) => new TorchGenerator(seed).randn(LENGTH))

async function run(scheduler: Scheduler, network: NetworkFunction, policy: PolicySpec): Promise<Float32Array> {
  const { latents } = await sample({
    scheduler: schedulers[scheduler],
    steps: STEPS,
    shape: [1, LENGTH],
    seed: 3,
    network,
    policy,
  })
  return latents
}

/** Along a full run the clean sample follows a curve; where the state is off that run, it is off by `response` times as much of a clean sample. */
async function responding(scheduler: Scheduler, response: number): Promise<NetworkFunction> {
  const course: Float32Array[] = []
  const answer =
    (record: boolean): NetworkFunction =>
    ({ sample: x, alpha, sigma, step }) => {
      if (record) course[step] = x.slice()
      const level = sigma / (alpha + sigma)
      return x.map((value, k) => {
        const off = alpha === 0 ? 0 : (response * (value - course[step][k])) / alpha
        const clean = end[k] + level * slope[k] + level * level * bend[k] + off
        return scheduler === 'flow-euler' ? (value - clean) / sigma : clean
      })
    }
  await run(scheduler, answer(true), 'none')
  return answer(false)
}

const distance = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, v, k) => sum + (v - b[k]) ** 2, 0) / LENGTH)

for (const scheduler of Object.keys(schedulers) as Scheduler[]) {
  test(`${scheduler}: a network that overreacts is damped: the error is ten times smaller and more`, async () => {
    const network = await responding(scheduler, -5)
    const full = await run(scheduler, network, 'none')
    const errorOf = async (damping: number): Promise<number> =>
      distance(await run(scheduler, network, { name: 'sada', tolerance: 10, maxConsecutive: 2, damping }), full)
    const [free, damped] = [await errorOf(0), await errorOf(2)]
    assert.ok(damped * 10 < free, `${damped} instead of ${free}`)
  })

  test(`${scheduler}: where it does not overreact, damping changes no bit`, async () => {
    for (const response of [0, 0.5]) {
      const network = await responding(scheduler, response)
      const [free, damped] = [0, 2].map((damping) => run(scheduler, network, { name: 'sada', tolerance: 10, damping }))
      assert.equal(await damped, await free, String(response))
    }
  })
}

test('a response is negative or nothing, follows slopes that turn, and is forgotten where they do not', () => {
  const response = new Response(2)
  response.learn(0.5)
  assert.not(response.isKnown)
  response.learn(-0.5)
  assert.is(response.share(0.25), 1 / (1 + 1 * 0.25))
  response.learn(-9) // as −2: a slope that turns further says no more
  assert.is(response.share(0.25), 1 / (1 + 5 * 0.25))
  response.learn(-9)
  assert.is(response.share(0.25), 1 / (1 + 6 * 0.25))
  for (let k = 0; k < 3; k++) response.learn(1)
  assert.not(response.isKnown)
  assert.is(response.share(0.25), 1)
})

test('by default above a guidance scale of 3, with the solvers that this has swing', () => {
  const dampingOf = (config: object, guidance: number) => {
    const solver = createSolver(createSchedule(parseSchedulerConfig(config).config, { steps: STEPS }))
    const context = { solver, members: 1, guidance, canPrune: false, tokens: 0, stages: [], reusable: [] }
    return createPolicy('sada').begin(context).options.damping
  }
  for (const scheduler of ['dpm++', 'euler'] as const) {
    for (const guidance of [1, 3]) assert.is(dampingOf(schedulers[scheduler], guidance), 0)
    for (const guidance of [3.1, 7.5]) assert.is(dampingOf(schedulers[scheduler], guidance), 2)
  }
  assert.is(dampingOf(schedulers['flow-euler'], 7), 0)
  assert.is(dampingOf({ ...schedulers['dpm++'], algorithm_type: 'sde-dpmsolver++' }, 7), 0)
  assert.is(dampingOf({ ...schedulers.euler, _class_name: 'EulerAncestralDiscreteScheduler' }, 7), 0)
})

test('with a scheduler that adds fresh noise it does nothing, and says so where it was asked for', async () => {
  const scheduler = { ...configs.euler, prediction_type: 'sample', _class_name: 'EulerAncestralDiscreteScheduler' }
  const network: NetworkFunction = ({ sample: x, alpha, sigma }) =>
    x.map((value, k) => end[k] + (sigma / (alpha + sigma)) * slope[k] - 3 * value)
  const [without, asked] = await Promise.all(
    [0, 2].map((damping) =>
      sample({ scheduler, steps: STEPS, shape: [1, LENGTH], seed: 3, network, policy: { name: 'sada', tolerance: 10, damping } }),
    ),
  )
  assert.equal(asked.latents, without.latents)
  assert.is(without.trace.warnings, undefined)
  assert.match(asked.trace.warnings!.join(), /"damping" does nothing/)
})

test('sample() is told the guidance that its network applies, and its policy follows', async () => {
  const optionsAt = async (guidanceScale?: number) => {
    const { trace } = await sample({
      scheduler: schedulers['dpm++'],
      steps: STEPS,
      shape: [1, LENGTH],
      seed: 3,
      network: ({ sample: x }) => x.slice(),
      guidanceScale,
    })
    const { damping, tail } = trace.options
    return { guidance: trace.guidance, damping, tail }
  }
  assert.equal(await optionsAt(), { guidance: 1, damping: 0, tail: 3 })
  assert.equal(await optionsAt(7.5), { guidance: 7.5, damping: 2, tail: 8 })
  for (const wrong of [-1, 101, NaN, '3']) {
    await optionsAt(wrong as number).then(
      () => assert.unreachable(),
      (error: SadaError) => assert.match(error.message, /"guidanceScale" to be a number from 0 to 100/),
    )
  }
})

test.run()
