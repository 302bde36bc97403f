import { inspect } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SadaError } from '../../ts/errors.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import type { MemberPolicy, Policy } from '../../ts/policy/policy.ts'
import type { StepEvent } from '../../ts/sampler/trace.ts'
import { LENGTH, mixtureNetwork, runInJs, configs } from '../support/run.ts'

const noise = (seed: number): Float32Array => new TorchGenerator(seed).randn(LENGTH)
const schedulers = Object.keys(configs) as (keyof typeof configs)[]

async function rejection(promise: Promise<unknown>): Promise<SadaError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.instance(error, SadaError)
  return error as SadaError
}

/** A policy that skips the given steps with the given row. */
function skipping(steps: readonly number[], x0: (step: number) => Record<string, number>): Policy {
  const member = (): MemberPolicy => ({
    capacity: 2,
    before: (step) => (steps.includes(step) ? { kind: 'skip', action: 'reuse', x0: x0(step) } : { kind: 'run' }),
    observe: () => ({ store: { kept: { x0: 1 } }, means: [{ a: { x0: 1 } }] }),
    after: () => ({}),
    keeps: () => ['kept'],
  })
  return { name: 'test', begin: ({ members }) => ({ options: {}, members: Array.from({ length: members }, member) }) }
}

for (const scheduler of schedulers) {
  for (const policy of ['none', 'sada', 'sada/poster', 'every-n'] as const) {
    test(`${scheduler}, ${policy}: a member of a batch is, bit for bit, what it is alone`, async () => {
      const batch = await runInJs({ scheduler, policy, latents: [noise(1), noise(2), noise(3)] })
      for (const [b, seed] of [1, 2, 3].entries()) {
        const alone = await runInJs({ scheduler, policy, latents: [noise(seed)] })
        assert.equal(batch.latents.slice(b * LENGTH, (b + 1) * LENGTH), alone.latents)
        const actions = (trace: typeof batch.trace, m: number) => trace.members[m].steps.map(({ action }) => action)
        assert.equal(actions(batch.trace, b), actions(alone.trace, 0))
      }
    })
  }

  test(`${scheduler}: the trace accounts for every step and every network run`, async () => {
    let calls = 0
    const network = mixtureNetwork(scheduler)
    const startedAt = performance.now()
    const { trace } = await runInJs({
      scheduler,
      policy: 'sada',
      latents: [noise(4)],
      network: (input) => (calls++, network(input)),
    })
    const elapsed = performance.now() - startedAt
    const { steps, nfe } = trace.members[0]
    assert.is(steps.length, 50)
    assert.is(nfe, calls)
    assert.is(steps.filter(({ action }) => action === 'run' || action === 'prune').length, calls)
    assert.ok(calls < 40, `${calls} runs of 50`)
    steps.forEach((step, i) => assert.is(step.step, i))
    const inSteps = steps.reduce((sum, { ms }) => sum + ms, 0)
    assert.ok(0 < inSteps && inSteps <= trace.ms && trace.ms <= elapsed, `${inSteps} of ${trace.ms} of ${elapsed} ms`)
    assert.ok(0 < trace.overheadMs && trace.overheadMs < trace.ms)
  })

  for (const steps of [1, 2, 3]) {
    test(`${scheduler}, ${steps} step(s): sada runs them all, bit for bit the plain solver`, async () => {
      const [sada, plain] = await Promise.all(
        ['sada', 'none'].map((policy) => runInJs({ scheduler, policy, latents: [noise(5)], steps })),
      )
      assert.equal(sada.latents, plain.latents)
      assert.is(sada.trace.members[0].nfe, steps)
    })
  }
}

