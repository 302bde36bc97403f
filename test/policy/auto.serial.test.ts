import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { mean, median } from '../../ts/bench/statistics.ts'
import { type SadaError } from '../../ts/errors.ts'
import { load } from '../../ts/index.ts'
import { psnr } from '../../ts/metrics/psnr.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import type { PolicySpec } from '../../ts/policy/index.ts'
import type { NetworkFunction } from '../../ts/sampler/callback-network.ts'
import { configs, LENGTH, mixtureNetwork, runInJs } from '../support/run.ts'

const noise = (seed: number): Float32Array => new TorchGenerator(seed).randn(LENGTH)
const schedulers = Object.keys(configs) as (keyof typeof configs)[]
const auto = (target: Record<string, number>): PolicySpec => ({ name: 'auto', target })

/** A network that takes its time, as real ones do: `ms` milliseconds for each call. */
function slow(scheduler: keyof typeof configs, ms: number): NetworkFunction {
  const inner = mixtureNetwork(scheduler)
  return async (call) => {
    const until = performance.now() + ms
    const output = await inner(call)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, until - performance.now() - 1)))
    while (performance.now() < until);
    return output
  }
}

for (const scheduler of schedulers) {
  test(`${scheduler}: the runs are those that a speed-up leaves, on every prompt`, async () => {
    for (const speedup of [1.5, 2, 3]) {
      for (let seed = 1; seed <= 2; seed++) {
        const { trace } = await runInJs({
          scheduler,
          policy: auto({ speedup }),
          latents: [noise(seed)],
          network: slow(scheduler, 15),
        })
        const [{ nfe, steps }] = trace.members
        const cost = (ran: boolean): number =>
          median(steps.filter(({ action }) => (action === 'run') === ran).map(({ ms }) => ms))
        // Skips take time as well, the more of it the busier the machine is: steps·run / (runs·run + (steps − runs)·skip) = speedup.
        const share = cost(false) / cost(true)
        const planned = (50 * (1 / speedup - share)) / (1 - share)
        // The policy knows the medians of the steps so far, these are those of all.
        const what = `${speedup}: ${nfe} runs, ${planned} planned`
        assert.ok(nfe <= 50 / speedup + 0.5 && Math.abs(nfe - planned) <= 1.5, what)
      }
    }
  })
}

test('planned runs do better than the same number at equal distances', async () => {
  let wins = 0
  for (let seed = 1; seed <= 6; seed++) {
    const latents = [noise(seed)]
    const network = slow('dpm++', 10)
    const full = await runInJs({ scheduler: 'dpm++', policy: 'none', latents })
    const planned = await runInJs({ scheduler: 'dpm++', policy: auto({ speedup: 2 }), latents, network })
    const plain = await runInJs({ scheduler: 'dpm++', policy: 'none', latents, steps: planned.trace.members[0].nfe })
    const distance = (x: Float32Array): number => Math.hypot(...x.map((v, i) => v - full.latents[i]))
    if (distance(planned.latents) < distance(plain.latents)) wins++
  }
  assert.ok(wins >= 5, `${wins} of 6`)
})

test('runs beyond those that sada takes bring a picture closer', async () => {
  const pipeline = await load('avatar')
  const prompts = JSON.parse(readFileSync('models/avatar/prompts.json', 'utf8')) as { full: string[] }
  const generate = async (policy: PolicySpec) =>
    pipeline.generate({ prompt: prompts.full.slice(0, 4), seed: 1000, scheduler: 'dpm++', guidanceScale: 3, policy })
  const full = await generate('none')
  const outcome = async (policy: PolicySpec) => {
    const { latents, trace } = await generate(policy)
    return { runs: mean(trace.members.map(({ nfe }) => nfe)), psnr: psnr(latents, full.latents) }
  }
  const sada = await outcome('sada')
  const planned = await outcome(auto({ speedup: 2 }))
  await pipeline.dispose()
  assert.ok(sada.runs < planned.runs && sada.psnr < planned.psnr, JSON.stringify({ sada, planned }))
})

