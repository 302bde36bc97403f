import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type Pipeline } from '../../ts/index.ts'
import { familyFolder, optionsOf, recordedCases, relativeError, type RecordedCase } from '../support/families.ts'

// `sada-reference` on the families' networks, against a second implementation of the published algorithm in diffusers' own pipelines
// (models/export/record_reference.py). Recordings of the authors' code itself are compared in test/policy/reference.test.ts.

const LETTERS: Record<string, string> = { run: 'C', extrapolate: 'E', interpolate: 'L' }

interface Accelerated extends RecordedCase {
  readonly family: string
  readonly accelerated: Readonly<Record<string, number>>
  readonly kinds: string
  readonly nfe: number
  /** Steps whose decision hung on the criterion; its mean over each member there, and that of its magnitude over the batch. */
  readonly consulted: readonly number[]
  readonly criterion: readonly (readonly number[])[]
  readonly criterion_abs: readonly number[]
}
const recorded = recordedCases('reference') as Accelerated[]

const policyOf = ({ accelerated: given }: Accelerated): { name: string } & Record<string, unknown> => ({
  name: 'sada-reference',
  warmup: given.warmup,
  end: given.end,
  lagrangeStep: given.lagrange_step,
  lagrangeInterval: given.lagrange_interval,
  lagrangeNodes: given.lagrange_nodes,
  maxConsecutive: given.max_interval,
})

for (const family of new Set(recorded.map((each) => each.family))) {
  let pipeline: Pipeline
  for (const each of recorded.filter((one) => one.family === family)) {
    test(`${each.name}: the published algorithm's decisions, criterion and latents`, async () => {
      pipeline ??= await load(familyFolder(family), { threads: 1 })
      const { latents, trace } = await pipeline.generate({ ...optionsOf(each), policy: policyOf(each) })
      for (const [b, { steps, nfe }] of trace.members.entries()) {
        assert.is(steps.map(({ action }) => LETTERS[action]).join(''), each.kinds)
        assert.is(nfe, each.nfe)
        for (const [k, step] of each.consulted.entries()) {
          const difference = Math.abs(steps[step].criterion! - each.criterion[k][b]) / each.criterion_abs[k]
          // Second differences of float32 outputs of two engines; no recorded decision is nearer to zero than 2e-2.
          assert.ok(difference <= 1e-4, `the criterion at step ${step} differs by ${difference} of its mean magnitude`)
        }
      }
      const error = relativeError(latents, each.final.data)
      assert.ok(error < 1e-5, `relative error ${error}`)
    })
  }
  test.after(() => pipeline.dispose())
}

test('the recordings tell one decision for the batch from one for each member', () => {
  const disagree = (members: readonly number[]): boolean => Math.min(...members) <= 0 && Math.max(...members) > 0
  assert.ok(recorded.filter(({ criterion }) => criterion.some(disagree)).length >= 2)
})

test.run()
