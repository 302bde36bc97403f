import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { StepMember, Workspace } from '../../ts/native/types.ts'
import { FreshNoise, freshNoiseOf } from '../../ts/sampler/fresh-noise.ts'
import type { NoiseSource } from '../../ts/sampler/latents.ts'
import type { LoopOptions } from '../../ts/sampler/loop.ts'

/** Noise of two members with three values each; the first step adds none. */
function noise() {
  const said: unknown[] = []
  let [passes, tensors] = [0, 10]
  const workspace = {
    allocate: () => ++tensors,
    write: (tensor: number, _offset: number, values: Float32Array) => said.push([tensor, ...values]),
    step: async (_length: number, members: readonly StepMember[]) => {
      said.push(...members.map(({ inputs, rows }) => [...inputs.map(({ tensor }) => tensor), rows[0].weights, rows[0].store]))
      await new Promise((resolve) => setTimeout(resolve, 20))
      passes++
    },
  } as unknown as Workspace
  let drawn = 0
  const draw = (): Float32Array[] => [0, 1].map((member) => new Float32Array(3).fill(10 * ++drawn + member))
  const latents = [new Float32Array(3), new Float32Array(3)]
  const solver = { isStochastic: true, freshNoise: (step: number) => [0, 0.5][step] }
  const options = { solver, workspace, latents } as unknown as LoopOptions
  return {
    fresh: new FreshNoise(options, { draw } as unknown as NoiseSource),
    options,
    said,
    passes: () => passes,
    drawn: () => drawn,
  }
}
const members = [1, 2].map((tensor) => ({ slice: () => ({ tensor, offset: 0 }) }))

test('noise is drawn at every step; where none of it is added nothing is computed', async () => {
  const { fresh, said, passes, drawn } = noise()
  const before = said.length
  await fresh.add(0, members)
  assert.equal([drawn(), said.length - before, passes()], [2, 0, 0])
})

test('each state gets noise of its own, and has it when that is said to be done', async () => {
  const { fresh, said, passes } = noise()
  await fresh.add(0, members)
  const before = said.length
  await fresh.add(1, members)
  assert.is(passes(), 1)
  const [first, second, ...steps] = said.slice(before) as [number[], number[], ...unknown[][]]
  assert.equal([first.slice(1), second.slice(1)], [Array(3).fill(30), Array(3).fill(41)])
  assert.is.not(first[0], second[0])
  assert.equal(steps, [
    [1, first[0], [1, 0.5], { tensor: 1, offset: 0 }],
    [2, second[0], [1, 0.5], { tensor: 2, offset: 0 }],
  ])
})

test('a solver that adds none has none', () => {
  const { options } = noise()
  assert.is(freshNoiseOf({ ...options, solver: { ...options.solver, isStochastic: false } }), undefined)
  assert.throws(() => freshNoiseOf(options), 'was given no noise')
})

test.run()