test('no run is begun that would end after the time is over, also where it is little', async () => {
  for (const ms of [20, 60, 120, 250]) {
    const spec = { scheduler: 'flow-euler', policy: auto({ ms }), latents: [noise(1)], network: slow('flow-euler', 8) } as const
    const { steps, nfe } = (await runInJs(spec)).trace.members[0]
    const lastRun = steps.map(({ action }) => action).lastIndexOf('run')
    const before = steps.slice(0, lastRun).reduce((sum, step) => sum + step.ms, 0)
    assert.ok(nfe === 1 || before < ms, `${ms} ms: the last run began after ${before}`)
    assert.ok(nfe >= 1 && nfe <= ms / 8 + 1, `${nfe} runs of 8 ms in ${ms} ms`)
  }
})

test('a run that took longer than its target says so, and by no other word', async () => {
  const spec = { scheduler: 'flow-euler', latents: [noise(1)], network: slow('flow-euler', 8) } as const
  const late = (await runInJs({ ...spec, policy: auto({ ms: 3 }) })).trace
  assert.equal(late.warnings, [
    `The run took ${Math.ceil(late.ms)} ms, more than the 3 ms that were its target.`,
    'The time was enough for 1 of 50 network runs, few to predict from: a plain step is the better choice.',
  ])
  assert.is((await runInJs({ ...spec, policy: auto({ ms: 1e6 }) })).trace.warnings, undefined)
  assert.is((await runInJs({ ...spec, policy: auto({ speedup: 2 }) })).trace.warnings, undefined)
})

test('a first run that takes much longer than the others leaves them what is left of the time', async () => {
  const [quick, cold] = [slow('flow-euler', 8), slow('flow-euler', 150)]
  const network: NetworkFunction = (call) => (call.step === 0 ? cold : quick)(call)
  const { trace } = await runInJs({ scheduler: 'flow-euler', policy: auto({ ms: 290 }), latents: [noise(1)], network })
  const [{ nfe, steps }] = trace.members
  const lastRun = steps.map(({ action }) => action).lastIndexOf('run')
  const before = steps.slice(0, lastRun).reduce((sum, step) => sum + step.ms, 0)
  assert.ok(nfe > 6 && before < 290, `${nfe} runs, the last begun after ${before} ms`)
})

test('the wider the error that a PSNR target allows, the fewer the runs', async () => {
  const runs: number[] = []
  for (const psnrDb of [25, 35, 45, 200]) {
    const { trace } = await runInJs({ scheduler: 'dpm++', policy: auto({ psnrDb }), latents: [noise(3)] })
    runs.push(trace.members[0].nfe)
  }
  for (let k = 1; k < runs.length; k++) assert.ok(runs[k] >= runs[k - 1], runs.join())
  assert.ok(runs[0] < runs[3])
  // A target that cannot be had is as close as the ledger comes.
  const { trace } = await runInJs({ scheduler: 'dpm++', policy: 'sada', latents: [noise(3)] })
  assert.is(runs[3], trace.members[0].nfe)
})

test('a target is needed, one, above 0', async () => {
  for (const policy of ['auto', auto({}), auto({ speedup: 2, ms: 100 })] as PolicySpec[]) {
    const error = await runInJs({ scheduler: 'dpm++', policy, latents: [noise(1)] }).then(
      () => assert.unreachable() as never,
      (refused: SadaError) => refused,
    )
    assert.is(error.code, 'INVALID_ARGUMENT')
    assert.is(error.argument, 'policy.target')
  }
  const none = await runInJs({ scheduler: 'dpm++', policy: auto({ speedup: 0 }), latents: [noise(1)] }).then(
    () => assert.unreachable() as never,
    (refused: SadaError) => refused,
  )
  assert.equal([none.code, none.argument], ['INVALID_ARGUMENT', 'policy.target.speedup'])
  const error = await runInJs({ scheduler: 'dpm++', policy: auto({ fps: 3 }), latents: [noise(1)] }).then(
    () => assert.unreachable() as never,
    (refused: SadaError) => refused,
  )
  assert.equal([error.code, error.argument], ['UNKNOWN_NAME', 'policy.target.fps'])
})

test.run()
