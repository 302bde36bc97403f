import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import { leavingRange } from '../../ts/plan/features.ts'
import type { StagedNetwork } from '../../ts/plan/staged-network.ts'
import { run, type Decision, type Features } from '../../ts/policy/policy.ts'
import { REUSE, Run, STAGES, sum, whole, type Row } from '../support/formula-stages.ts'

// What is remembered and used, worked out in one go. The passes of the bundled model are in features.test.ts.

const partial = (...weights: number[]): Decision => ({ kind: 'partial', weights })

/** Row by row: weights times what r and s were at these times, and what entered where it is the difference that is remembered. */
function reused(
  row: number,
  time: number,
  weights: readonly number[],
  times: readonly number[],
  mode: Features['reuse']['mode'],
) {
  const now = whole(row, time)
  const predicted = (name: string, entering: string): number[] =>
    now[name].map((_, k) => {
      const of = (at: Row): number => at[name][k] - (mode === 'output' ? 0 : at[entering][k])
      return (mode === 'output' ? 0 : now[entering][k]) + sum(weights.map((weight, n) => weight * of(whole(row, times[n]))))
    })
  return [...STAGES[2].make({ ...now, r: predicted('r', 'p'), s: predicted('s', 'q') }).y]
}

for (const mode of ['output', 'residual'] as const) {
  for (const rows of [1, 2] as const) {
    test(`${mode}, ${rows} of each member: every member has its own passes remembered, the newest first, as far as history goes`, async () => {
      const world = new Run({ rows, spec: { reuse: { ...REUSE, history: 3, mode } } })
      const newest: number[][] = [[], [], []]
      const calls: [members: number[], decisions: Decision[]][] = [
        [
          [0, 1, 2],
          [run, run, run],
        ],
        [
          [0, 1, 2],
          [run, partial(2), run],
        ],
        [
          [0, 2],
          [partial(0.5, 0.25), run],
        ],
        [
          [1, 2],
          [partial(-1), partial(1, -2)],
        ],
        [
          [0, 1, 2],
          [partial(1, 1), run, partial(0, 1)],
        ],
        [[1], [partial(3, 1)]],
        [
          [0, 1, 2],
          [run, run, run],
        ],
        [
          [0, 1, 2],
          [partial(1, 3, 2), partial(1, 3, 2), partial(1, 3, 2)],
        ],
      ]
      for (const [time, [members, decisions]] of calls.entries()) {
        const { y, done } = await world.call(members, time, decisions)
        for (const [k, member] of members.entries()) {
          const decision = decisions[k]
          assert.is(done[k].done, decision)
          const expected = world
            .rowsOf(member)
            .map((row) =>
              decision.kind === 'partial' ? reused(row, time, decision.weights, newest[member], mode) : [...whole(row, time).y],
            )
          assert.equal(y[k], expected, `call ${time}, member ${member}`)
          if (decision.kind === 'run') newest[member].unshift(time)
        }
      }
      world.workspace.dispose()
    })
  }
}

test('more passes than are remembered are none: the pass is whole, and remembered', async () => {
  const world = new Run({ members: 1 })
  const one = async (time: number, decision: Decision) => (await world.call([0], time, [decision])).done[0]
  const { done, flopShare } = await one(0, partial(1))
  assert.equal([done, flopShare], [run, undefined])
  assert.is((await one(1, partial(1, 0))).done, run)
  assert.is((await one(2, partial(1, 0))).done.kind, 'partial')
  for (const time of [3, 4]) assert.is((await one(time, partial(1, 0, 0))).done, run)
  world.workspace.dispose()
})

test('what is remembered takes memory for all members and their passes, as precise as is asked for; the longest step is a member’s', () => {
  const [first, middle, last] = STAGES
  const narrow = [first, middle, { ...last, inputs: ['r', 'c'] }]
  const plain = [{ ...first, outputs: ['p', 'u'] }, middle, last]
  for (const [stages, probed, lengths, longest] of [
    [STAGES, false, [24, 36], 6],
    [STAGES, true, [24, 36, 18], 6],
    [narrow, false, [24], 4],
    [narrow, true, [24, 18], 6],
    // Without tokens it is the first that the stage makes.
    [plain, true, [24, 36, 12], 6],
  ] as const) {
    const probes = probed ? ([{ after: 'first', of: 'output', against: 'previous' }] as const) : undefined
    const world = new Run({ storage: 'float16', spec: { probes }, model: { stages: stages as never } })
    assert.equal(
      world.memories,
      lengths.map((length) => [length, 'float16', 'caches']),
    )
    assert.is(world.reuse.stepLength, longest)
    world.workspace.dispose()
  }
})

test('what is rehearsed uses every tensor that a call uses, and no other; rows that follow each other are not copied', async () => {
  for (const members of [1, 2, 3]) {
    const [rehearsed, plain] = [new Run({ members }), new Run({ members })]
    const every = Array.from({ length: members }, (_, k) => k)
    const ops = rehearsed.reuse.rehearsed(rehearsed.passes(every))
    assert.is(
      ops.some(({ kind }) => kind === 'copy'),
      members === 3,
    )
    const { allocated } = rehearsed
    for (const world of [rehearsed, plain]) {
      for (let called = 1; called < 2 ** members; called++) {
        for (let ran = 0; ran < 2 ** members; ran++) {
          const of = every.filter((member) => (called >> member) & 1)
          const decisions = of.map((member) => ((ran >> member) & 1 ? run : partial(1)))
          await world.call(of, 0, decisions)
        }
      }
      assert.is(world.allocated, allocated, `${members} members`)
      world.workspace.dispose()
    }
  }
})

