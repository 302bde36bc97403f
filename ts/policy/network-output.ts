import { denoised, noiseOf } from '../solver/parameterisation.ts'
import { minus, substitute, type Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'

/**
 * The network's output as methods that store and reuse it see it, in one place because what it is depends on the network.
 *
 * It is the guided output itself: noise, v or flow velocity, as the network predicts. The methods were published on such networks.
 * For a network that predicts x0 it is what they predict in the same frame, converted: the noise, or in flow matching the velocity
 * n − x0. (Reusing x0 itself would be another method: `every-n` with `order: 0`.)
 */
export interface NetworkOutput {
  /** The output at computed step i, over `output`, or `x` and `x0`. */
  observed(i: number): Row
  /** The clean sample at step i, over `x` and the buffers of `output`, where `output` stands in for the network's. */
  x0(i: number, output: Row): Row
  /** What the network is given at step i, α·x0 + σ·n, over `x`. */
  input(i: number): Row
}

export function networkOutput(solver: Solver): NetworkOutput {
  const { prediction, frame, levels } = solver.schedule
  const reused = prediction !== 'sample' ? prediction : frame === 'flow' ? 'flow_prediction' : 'epsilon'
  return {
    observed(i) {
      if (prediction !== 'sample') return { output: 1 }
      const noise = noiseOf(levels[i], frame)
      return reused === 'epsilon' ? noise : minus(noise, { x0: 1 })
    },
    x0: (i, output) => substitute(denoised(reused, levels[i], frame), { output }),
    input: (i) => ({ x: solver.inputScale(i) }),
  }
}
