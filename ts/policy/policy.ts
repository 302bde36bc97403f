import type { Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'

/**
 * What one member of the batch does at one step.
 * - `run`: the network runs on everything.
 * - `prune`: the network runs on the tokens that are moving; the others take their cached features.
 * - `skip`: the network does not run; `x0` says what stands in for its clean-sample estimate.
 */
export type Decision =
  | { readonly kind: 'run' }
  | { readonly kind: 'prune'; readonly selection: TokenSelection }
  | { readonly kind: 'skip'; readonly action: SkipAction; readonly x0: Row }

export type SkipAction = 'extrapolate' | 'interpolate' | 'reuse'

/** Which tokens a pruned pass computes, from the token scores of the member's last computed step. */
export interface TokenSelection {
  readonly maxKept: number
  readonly window: readonly [height: number, width: number]
  readonly seed: number
  /** Where the share of kept tokens exceeds this, everything is computed instead. */
  readonly fullAbove: number
}

/** A reduction over a member's elements: the mean of a·b; where b is left out the mean of |a|, or of a itself if `signed`. */
export interface Mean {
  readonly a: Row
  readonly b?: Row
  readonly signed?: boolean
}

/**
 * What a policy wants from the pass that step i makes over the buffers anyway. Its rows may use
 * `x` (the state at i, corrected), `x0` (the clean sample used at i), `y` (the velocity that x0 implies), `next` (the state at i+1),
 * `output` (the network's guided output, where it ran), and every name stored before.
 */
export interface Observation {
  /** Rows to keep for later steps, by name. */
  readonly store?: Readonly<Record<string, Row>>
  readonly means?: readonly Mean[]
  /** Which of `means` is also wanted per token, as the scores of a later `prune`. */
  readonly tokenScores?: number
}

/** Rows to be added, at a computed step, to the state and to the x0 of the step before. They may use `x0` and what is stored. */
export interface Correction {
  readonly x: Row
  readonly x0Prev: Row
}

/** What a policy tells the trace about a step. */
export interface Verdict {
  /** Mean of the stability criterion (algorithm: (x − x̂)·Δ²y); negative is stable. */
  readonly criterion?: number
  /** Relative error that the prediction of a skip would have had, or was estimated to have, at this step. */
  readonly error?: number
}

/** One member's policy during one run. Made for the run, thrown away with it. */
export interface MemberPolicy {
  /** The most full-size buffers that `keeps` ever names: they are allocated before the first step. */
  readonly capacity: number
  before(step: number): Decision
  observe(step: number, done: Decision): Observation
  /**
   * `done` is what was really done (a refused skip or prune is a `run`), `means` are in the order of the observation, and
   * `magnitude` is the mean of |x0|, which the loop forms at every step.
   */
  after(step: number, done: Decision, means: readonly number[], magnitude: number): Verdict
  /** What a computed step has taught about the skips before it: the state to advance from, and the x0 before it. */
  correction?(step: number): Correction | undefined
  /** Names of stored rows that are still needed; every other one is recycled. */
  keeps(): readonly string[]
}

export interface RunContext {
  readonly solver: Solver
  readonly members: number
  /** Guidance scale in force; 1 where there is none or the network brings its own. */
  readonly guidance: number
  /** Whether the network can run on some of its tokens. */
  readonly canPrune: boolean
  /** Number of tokens of one member (0 where the network has none). */
  readonly tokens: number
}

/** A policy with its options checked, ready for any number of runs. */
export interface Policy {
  readonly name: string
  /** Called once per run: the options as they hold for this run, one policy object for each member, and what the preflight says. */
  begin(context: RunContext): {
    readonly options: Readonly<Record<string, unknown>>
    readonly members: readonly MemberPolicy[]
    readonly warnings?: readonly string[]
  }
}

export const run: Decision = { kind: 'run' }
