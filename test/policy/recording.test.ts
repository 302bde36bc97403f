import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SadaError } from '../../ts/errors.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { createPolicy, policies } from '../../ts/policy/index.ts'
import { recorded, type Recording } from '../../ts/policy/recording.ts'
import type { NetworkFunction } from '../../ts/sampler/callback-network.ts'
import { LENGTH, mixtureNetwork, runInJs, type RunSpec } from '../support/run.ts'

const noise = (seed: number): Float32Array => new TorchGenerator(seed).randn(LENGTH)
const batch = [noise(1), noise(2)]

async function record(spec: Omit<RunSpec, 'policy'>, policy: string): Promise<{ latents: Float32Array; recording: Recording }> {
  const notes = recorded(createPolicy(policy))
  const { latents } = await runInJs({ ...spec, policy: notes.policy })
  return { latents, recording: JSON.parse(JSON.stringify(notes.take())) as Recording }
}
const replay = (recording: unknown) => ({ name: 'replay', recording })

/** Policies that run on a network of one piece with the settings of this test. */
const onAnyNetwork = async (policy: string): Promise<boolean> =>
  runInJs({ scheduler: 'dpm++', policy, latents: batch }).then(
    () => true,
    (error: SadaError) => {
      assert.not.equal(error.code, 'INTERNAL', error.message)
      return false
    },
  )

for (const policy of Object.keys(policies)) {
  test(`${policy}: a replay of its recording, through JSON, gives the same bits and finds nothing different`, async () => {
    if (!(await onAnyNetwork(policy))) return
    const { latents, recording } = await record({ scheduler: 'dpm++', latents: batch }, policy)
    const again = await runInJs({ scheduler: 'dpm++', policy: replay(recording), latents: batch })
    assert.equal(again.latents, latents)
    for (const { steps } of again.trace.members) {
      assert.ok(steps.every(({ deviation, own }) => deviation === undefined && own === undefined))
    }
  })
}

test('a replay on other numbers makes the same decisions, and says where and by how much they part', async () => {
  const { recording } = await record({ scheduler: 'dpm++', latents: batch }, 'sada')
  // As another engine would round: a relative difference of 1e-3 from step 12 on, in every output.
  const inner = mixtureNetwork('dpm++')
  const network: NetworkFunction = async (call) => {
    const output = await inner(call)
    return call.step >= 12 ? output.map((value) => value * 1.001) : output
  }
  const { trace } = await runInJs({ scheduler: 'dpm++', policy: replay(recording), latents: batch, network })
  for (const [b, { steps }] of trace.members.entries()) {
    const actions = recording.members[b].map(({ done }) => (done.kind === 'skip' ? done.action : done.kind))
    assert.equal(
      steps.map(({ action }) => action),
      actions,
    )
    const first = steps.findIndex(({ deviation }) => deviation !== undefined)
    const firstRun = actions.findIndex((action, i) => i >= 12 && action === 'run')
    assert.is(first, firstRun)
    assert.ok(steps[first].deviation! > 1e-5 && steps[first].deviation! < 1)
  }
})

test('a recording of one member is replayed by every member of a batch', async () => {
  const { latents, recording } = await record({ scheduler: 'flow-euler', latents: [batch[0]] }, 'sada')
  const { latents: both, trace } = await runInJs({ scheduler: 'flow-euler', policy: replay(recording), latents: batch })
  assert.equal(both.slice(0, LENGTH), latents)
  const actions = trace.members.map(({ steps }) => steps.map(({ action }) => action).join())
  assert.is(actions[0], actions[1])
})

test('a replay on a slower machine gives the same bits, also of a policy that goes by the clock', async () => {
  const inner = mixtureNetwork('dpm++')
  const network: NetworkFunction = async (call) => {
    await new Promise((resolve) => setTimeout(resolve, 3))
    return inner(call)
  }
  for (const target of [{ speedup: 2 }, { speedup: 4 }, { ms: 60 }]) {
    const notes = recorded(createPolicy({ name: 'auto', target }))
    const { latents } = await runInJs({ scheduler: 'dpm++', policy: notes.policy, latents: batch, network })
    const policy = replay(JSON.parse(JSON.stringify(notes.take())))
    const onStep = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10))
    const again = await runInJs({ scheduler: 'dpm++', policy, latents: batch, onStep })
    assert.equal(again.latents, latents, JSON.stringify(target))
    for (const { steps } of again.trace.members) assert.ok(steps.every(({ deviation }) => deviation === undefined))
  }
})

