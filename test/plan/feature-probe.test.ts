import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { run, type Decision, type FeatureChange, type Probe } from '../../ts/policy/policy.ts'
import { Run, sum, whole } from '../support/formula-stages.ts'

// What is compared in the middle of passes, worked out in one go.

const partial = (...weights: number[]): Decision => ({ kind: 'partial', weights })

const mean = (values: readonly number[]): number => sum(values.map(Math.abs)) / values.length

for (const of of ['output', 'residual'] as const) {
  for (const against of ['last-computed', 'last-but-one-computed', 'previous'] as const) {
    for (const conditionalOnly of [false, true]) {
      test(`a probe of the ${of} against the ${against}${conditionalOnly ? ', the prompt’s row alone' : ''}: means over each member's own`, async () => {
        const probe: Probe = { after: 'first', of, against, conditionalOnly }
        // Each has memories of its own.
        const other: Probe = { after: 'first', of: 'output', against: 'previous' }
        const world = new Run({ spec: { probes: [other, probe] } })
        /** The first output with tokens, or what was added to the input of its shape that is no conditioning. */
        const feature = (member: number, time: number): number[] =>
          world
            .rowsOf(member)
            .slice(0, conditionalOnly ? 1 : 2)
            .map((row) => whole(row, time))
            .flatMap(({ q, x }) => q.map((each, k) => each - (of === 'residual' ? x[k] : 0)))
        /** When its own passes that count were, the newest first. */
        const compared: number[][] = [[], [], []]
        const back = against === 'last-but-one-computed' ? 1 : 0
        const calls: [members: number[], decisions: Decision[]][] = [
          [
            [0, 1, 2],
            [run, run, run],
          ],
          [
            [0, 2],
            [partial(1), run],
          ],
          [
            [0, 1, 2],
            [run, partial(1), partial(1)],
          ],
          [
            [1, 2],
            [run, run],
          ],
        ]
        for (const [time, [members, after]] of calls.entries()) {
          const found: FeatureChange[] = []
          await world.call(
            members,
            time,
            members.map(() => run),
            (k, [, change]) => ((found[k] = change), after[k]),
          )
          for (const [k, member] of members.entries()) {
            const then = compared[member].at(back)
            const [a, b] = [feature(member, time), then === undefined ? undefined : feature(member, then)]
            const expected = b
              ? { change: mean(a.map((each, n) => each - b[n])), magnitude: mean(b) }
              : { change: 0, magnitude: 0 }
            for (const name of ['change', 'magnitude'] as const)
              assert.ok(
                Math.abs(found[k][name] - expected[name]) < 1e-5,
                `call ${time}, member ${member}: ${found[k][name]}, ${expected[name]}`,
              )
            if (against === 'previous' || after[k].kind === 'run') compared[member].unshift(time)
          }
        }
        world.workspace.dispose()
      })
    }
  }
}

test('who was to run alone is asked again, where something is probed', async () => {
  const probed = new Run({ spec: { probes: [{ after: 'first', of: 'output', against: 'previous' }] } })
  const plain = new Run()
  for (const [world, expected] of [
    [probed, [0, 2]],
    [plain, []],
  ] as const) {
    await world.call([0, 1, 2], 0, [run, run, run])
    const asked: number[] = []
    const { done } = await world.call([0, 1, 2], 1, [run, partial(1), run], (k) => (asked.push(k), partial(1)))
    assert.equal(asked, expected)
    assert.equal(
      done.map((each) => each.done.kind),
      [0, 1, 2].map((k) => (k === 1 || asked.includes(k) ? 'partial' : 'run')),
    )
    world.workspace.dispose()
  }
})

test.run()
