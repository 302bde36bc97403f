import type { Slice, StepMember, Workspace } from '../native/types.ts'
import type { Storage } from '../native/workspace-plan.ts'
import type { RowTensors } from './row-tensors.ts'

/** A member of a call: its rows in the call's tensors, which follow each other, and its number in the run. */
export interface FeaturePass {
  readonly member: number
  readonly callRows: readonly number[]
}

/** A tensor of the call, and the one that it is the sum of and something else where that is meant. */
export interface Feature {
  readonly name: string
  readonly entering?: string | undefined
}

/** Where the tensors of a run are, and how its passes lie in them. */
export interface FeatureSpace {
  readonly workspace: Workspace
  readonly tensors: RowTensors
  readonly members: number
  readonly rowsPerMember: number
  readonly storage: Storage
}

/** A feature as it was in each member's newest passes: [members, history, rowsPerMember, …]. Slots are written in turn. */
export class RememberedTensor {
  readonly feature: Feature
  /** Elements of one member's. */
  readonly length: number
  private readonly space: FeatureSpace
  private readonly history: number
  private readonly memory: number

  constructor(space: FeatureSpace, feature: Feature, history: number) {
    const { workspace, tensors, members, rowsPerMember, storage } = space
    this.space = space
    this.feature = feature
    this.history = history
    this.length = rowsPerMember * tensors.rowLength(feature.name)
    this.memory = workspace.allocate(members * history * this.length, storage, 'caches')
  }

  /** The feature in a call whose rows for the member begin with this one. */
  now(row: number): { inputs: Slice[]; weights: number[] } {
    const { name, entering } = this.feature
    const out = this.space.tensors.slice('call', name, row)
    if (entering === undefined) return { inputs: [out], weights: [1] }
    return { inputs: [out, this.space.tensors.slice('call', entering, row)], weights: [1, -1] }
  }

  /** What is remembered of a member's `pass`-th pass, while fewer than `history` followed. */
  at(member: number, pass: number): Slice {
    return { tensor: this.memory, offset: (member * this.history + (pass % this.history)) * this.length }
  }

  /** Remembers the feature of these passes; `passOf` says the how manyth of its member each is. */
  async store(passes: readonly FeaturePass[], passOf: (member: number) => number): Promise<void> {
    const members = passes.map(({ member, callRows }): StepMember => {
      const { inputs, weights } = this.now(callRows[0])
      const store = this.at(member, passOf(member))
      return { inputs, rows: [{ inputs: [...inputs.keys()], weights, store }], sums: [] }
    })
    await this.space.workspace.step(this.length, members)
  }
}