test('where the policy itself would have decided otherwise, the trace says so', async () => {
  const { recording } = await record({ scheduler: 'dpm++', latents: [batch[0]] }, 'sada')
  const { trace } = await runInJs({ scheduler: 'dpm++', policy: replay(recording), latents: [noise(9)] })
  const other = await runInJs({ scheduler: 'dpm++', policy: 'sada', latents: [noise(9)] })
  const firstOther = other.trace.members[0].steps.findIndex(({ action }, i) => action !== trace.members[0].steps[i].action)
  assert.ok(firstOther > 0)
  assert.is(
    trace.members[0].steps.findIndex(({ own }) => own !== undefined),
    firstOther,
  )
})

test('a recording that does not fit the run, or is none, is refused with what differs', async () => {
  const { recording } = await record({ scheduler: 'dpm++', latents: batch }, 'sada')
  const refusal = async (spec: Partial<RunSpec>, value: unknown = recording): Promise<SadaError> =>
    runInJs({ scheduler: 'dpm++', latents: batch, ...spec, policy: replay(value) }).then(
      () => assert.unreachable() as never,
      (error: SadaError) => error,
    )
  for (const [spec, word] of [
    [{ scheduler: 'euler' }, 'solver'],
    [{ steps: 49 }, 'steps'],
    [{ latents: [...batch, noise(3)] }, 'members'],
  ] as const) {
    const error = await refusal(spec)
    assert.is(error.code, 'INVALID_ARGUMENT')
    assert.is(error.argument, 'policy.recording')
    assert.match(error.message, word)
  }
  // The same solver and steps, at other noise levels, or under other guidance.
  for (const at of [0, 30, 50]) {
    const levels = recording.levels.map((level, i) => (i === at ? [level[0], level[1] + 1e-9] : level))
    assert.match((await refusal({}, { ...recording, levels })).message, `at step ${at} the noise level`)
  }
  assert.match((await refusal({}, { ...recording, guidance: 3 })).message, 'with guidance 3, this run has 1')
  const cut = { ...recording, members: recording.members.map((steps) => steps.slice(0, 10)) }
  assert.match((await refusal({}, cut)).message, "a member's steps: 10, this run has 50")
  const long = { ...recording, members: recording.members.map((steps) => [...steps, steps[0]]) }
  assert.match((await refusal({}, long)).message, "a member's steps: 51, this run has 50")
  for (const bad of [null, 7, {}, { ...recording, schema: 'other' }, { ...recording, members: [] }]) {
    assert.is((await refusal({}, bad)).argument, 'policy.recording')
  }
})

test('a recording from before its policy had an option is refused, as what the option does now was not in that run', async () => {
  const { recording } = await record({ scheduler: 'dpm++', latents: batch }, 'sada')
  const { damping, ...options } = recording.options
  assert.is(damping, 0)
  await runInJs({ scheduler: 'dpm++', policy: replay({ ...recording, options }), latents: batch }).then(
    () => assert.unreachable(),
    (error: SadaError) => {
      assert.is(error.code, 'INVALID_ARGUMENT')
      assert.match(error.message, /before "sada" had an option "damping": record the run again/)
    },
  )
})

test('a recording in which steps were changed is refused where they need what its policy has not kept, or follows them', async () => {
  const spec = { scheduler: 'flow-euler', latents: [batch[0]] } as const
  const { recording } = await record(spec, 'sada')
  const [steps] = recording.members
  const skipped = steps.findIndex(({ done }) => done.kind === 'skip')
  const changed = (at: number, done: unknown): unknown => ({
    ...recording,
    members: [steps.map((each, i) => (i === at ? { ...each, done } : each))],
  })
  const replayedBy = (value: unknown) => runInJs({ ...spec, policy: replay(value) })
  const skip = (x0: object): unknown => ({ kind: 'skip', action: 'reuse', x0 })
  const selection = { maxKept: 8, window: [0, 4], seed: 1, fullAbove: 0.5 }
  for (const [at, done] of [
    [skipped, skip({ 'x0[99]': 1 })],
    [skipped, skip({ x0: 1 })],
    [skipped, skip({ toString: 1 })],
    [0, skip({ x0Prev: 1 })],
    [skipped, { kind: 'partial', weights: [1] }],
    [skipped, { kind: 'prune', selection: { ...selection, maxKept: -1 } }],
    [skipped, { kind: 'prune', selection: { ...selection, window: [0, 4.5] } }],
    [skipped, { kind: 'prune', selection: { ...selection, seed: 2 ** 32 } }],
  ] as const) {
    await replayedBy(changed(at, done)).then(
      () => assert.unreachable(),
      ({ code, argument }: SadaError) => assert.equal([code, argument], ['INVALID_ARGUMENT', 'policy.recording']),
    )
  }
  // After a run in its place the next skips go on from other steps; there are none after the last.
  const last = steps.map(({ done }) => done.kind).lastIndexOf('skip')
  const { trace } = await replayedBy(changed(last, { kind: 'run' }))
  const { action, own } = trace.members[0].steps[last]
  assert.equal([action, own], ['run', 'extrapolate'])
  // A measurement that is missing counts as a difference.
  const silent = { ...recording, members: [steps.map((each) => ({ ...each, means: [] }))] }
  assert.ok((await replayedBy(silent)).trace.members[0].steps.some(({ deviation }) => deviation === 1))
})

