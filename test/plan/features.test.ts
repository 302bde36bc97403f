import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { findModel } from '../../ts/pipeline/model-folder.ts'
import { loadModel, type Model } from '../../ts/plan/model.ts'
import { run, type Decision, type FeatureChange, type Features, type MemberPolicy, type Policy } from '../../ts/policy/policy.ts'
import { sample } from '../../ts/sampler/sample.ts'
import type { NetworkCall } from '../../ts/sampler/network.ts'
import { never } from '../../ts/sampler/abort.ts'
import { FULL } from '../../ts/sampler/memory.ts'
import { runStaged, stagedNetwork } from '../support/staged.ts'
import { configs, runInJs } from '../support/run.ts'
import type { PolicyName } from '../../ts/policy/spec.ts'

// Passes that leave stages of the bundled model out. What the policies make of them is tested beside the policies.

let model: Model
test.before(async () => void (model = await loadModel(await findModel('avatar'), {})))
test.after(() => model.engine.dispose())

const PROMPTS = ['a teal robot', 'a kid with ginger bun hair', 'a smiling toon person']
const LENGTH = 3 * 64 * 64
const MEMORIES = { from: 'middle', to: 'last', history: 1 } as const
const partial = (weights: readonly number[]): Decision => ({ kind: 'partial', weights })

interface Evaluation {
  readonly members: readonly number[]
  readonly decisions: readonly Decision[]
  readonly seed: number
  readonly midway?: (k: number, found: readonly FeatureChange[]) => Decision
}

/** Evaluates the network once for each call; returns the guided outputs of each, [call][member], and what was done. */
async function evaluate(spec: Features | undefined, guidance: number, calls: readonly Evaluation[]) {
  const workspace = new (loadAddon().Workspace)()
  try {
    const network = await stagedNetwork(model, workspace, PROMPTS, guidance)
    network.plan(FULL, spec, false)
    const results: { outputs: Float32Array[]; done: Decision[]; shares: (number | undefined)[] }[] = []
    for (const { members, decisions, seed, midway } of calls) {
      const states = members.map((member) => {
        const tensor = workspace.allocate(LENGTH)
        workspace.write(tensor, 0, new TorchGenerator(seed + member).randn(LENGTH))
        return { tensor, offset: 0 }
      })
      const call: NetworkCall = {
        step: 0,
        timestep: 500,
        level: { alpha: 0.5, sigma: 0.5 },
        inputScale: 1,
        members,
        states,
        selections: members.map(() => undefined),
        features: spec && { spec, decisions, midway },
        signal: never,
      }
      const made = await network.evaluate(call)
      const outputs = made.map(({ row, buffers }) => {
        const sum = new Float32Array(LENGTH)
        for (const [name, weight] of Object.entries(row)) {
          const branch = new Float32Array(LENGTH)
          workspace.read(buffers[name].tensor as number, buffers[name].offset, branch)
          branch.forEach((value, k) => (sum[k] += weight * value))
        }
        return sum
      })
      const done = made.map(({ done: each }, k) => each ?? decisions[k])
      results.push({ outputs, done, shares: made.map(({ flopShare }) => flopShare) })
    }
    return results
  } finally {
    workspace.dispose()
  }
}

const all = [0, 1, 2]
const ranges = [
  ['embed', 'embed'],
  ['first', 'middle'],
  ['middle', 'last'],
  ['embed', 'head'],
  ['head', 'head'],
] as const