test('only the members that run are given to the network, compacted', async () => {
  const seen: (readonly number[])[] = []
  const network = mixtureNetwork('flow-euler')
  const policy: Policy = {
    name: 'test',
    begin: (context) => ({
      options: {},
      members: [[2], [2, 3], []].map(
        (steps) => skipping(steps, () => ({ kept: 1 })).begin({ ...context, members: 1 }).members[0],
      ),
    }),
  }
  await runInJs({
    scheduler: 'flow-euler',
    policy,
    steps: 5,
    latents: [noise(1), noise(2), noise(3)],
    network: (input) => (seen.push(input.members), assert.is(input.sample.length, input.members.length * LENGTH), network(input)),
  })
  assert.equal(seen, [[0, 1, 2], [0, 1, 2], [2], [0, 2], [0, 1, 2]])
})

test('a skip that is not finite is made again with the network', async () => {
  const { latents, trace } = await runInJs({
    scheduler: 'flow-euler',
    policy: skipping([7], () => ({ kept: Infinity })),
    steps: 10,
    latents: [noise(1)],
  })
  const plain = await runInJs({ scheduler: 'flow-euler', policy: 'none', steps: 10, latents: [noise(1)] })
  assert.equal(latents, plain.latents)
  assert.is(trace.members[0].steps[7].action, 'run')
})

test('skips that are not finite leave no buffers behind, however many there are', async () => {
  const steps = Array.from({ length: 40 }, (_, k) => 5 + k)
  const policy = skipping(steps, () => ({ kept: Infinity }))
  const { trace } = await runInJs({ scheduler: 'dpm++', policy, latents: [noise(1)] })
  assert.is(trace.members[0].nfe, 50)
})

test('a pruned pass is a whole one where the network cannot prune', async () => {
  const selection = { maxKept: 1, window: [0, 0], seed: 0, fullAbove: 1 } as const
  const whole = skipping([], () => ({}))
  const begin: Policy['begin'] = (context) => {
    const { options, members } = whole.begin(context)
    return { options, members: members.map((member) => ({ ...member, before: () => ({ kind: 'prune', selection }) })) }
  }
  const run = (policy: Policy) => runInJs({ scheduler: 'euler', policy, steps: 5, latents: [noise(1)] })
  const [pruned, plain] = [await run({ name: 'test', begin }), await run(whole)]
  assert.equal(pruned.latents, plain.latents)
  assert.ok(pruned.trace.members[0].steps.every(({ action }) => action === 'run'))
})

test('a non-finite answer of the network is an error that names the step', async () => {
  const network = mixtureNetwork('flow-euler')
  for (const bad of [NaN, Infinity, -Infinity]) {
    const failing = runInJs({
      scheduler: 'flow-euler',
      policy: 'sada',
      steps: 10,
      latents: [noise(1)],
      network: async (input) => {
        const answer = await network(input)
        if (input.step === 4) answer[LENGTH - 1] = bad
        return answer
      },
    })
    const error = await rejection(failing)
    assert.instance(error, SadaError)
    assert.is(error.code, 'NON_FINITE')
    assert.is(error.step, 4)
  }
})

test('abort rejects at once with the reason, whatever the network does', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const run = runInJs({
    scheduler: 'euler',
    policy: 'none',
    latents: [noise(1)],
    signal: controller.signal,
    network: () => (setTimeout(() => controller.abort(reason), 5), new Promise(() => {})),
  })
  assert.is(await run.catch((e: unknown) => e), reason)
})

test('a signal that fires in the callback of a step, the last one included, rejects', async () => {
  for (const last of [0, 9]) {
    const controller = new AbortController()
    const onStep = ({ step }: { step: number }): void => {
      if (step === last) controller.abort('enough')
    }
    const spec = {
      scheduler: 'euler',
      policy: 'none',
      steps: 10,
      latents: [noise(1)],
      signal: controller.signal,
      onStep,
    } as const
    assert.is(await runInJs(spec).catch((e: unknown) => e), 'enough')
  }
})