test('a partial pass makes the share of the operations that the plan gives of the stages around the range', async () => {
  const flops = [
    { fixed: 1, per_token: 2, per_token_pair: 3 },
    { fixed: 5, per_token: 7, per_token_pair: 11 },
    { fixed: 13, per_token: 17, per_token_pair: 19 },
  ]
  const stages = STAGES.map((stage, k) => ({ ...stage, flops: flops[k] })) as unknown as StagedNetwork['stages']
  const layout = { order: 'channels-first', channels: 1, grid: [2, 3], patch: [1, 1] } as const
  const shareOf = async (model: Partial<StagedNetwork>): Promise<number | undefined> => {
    const world = new Run({ members: 1, model })
    await world.call([0], 0, [run])
    const { done } = await world.call([0], 1, [partial(1)])
    world.workspace.dispose()
    return done[0].flopShare
  }
  // With 3 tokens 34, 125 and 235 operations; with 6 of the layout 121, 443 and 799; with none 1, 5 and 13.
  for (const [model, around, all] of [
    [{ stages }, 269, 394],
    [{ stages, layout }, 269, 394],
    [{ stages, layout, tokenCount: undefined }, 920, 1363],
    [{ stages, tokenCount: undefined }, 14, 19],
  ] as const)
    assert.ok(Math.abs((await shareOf(model))! - around / all) < 1e-12, `${around} of ${all}`)
  assert.is(await shareOf({ stages: [stages[0], STAGES[1], stages[2]] as never }), undefined)
  assert.is(await shareOf({}), undefined)
})

test('a difference is to the input of its shape, the second to the second', async () => {
  const [first, , last] = STAGES
  const middle = {
    name: 'middle',
    inputs: ['q', 'x'],
    outputs: ['s', 'z'],
    make: ({ q, x }: Row): Row => ({ s: q.map((each) => 3 * each), z: x.map((each) => each * each) }),
  }
  const end = { ...last, inputs: ['s', 'z'], make: ({ s, z }: Row): Row => ({ y: s.map((each, k) => each + 100 * z[k]) }) }
  const model = { stages: [first, middle, end] as never }
  const world = new Run({ members: 1, rows: 1, model, spec: { reuse: { ...REUSE, mode: 'residual' } } })
  await world.call([0], 0, [run])
  const { y } = await world.call([0], 1, [partial(1)])
  world.workspace.dispose()
  const [then, now] = [whole(0, 0), whole(0, 1)]
  // 3q − q and x² − x were remembered.
  const expected = now.q.map((each, k) => each + 2 * then.q[k] + 100 * (now.x[k] + then.x[k] ** 2 - then.x[k]))
  assert.equal(y, [[expected]])
})

test('a difference can be to what entered a stage before the range, which runs all the same', async () => {
  const [first, , last] = STAGES
  const middle = { name: 'middle', inputs: ['q'], outputs: ['s'], make: ({ q }: Row): Row => ({ s: q.map((each) => 3 * each) }) }
  const end = { ...last, inputs: ['s', 'q'], make: ({ s, q }: Row): Row => ({ y: s.map((each, k) => each + 100 * q[k]) }) }
  const model = { stages: [first, middle, end] as never }
  const world = new Run({ members: 1, rows: 1, model, spec: { reuse: { ...REUSE, mode: 'residual', since: 'first' } } })
  for (const time of [0, 1]) await world.call([0], time, [run])
  const { y } = await world.call([0], 2, [partial(3, -2)])
  world.workspace.dispose()
  const [older, newer, now] = [0, 1, 2].map((time) => whole(0, time))
  // 3q − x was remembered; the q that `first` makes is the new one.
  const added = ({ q, x }: Row, k: number): number => 3 * q[k] - x[k]
  assert.equal(
    y,
    [now.x.map((each, k) => each + 3 * added(newer, k) - 2 * added(older, k) + 100 * now.q[k])].map((each) => [each]),
  )
})

test('a difference to what is made in the range, or of another shape, is none, nor is a stage that there is not', () => {
  const [first, middle, last] = STAGES
  const refusal = (reuse: object, stages: readonly object[] = STAGES): string | undefined => {
    try {
      const spec = { reuse: { ...REUSE, mode: 'residual', ...reuse } } as Features
      new Run({ spec, model: { stages: stages as never } }).workspace.dispose()
      return undefined
    } catch (error) {
      const { code, message } = error as SadaError
      return `${code} ${message}`
    }
  }
  const none = (from: string, name: string) =>
    `UNSUPPORTED The stages "${from}" to "middle" cannot be reused as a difference: no input has the shape of "${name}".`
  assert.is(refusal({}), undefined)
  assert.is(refusal({}, [first, { ...middle, inputs: ['p', 'p'] }, last]), none('middle', 's'))
  const both = { ...middle, inputs: ['q', 'q'], outputs: ['s', 'z'] }
  assert.is(refusal({}, [first, both, { ...last, inputs: ['s', 'z'] }]), none('middle', 'z'))
  assert.is(refusal({ from: 'first' }), none('first', 'r'))
  assert.is(refusal({ since: 'first' }), none('first', 'r'))
  assert.is(refusal({ to: 'end' }), 'INTERNAL A policy named the stage "end", which the network does not have.')
})

test('of the last stage’s outputs the first is the network’s', () => {
  assert.equal(leavingRange([{ name: 'only', kind: 'dense', inputs: ['x'], outputs: ['y', 'z'] }], 0, 1), ['y'])
})

test.run()