for (const guidance of [1, 3]) {
  for (const [from, to] of ranges) {
    test(`guidance ${guidance}, ${from} to ${to}: reused at the same input, a pass is the whole pass, bit for bit`, async () => {
      const spec: Features = { reuse: { from, to, mode: 'output', history: 2 } }
      const [plain] = await evaluate(undefined, guidance, [{ members: all, decisions: [run, run, run], seed: 1 }])
      const [whole, reused] = await evaluate(spec, guidance, [
        { members: all, decisions: [run, run, run], seed: 1 },
        { members: all, decisions: all.map(() => partial([1])), seed: 1 },
      ])
      assert.equal(whole.outputs, plain.outputs)
      assert.equal(reused.outputs, plain.outputs)
      assert.equal(
        reused.done.map(({ kind }) => kind),
        ['partial', 'partial', 'partial'],
      )
    })
  }

  test(`guidance ${guidance}: members that run and members that do not share a call without touching each other`, async () => {
    const spec: Features = { reuse: { ...MEMORIES, mode: 'output' } }
    const mixed: Evaluation[] = [
      { members: all, decisions: [run, run, run], seed: 1 },
      { members: all, decisions: [run, partial([1]), run], seed: 5 },
      { members: [0, 2], decisions: [partial([1]), run], seed: 9 },
      { members: [1, 2], decisions: [partial([1]), partial([1])], seed: 13 },
    ]
    const batch = await evaluate(spec, guidance, mixed)
    for (const member of all) {
      // The others take part with the same number of rows, doing something else: engines round by the batch's size.
      const alone = await evaluate(
        spec,
        guidance,
        mixed.map((each) => ({ ...each, decisions: each.decisions.map((d, k) => (each.members[k] === member ? d : run)) })),
      )
      for (const [c, { members }] of mixed.entries()) {
        const k = members.indexOf(member)
        if (k < 0) continue
        assert.equal(batch[c].done[k].kind, mixed[c].decisions[k].kind)
        const worst = batch[c].outputs[k].reduce((most, v, at) => Math.max(most, Math.abs(v - alone[c].outputs[k][at])), 0)
        // One row differs from several by float32 rounding inside the engine; pairs and more do not.
        assert.ok(worst <= (guidance === 1 ? 5e-5 : 0), `call ${c}, member ${member}: ${worst}`)
      }
    }
  })
}

test('a difference reused at the same input is the whole pass but for one rounding', async () => {
  const spec: Features = { reuse: { ...MEMORIES, mode: 'residual' } }
  const [whole, reused] = await evaluate(spec, 3, [
    { members: all, decisions: [run, run, run], seed: 1 },
    { members: all, decisions: all.map(() => partial([1])), seed: 1 },
  ])
  for (const [k, output] of reused.outputs.entries())
    output.forEach((value, at) => assert.ok(Math.abs(value - whole.outputs[k][at]) < 1e-4, `${k}, ${at}`))
  assert.not.equal(reused.outputs, whole.outputs)
})

test('weights count from the newest computed pass, older ones are kept as far as history goes', async () => {
  const spec: Features = { reuse: { from: 'first', to: 'last', mode: 'output', history: 3 } }
  const one = (seed: number, decision: Decision): Evaluation => ({ members: [0], decisions: [decision], seed })
  const seeds = [1, 2, 3, 4]
  for (const [age, weights] of [[1], [0, 1], [0, 0, 1]].entries()) {
    // The head and the embedding see the last input in all of them.
    const results = await evaluate(spec, 3, [...seeds.map((seed) => one(seed, run)), one(7, partial(weights))])
    const [, direct] = await evaluate(spec, 3, [one(seeds[3 - age], run), one(7, partial([1]))])
    assert.equal(results[4].outputs, direct.outputs, `age ${age}`)
  }
})

test('what is not remembered yet cannot be used: such a pass runs whole, and says so', async () => {
  const spec: Features = { reuse: { ...MEMORIES, history: 3, mode: 'residual' } }
  const [plain] = await evaluate(undefined, 3, [{ members: [1], decisions: [run], seed: 1 }])
  const [first, second] = await evaluate(spec, 3, [
    { members: [1], decisions: [partial([1])], seed: 1 },
    { members: [1], decisions: [partial([2, -1])], seed: 1 },
  ])
  for (const { outputs, done } of [first, second]) {
    assert.equal(outputs, plain.outputs)
    assert.equal(done, [run])
  }
})

test('the share of the operations is what the plan says of the stages that ran', async () => {
  const spec: Features = { reuse: { ...MEMORIES, mode: 'output' } }
  const [first, second] = await evaluate(spec, 3, [
    { members: [0], decisions: [run], seed: 1 },
    { members: [0], decisions: [partial([1])], seed: 2 },
  ])
  assert.equal(first.shares, [undefined])
  // From plan.json by hand: embed 200908800, first and last 442368 + 64·1062912 + 4096·768, middle four times that, head 337600512.
  const block = 442368 + 64 * 1062912 + 4096 * 768
  const rest = 200908800 + block + 337600512
  assert.ok(Math.abs(second.shares[0]! - rest / (rest + 5 * block)) < 1e-12)
})