test('a replay that is recorded gives a recording of the policy that it repeats', async () => {
  const { latents, recording } = await record({ scheduler: 'dpm++', latents: batch }, 'sada')
  const notes = recorded(createPolicy(replay(recording)))
  await runInJs({ scheduler: 'dpm++', policy: notes.policy, latents: batch })
  assert.equal(JSON.parse(JSON.stringify(notes.take())), recording)
  assert.equal((await runInJs({ scheduler: 'dpm++', policy: replay(notes.take()), latents: batch })).latents, latents)
})

for (const policy of Object.keys(policies).filter((name) => name !== 'auto')) {
  test(`${policy}: a run of few steps can be recorded and replayed, and its trace is fit for JSON`, async () => {
    if (!(await onAnyNetwork(policy))) return
    for (const steps of [1, 2, 3, 4, 6]) {
      const { latents, recording } = await record({ scheduler: 'euler', latents: batch, steps }, policy)
      const again = await runInJs({ scheduler: 'euler', steps, policy: replay(recording), latents: batch })
      assert.equal(again.latents, latents)
      assert.equal(JSON.parse(JSON.stringify(again.trace.members)), again.trace.members)
    }
  })
}

test('auto with few steps: no forecast where nothing was measured', async () => {
  for (const steps of [2, 3, 4, 5, 6]) {
    const { trace } = await runInJs({ scheduler: 'euler', steps, policy: { name: 'auto', speedup: 2 }, latents: batch })
    assert.equal(JSON.parse(JSON.stringify(trace.members)), trace.members)
  }
})

test('a recording whose measurements are beyond float32 is fit for JSON as well, and replayed the same', async () => {
  // 1e30 squared is beyond float32, which what is measured is made of; its sum is not. One member is well.
  const network =
    (size: number): NetworkFunction =>
    ({ sample, step }) =>
      sample.map((_, k) => (step % 2 === 0 ? -1 : 1) * (k < LENGTH ? 1 : size))
  const spec = {
    scheduler: 'flow-euler',
    latents: batch,
    steps: 12,
  } as const
  const { policy, take } = recorded(createPolicy('sada'))
  const { latents } = await runInJs({ ...spec, policy, network: network(1e30) })
  const recording = JSON.parse(JSON.stringify(take())) as object
  assert.equal(recording, take())
  const again = async (size: number) =>
    runInJs({ ...spec, policy: createPolicy({ name: 'replay', recording }), network: network(size) })
  const same = await again(1e30)
  assert.equal(same.latents, latents)
  for (const { steps } of same.trace.members)
    assert.ok(steps.every(({ deviation, own }) => deviation === undefined && own === undefined))
  // What is finite now and was not is said to differ.
  const [well, other] = (await again(1)).trace.members
  assert.ok(well.steps.every(({ deviation }) => deviation === undefined))
  assert.ok(other.steps.slice(2).every(({ action, deviation }) => action !== 'run' || deviation === 1))
})

test('a recording is of a policy, not of a replay: one of another, however deep, is refused', async () => {
  const { recording } = await record({ scheduler: 'dpm++', latents: batch }, 'sada')
  let deep: Recording = recording
  for (let k = 0; k < 20_000; k++) deep = { ...recording, policy: 'replay', options: { recording: deep } }
  for (const given of [deep, { ...recording, policy: 'replay', options: { recording } }])
    assert.throws(
      () => createPolicy(replay(given)),
      ({ code, argument }: SadaError) => code === 'INVALID_ARGUMENT' && argument === 'policy.recording.policy',
    )
  // What is noted of a replay can be replayed.
  const again = recorded(createPolicy(replay(recording)))
  await runInJs({ scheduler: 'dpm++', policy: again.policy, latents: batch })
  createPolicy(replay(again.take()))
})

test.run()
