import { denoised, noiseOf } from '../solver/parameterisation.ts'
import { minus, substitute, type Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'

/**
 * The network's input and output as methods that store and reuse them see them, in one place because what they are depends on the network.
 *
 * They are its own: α·x0 + σ·n, and the guided noise, v or flow velocity that it predicts. The methods were published on such networks.
 * A network that predicts x0 is taken for an equivalent one of the kind that the method was published on: under a flow-matching
 * scheduler one that answers the velocity n − x0; under the others `kind`, noise or again velocity, then given (α·x0 + σ·n)/(α + σ).
 * (Reusing x0 itself would be another method: `every-n` with `order: 0`.)
 */
export interface ReusedOutput {
  /** The output at computed step i, over `output`, or `x` and `x0`. */
  observed(i: number): Row
  /** The clean sample at step i, over `x` and the buffers of `output`, where `output` stands in for the network's. */
  x0(i: number, output: Row): Row
  /** The input at step i, over `x`. */
  input(i: number): Row
}

export function networkOutput(solver: Solver, kind: 'noise' | 'velocity'): ReusedOutput {
  const { prediction, frame, levels } = solver.schedule
  if (prediction !== 'sample') {
    return {
      observed: () => ({ output: 1 }),
      x0: (i, output) => substitute(solver.denoised(i), { output }),
      input: (i) => ({ x: solver.inputScale(i) }),
    }
  }
  if (kind === 'noise' && frame !== 'flow') {
    return {
      observed: (i) => noiseOf(levels[i], frame),
      x0: (i, output) => substitute(denoised('epsilon', levels[i], frame), { output }),
      input: (i) => ({ x: solver.inputScale(i) }),
    }
  }
  return {
    observed: (i) => minus(noiseOf(levels[i], frame), { x0: 1 }),
    x0: (i, output) => substitute(denoised('flow_prediction', levels[i], frame), { output }),
    input: (i) => ({ x: solver.inputScale(i) / (levels[i].alpha + levels[i].sigma) }),
  }
}
