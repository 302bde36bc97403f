import type { StepMember } from '../native/types.ts'
import type { FeatureChange, Probe } from '../policy/policy.ts'
import { RememberedTensor, type Feature, type FeaturePass, type FeatureSpace } from './remembered-tensor.ts'

/** Computed passes that each comparison goes back; 0: to the pass before, whatever it was. */
const BACK = { previous: 0, 'last-computed': 1, 'last-but-one-computed': 2 } as const

/** One comparison in the middle of passes, with what it needs of earlier ones. */
export class FeatureProbe {
  readonly remembered: RememberedTensor
  private readonly space: FeatureSpace
  private readonly back: number
  private readonly measured: number

  constructor(space: FeatureSpace, { against, conditionalOnly }: Probe, feature: Feature) {
    this.space = space
    this.back = BACK[against]
    this.remembered = new RememberedTensor(space, feature, Math.max(1, this.back))
    this.measured = space.tensors.rowLength(feature.name) * (conditionalOnly ? 1 : space.rowsPerMember)
  }

  /** Mean |a − b| and mean |b| of the feature a against b of the earlier pass, for each pass. `computed`: whole passes of each member so far. */
  async measure(passes: readonly FeaturePass[], computed: readonly number[]): Promise<FeatureChange[]> {
    const { back, measured: length, remembered } = this
    const sums = await this.space.workspace.step(
      length,
      passes.map(({ member, callRows }): StepMember => {
        const now = remembered.now(callRows[0])
        const then = remembered.at(member, back === 0 ? 0 : Math.max(0, computed[member] + 1 - back))
        const index = now.inputs.length
        const store = back === 0 ? then : undefined
        return {
          inputs: [...now.inputs, then],
          rows: [
            { inputs: [...now.weights.keys(), index], weights: [...now.weights, -1] },
            { inputs: [index], weights: [1] },
            { inputs: [...now.weights.keys()], weights: now.weights, store },
          ],
          sums: [{ a: 0 }, { a: 1 }],
        }
      }),
    )
    return passes.map(({ member }, k) =>
      computed[member] >= Math.max(1, back)
        ? { change: sums[2 * k] / length, magnitude: sums[2 * k + 1] / length }
        : { change: 0, magnitude: 0 },
    )
  }

  /** Remembers the feature of whole passes, which are counted in `computed`. */
  async remember(passes: readonly FeaturePass[], computed: readonly number[]): Promise<void> {
    if (this.back > 0) await this.remembered.store(passes, (member) => computed[member])
  }
}