test('a probe measures the mean change of its feature, against the last whole pass or the one before', async () => {
  for (const conditionalOnly of [false, true]) {
    for (const against of ['last-computed', 'previous'] as const) {
      const probe = { after: 'first', of: 'residual', against, conditionalOnly } as const
      const spec: Features = { reuse: { ...MEMORIES, mode: 'residual' }, probes: [probe] }
      const found: FeatureChange[] = []
      const passes: [seed: number, then: Decision][] = [
        [1, run],
        [2, partial([1])],
        [1, run],
        [1, run],
      ]
      await evaluate(
        spec,
        3,
        passes.map(([seed, then]) => ({
          members: [2],
          decisions: [run],
          seed,
          midway: (_, [change]) => (found.push(change), then),
        })),
      )
      assert.equal(found[0], { change: 0, magnitude: 0 })
      assert.ok(found[1].change > 0 && found[1].magnitude > 0)
      // The second pass was partial: against the last computed one the third is no change at all.
      assert.is(found[2].change === 0, against === 'last-computed')
      assert.is(found[3].change, 0)
      if (against === 'previous') assert.is(found[2].change, found[1].change)
    }
  }
})

/** Members that decide differently, step by step. */
function scripted(decide: (member: number, step: number) => Decision, features: Features): Policy {
  const member = (b: number): MemberPolicy => ({
    capacity: 0,
    features,
    before: (step) => decide(b, step),
    observe: () => ({}),
    after: () => ({}),
    keeps: () => [],
  })
  return {
    name: 'test',
    begin: ({ members }) => ({ options: {}, members: Array.from({ length: members }, (_, b) => member(b)) }),
  }
}

test('a member of a batch is, bit for bit, what it is alone, and so is a run among others', async () => {
  const features: Features = { reuse: { from: 'first', to: 'middle', mode: 'residual', history: 2 } }
  const decide = (b: number, step: number): Decision =>
    (step + b) % 3 === 0 || step < 2 ? run : partial(step % 2 ? [1.5, -0.5] : [1])
  const shared = { model, steps: 8 }
  const batch = { ...shared, prompts: PROMPTS, seeds: [5, 6, 7], policy: scripted(decide, features) }
  const alone = PROMPTS.map((prompt, b) => ({
    ...shared,
    prompts: [prompt],
    seeds: [5 + b],
    policy: scripted((_, step) => decide(b, step), features),
  }))
  const [together, ...others] = await Promise.all([runStaged(batch), ...alone.map(runStaged)])
  for (const [b, { latents, trace }] of others.entries()) {
    assert.equal(together.latents.slice(b * LENGTH, (b + 1) * LENGTH), latents)
    assert.equal(
      together.trace.members[b].steps.map(({ action }) => action),
      trace.members[0].steps.map(({ action }) => action),
    )
    assert.is(trace.members[0].nfe, 8)
    for (const { action, flopShare } of trace.members[0].steps) assert.is(flopShare === undefined, action === 'run')
  }
  assert.equal((await runStaged(batch)).latents, together.latents)
})

test('an abort in the middle of a partial pass ends the run with its reason', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const probe = { after: 'embed', of: 'output', against: 'previous' } as const
  const policy: Policy = {
    name: 'test',
    begin: () => ({
      options: {},
      members: [
        {
          ...scripted(() => run, { reuse: { ...MEMORIES, mode: 'output' }, probes: [probe] }).begin({ members: 1 } as never)
            .members[0],
          midway: (step) => (step === 3 && controller.abort(reason), run),
        },
      ],
    }),
  }
  const staged = runStaged({ model, policy, prompts: ['a robot'], seeds: [1], steps: 1000, signal: controller.signal })
  assert.is(await staged.catch((e: unknown) => e), reason)
})

test('a network in one piece, or of other shapes, is refused before it runs', async () => {
  const network = () => assert.unreachable() as never
  const refused = (policy: PolicyName) =>
    sample({ scheduler: configs.euler, steps: 5, shape: [1, 4, 8, 8], seed: 1, network, policy }).catch((e: unknown) => e)
  const error = (await refused('deepcache')) as SadaError
  assert.is(error.code, 'UNSUPPORTED')
  assert.match(error.message, /"deepcache" needs a network in stages.* one piece/)
  const own = scripted(() => run, { reuse: { ...MEMORIES, mode: 'output' } })
  const spec = { scheduler: 'euler', policy: own, latents: [new Float32Array(256)], network } as const
  const unnamed = await runInJs(spec).catch((e: unknown) => e)
  assert.is((unnamed as SadaError).code, 'UNSUPPORTED')
  // head: [rows, 64, 192] in, [rows, 3, 64, 64] out.
  const features: Features = { reuse: { from: 'middle', to: 'head', mode: 'residual', history: 1 } }
  const shapes = runStaged({ model, policy: scripted(() => run, features), prompts: ['a robot'], seeds: [1], steps: 2 })
  assert.is(((await shapes.catch((e: unknown) => e)) as SadaError).code, 'UNSUPPORTED')
})

test.run()
