import type { Slice, Workspace } from '../native/types.ts'
import type { Network, NetworkCall, NetworkOutput } from '../sampler/network.ts'
import type { Row } from '../solver/row.ts'
import { times } from '../solver/row.ts'
import { AroundNetwork } from './around-network.ts'

/**
 * A network whose guided output is brought back to the spread of the output with the prompt alone, by a share of `rescale`
 * (Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed", section 3.4).
 */
export class RescaledNetwork extends AroundNetwork {
  private readonly workspace: Workspace
  private readonly length: number
  private readonly rescale: number

  /** `length`: values of one member's output. */
  constructor(network: Network, workspace: Workspace, length: number, rescale: number) {
    super(network)
    this.workspace = workspace
    this.length = length
    this.rescale = rescale
  }

  async evaluate(call: NetworkCall): Promise<readonly NetworkOutput[]> {
    const outputs = await this.network.evaluate(call)
    return outputs.map((output) => ({ ...output, row: times(this.factor(output), output.row) }))
  }

  private factor({ row, buffers }: NetworkOutput): number {
    if (buffers.uncond === undefined) return 1
    const [cond, uncond] = [this.read(buffers.cond), this.read(buffers.uncond)]
    const guided = cond.map((value, k) => weightOf(row, 'cond') * value + weightOf(row, 'uncond') * uncond[k])
    const spread = deviation(guided)
    // An output without any spread has none to bring back.
    return spread === 0 ? 1 : this.rescale * (deviation(cond) / spread) + (1 - this.rescale)
  }

  private read({ tensor, offset }: Slice): Float32Array {
    const values = new Float32Array(this.length)
    this.workspace.read(tensor as number, offset, values)
    return values
  }
}

const weightOf = (row: Row, name: string): number => row[name] ?? 0

/** Standard deviation, but for a factor that depends on the number of values alone. */
function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0))
}
