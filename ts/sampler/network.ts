import type { Row } from '../solver/row.ts'
import type { NoiseLevel } from '../schedule/schedule.ts'
import type { Engine, EngineOp, Slice, TokenLayout } from '../native/types.ts'
import type { NetworkNeeds, StorageChoice } from './memory.ts'
import type { DeviceInput } from './sada-program.ts'
import type { Decision, FeatureChange, Features, SampleMap, StageInfo, StageRange, TokenSelection } from '../policy/policy.ts'

/** One evaluation: the members that run at this step, in ascending order. The arrays run parallel to `members`. */
export interface NetworkCall {
  readonly step: number
  readonly timestep: number
  readonly level: NoiseLevel
  /** Factor that makes the network's sample α·x0 + σ·n out of the solver's state. */
  readonly inputScale: number
  readonly members: readonly number[]
  readonly states: readonly Slice[]
  /** Where a member's pass may be pruned, how; undefined: all tokens. */
  readonly selections: readonly (TokenSelection | undefined)[]
  /** Where the policy leaves stages out. */
  readonly features?: FeatureCall
  readonly signal: AbortSignal
}

/** What a network's input at a step depends on. */
export type NetworkMoment = Pick<NetworkCall, 'step' | 'timestep' | 'level' | 'inputScale'>

/** How the members of a call use what is remembered of the network's stages. */
export interface FeatureCall {
  readonly spec: Features
  /** For each member of the call: `run` or `partial`. */
  readonly decisions: readonly Decision[]
  /** Asks the k-th member of the call, where it was to run, what it does after all. */
  readonly midway?: (k: number, found: readonly FeatureChange[]) => Decision
}

/** What the network made of one member: the guided output as a row over `buffers`, which stay valid until the next call. */
export interface NetworkOutput {
  readonly row: Row
  readonly buffers: Readonly<Record<string, Slice>>
  /** Tokens computed, where fewer than all. */
  readonly keptTokens?: number
  /** What was really done, where that is not what was decided. */
  readonly done?: Decision
  /** Share of the network's floating-point operations that a partial pass made. */
  readonly flopShare?: number
}

/** The pass of a network with one member, as commands that stay the same from step to step. */
export interface DevicePass {
  readonly engine: Engine
  readonly ops: readonly EngineOp[]
  readonly samples: readonly Slice[]
  readonly level: Slice
  readonly output: NetworkOutput
  /** What the network is given at a step: the state times `scale`, at this level. */
  input(moment: NetworkMoment): DeviceInput
}

/** A network as the denoising loop sees it. One object serves one run. */
export interface Network {
  /** Guidance scale in force, 1 where there is none. */
  readonly guidance: number
  readonly canPrune: boolean
  /** The stages that can be told apart, in order; absent: the network is one piece. */
  readonly stages?: readonly StageInfo[] | undefined
  /** Ranges of them that are made to be left out, each within the next. */
  readonly reusable?: readonly StageRange[] | undefined
  /** Tokens of one member, where they lie and where their criterion is written; absent: no score per token is wanted. */
  readonly tokens?:
    | {
        readonly layout: TokenLayout
        scores(member: number): Slice
        /** Share of tokens whose last score was ≥ 0, where the trace should have it. */
        unstableShare?(member: number): number
      }
    | undefined
  /**
   * Asks the workspace for all that its calls will use, and says what these are; called once, before the first. `features`: of a
   * policy that leaves stages out; `audits`: whether it is also called without them.
   */
  plan?(storage: StorageChoice, features: Features | undefined, audits: boolean): NetworkNeeds
  evaluate(call: NetworkCall): Promise<readonly NetworkOutput[]>
  /** Where the network runs on a GPU, and nothing but the state and its level changes between steps: its pass for decisions made there. */
  onDevice?(): DevicePass | undefined
}

/** The map that elements of a layout are. Tokens in one column are taken for a list, of which nobody said how it lies. */
export function mapOf({ order, channels, grid, patch }: TokenLayout): SampleMap | undefined {
  if (order === 'tokens' && grid[1] === 1) return undefined
  return { order, channels, height: grid[0] * patch[0], width: grid[1] * patch[1] }
}