test('an aborted signal rejects before anything runs', async () => {
  let calls = 0
  const run = runInJs({
    scheduler: 'euler',
    policy: 'none',
    latents: [noise(1)],
    signal: AbortSignal.abort('no'),
    network: () => (calls++, new Float32Array(LENGTH)),
  })
  assert.is(await run.catch((e: unknown) => e), 'no')
  assert.is(calls, 0)
})

test('what the network throws is kept as the cause; wrong answers say what was expected', async () => {
  const cause = new Error('out of paper')
  const attempt = (answer: () => unknown) =>
    rejection(runInJs({ scheduler: 'euler', policy: 'none', latents: [noise(1)], network: answer as () => Float32Array }))
  const thrown = await attempt(() => {
    throw cause
  })
  assert.is(thrown.code, 'NETWORK_FAILED')
  assert.is(thrown.cause, cause)
  // Also what has no words of its own.
  for (const [what, said] of [
    ['no paper', /: no paper$/],
    [{ status: 503 }, /\{ status: 503 \}$/],
    [Object.create(null), /\[Object: null prototype\] \{\}$/],
    [{ [inspect.custom]: () => assert.unreachable() }, /util\.inspect\.custom/],
  ] as const) {
    const error = await attempt(() => {
      throw what
    })
    assert.equal([error.code, error.cause], ['NETWORK_FAILED', what])
    assert.match(error.message, said)
  }
  for (const answer of [undefined, [1, 2], new Float64Array(LENGTH), new Float32Array(LENGTH - 1)]) {
    const error = await attempt(() => answer)
    assert.is(error.code, 'NETWORK_OUTPUT')
    assert.match(error.message, String(LENGTH))
  }
})

test('a caller may transfer the sample away, and mutate it', async () => {
  const network = mixtureNetwork('dpm++')
  const plain = await runInJs({ scheduler: 'dpm++', policy: 'sada', latents: [noise(6)], steps: 20 })
  const hostile = await runInJs({
    scheduler: 'dpm++',
    policy: 'sada',
    latents: [noise(6)],
    steps: 20,
    network: async (input) => {
      const answer = await network(input)
      input.sample.fill(NaN)
      structuredClone(input.sample, { transfer: [input.sample.buffer as ArrayBuffer] })
      return answer
    },
  })
  assert.equal(hostile.latents, plain.latents)
})

test('state and denoised can be read inside the step callback, and only there', async () => {
  let kept: { state(): Float32Array } | undefined
  const { latents } = await runInJs({
    scheduler: 'flow-euler',
    policy: 'none',
    steps: 4,
    latents: [noise(1)],
    onStep: (event) => {
      kept = event
      assert.is(event.denoised().length, LENGTH)
      assert.is(event.state().length, LENGTH)
    },
  })
  assert.is(latents.length, LENGTH)
  assert.throws(() => kept!.state(), /inside the step callback/)
})

test('a step event says what was done and what is expected to be left, which is nothing after the last', async () => {
  const events: StepEvent[] = []
  const onStep = (event: StepEvent): void => void events.push(event)
  const { trace } = await runInJs({ scheduler: 'dpm++', policy: 'sada', latents: [noise(1), noise(2)], onStep })
  assert.is(events.length, 50)
  for (const [i, { step, steps, timestep, members, elapsedMs, etaMs }] of events.entries()) {
    const own = trace.members.map((member) => member.steps[i])
    assert.equal([step, steps, timestep, members], [i, 50, own[0].timestep, own])
    assert.ok(elapsedMs > 0 && elapsedMs <= trace.ms && (i === 0 || elapsedMs >= events[i - 1].elapsedMs))
    assert.ok(i === 49 ? etaMs === 0 : etaMs > 0, `step ${i}: ${etaMs}`)
  }
})

test('an error thrown by onStep ends the run with it', async () => {
  const boom = new Error('boom')
  const run = runInJs({
    scheduler: 'euler',
    policy: 'none',
    latents: [noise(1)],
    onStep: () => {
      throw boom
    },
  })
  assert.is(await run.catch((e: unknown) => e), boom)
})

test.run()
