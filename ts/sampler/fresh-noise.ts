import type { Slice, Workspace } from '../native/types.ts'
import type { Solver } from '../solver/solver.ts'
import { SadaError } from '../errors.ts'
import type { NoiseSource } from './latents.ts'
import type { LoopOptions } from './loop.ts'

/** The noise that a stochastic solver adds after each step: in a pass of its own, so that what policies measure of a step is without it. */
export class FreshNoise {
  private readonly solver: Solver
  private readonly source: NoiseSource
  private readonly workspace: Workspace
  private readonly length: number
  /** One for each member. */
  private readonly tensors: readonly number[]

  constructor({ solver, workspace, latents }: LoopOptions, source: NoiseSource) {
    const [{ length }] = latents
    this.solver = solver
    this.source = source
    this.workspace = workspace
    this.length = length
    this.tensors = latents.map(() => workspace.allocate(length, 'float32', 'latents'))
  }

  /** Adds the noise of step `step` to the members' states. */
  async add(step: number, members: readonly { slice(name: 'x'): Slice }[]): Promise<void> {
    // Drawn also where nothing of it is used, as diffusers does: the generators go on from there.
    const drawn = this.source.draw(this.length)
    const deviation = this.solver.freshNoise(step)
    if (deviation === 0) return
    const requests = members.map((member, b) => {
      const [state, tensor] = [member.slice('x'), this.tensors[b]]
      this.workspace.write(tensor, 0, drawn[b])
      const inputs = [state, { tensor, offset: 0 }]
      return { inputs, rows: [{ inputs: [0, 1], weights: [1, deviation], store: state }], sums: [] }
    })
    await this.workspace.step(this.length, requests)
  }
}

/** Undefined where the solver adds none. */
export function freshNoiseOf(options: LoopOptions): FreshNoise | undefined {
  if (!options.solver.isStochastic) return undefined
  if (options.noise === undefined) throw new SadaError('INTERNAL', 'A stochastic solver was given no noise.')
  return new FreshNoise(options, options.noise)
}
