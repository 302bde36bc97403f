import type { Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'

/**
 * What one member of the batch does at one step.
 * - `run`: the network runs on everything.
 * - `prune`: the network runs on the tokens that are moving; the others take their cached features.
 * - `partial`: the network runs, but for the range of stages that the policy's `features` name: what leaves that range is
 *   predicted from what it gave in the newest computed passes, newest first, with these weights.
 * - `skip`: the network does not run; `x0` says what stands in for its clean-sample estimate.
 */
export type Decision =
  | { readonly kind: 'run' }
  | { readonly kind: 'prune'; readonly selection: TokenSelection }
  | { readonly kind: 'partial'; readonly weights: readonly number[] }
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

/** A stage of the network, as a policy sees it: `tokens` stages work on tokens one set at a time, `dense` ones on the whole map. */
export interface StageInfo {
  readonly name: string
  readonly kind: 'dense' | 'tokens'
}

/** Consecutive stages of a network, by the names of the first and the last. */
export interface StageRange {
  readonly from: string
  readonly to: string
}

/** Which stages of the network a policy may leave out, and what it wants measured in the middle of a pass. The same for every member. */
export interface Features {
  readonly reuse: StageRange & {
    /**
     * What is remembered of a computed pass: the tensors that leave the range, or what the range added to the tensors of
     * the same shape that entered it.
     */
    readonly mode: 'output' | 'residual'
    /** Computed passes remembered, 1 … 7. */
    readonly history: number
    /** Where the difference is remembered: the stage from whose input on it was added, `from` or one before. Default: `from`. */
    readonly since?: string
  }
  /** What is compared in every pass, before the range. */
  readonly probes?: readonly Probe[]
}

/** A feature that is compared in every pass with the same feature of an earlier one. */
export interface Probe {
  /** The stage that makes it, before the range: its first output that has tokens, else its first output. */
  readonly after: string
  /** That output, or what the stage added to its input of the same shape. */
  readonly of: 'output' | 'residual'
  /** The pass compared with: the last one that ran whole, the last but one that did, or the pass before, whatever it was. */
  readonly against: 'last-computed' | 'last-but-one-computed' | 'previous'
  /** With guidance, measure the row with the prompt alone. Default: both rows together. */
  readonly conditionalOnly?: boolean
}

/** What a probe found: mean |a − b| and mean |b| over the feature a now and b then. Zero where nothing was there to compare with. */
export interface FeatureChange {
  readonly change: number
  readonly magnitude: number
}

/** A reduction over a member's elements: the mean of a·b; where b is left out the mean of |a|, or of a itself if `signed`. */
export interface Mean {
  readonly a: Row
  readonly b?: Row
  readonly signed?: boolean
}

/**
 * What a policy wants from the pass that step i makes over the buffers anyway. Its rows may use
 * `x` (the state at i, corrected), `x0` (the clean sample used at i), `estimate` (the network's own, where it ran), `y` (the velocity that x0 implies), `next` (the state at i+1, without a stochastic solver's fresh noise),
 * `output` (the network's guided output, where it ran), and every name stored before.
 */
export interface Observation {
  /** Rows to keep for later steps, by name. */
  readonly store?: Readonly<Record<string, Row>>
  readonly means?: readonly Mean[]
  /** Which of `means` is also wanted per token, as the scores of a later `prune`. */
  readonly tokenScores?: number
  readonly host?: HostMeasure
}

/** Numbers that no row can express, formed in JavaScript from rows that the step stores. They follow the means. */
export interface HostMeasure {
  /** Names in `store`. */
  readonly read: readonly string[]
  /** The rows' values, one array for each name, which may be written to. Called once, after the step. */
  reduce(values: readonly Float32Array[], arithmetic: HostArithmetic): readonly number[]
}

/** What is too slow in JavaScript. */
export interface HostArithmetic {
  /** In place, along an axis of `values` [blocks, n, stride], with periodic borders: values[i] becomes Σ response[k]·values[(i + k) mod n]. */
  convolve(values: Float32Array, response: Float32Array, stride: number): void
}

/** What skips before a computed step leave to be put right there. Rows may use what is stored. */
export interface Correction {
  /** To be added to the state, and to the x0 of the step before; over `x0`, too. */
  readonly x: Row
  readonly x0Prev: Row
  /** The clean sample of the step, over `estimate`, too: the network's own, which is used where this is left out. */
  readonly x0?: Row
}

/** What a policy tells the trace about a step. */
export interface Verdict {
  /** Mean of the stability criterion (algorithm: (x − x̂)·Δ²y); negative is stable. */
  readonly criterion?: number
  /** Relative change of the feature that the policy watches. */
  readonly change?: number
  /** Error that the prediction of a skip would have had, or was estimated to have, at this step: in the sample's unit or relative, as the policy reckons. */
  readonly error?: number
  /** In a replay: the largest relative difference of what was measured from what the recording has, where there is one. */
  readonly deviation?: number
  /** In a replay: what the policy itself would have done, where that is something else. */
  readonly own?: StepAction
}

/** What a step did, in one word. */
export type StepAction = Exclude<Decision['kind'], 'skip'> | SkipAction

/** One member's policy during one run. Made for the run, thrown away with it. */
export interface MemberPolicy {
  /** The most full-size buffers that `keeps` names together with what one step stores: they are allocated before the first step. */
  readonly capacity: number
  before(step: number): Decision
  /** Stages that this policy leaves out at times; such a policy does not prune. */
  readonly features?: Features
  /** Where `features` have probes: called at every step that is to `run`, when the stages before the range have run; `found` by each probe, in their order. */
  midway?(step: number, ...found: readonly FeatureChange[]): Decision
  observe(step: number, done: Decision): Observation
  /**
   * `done` is what was really done (a refused skip or prune, or a partial pass without memories, is a `run`), `means` are in the order of the observation, the host's after them, and
   * `magnitude` is the mean of |x0|, which the loop forms at every step.
   */
  after(step: number, done: Decision, means: readonly number[], magnitude: number): Verdict
  /** What a computed step has taught about the skips before it: the state to advance from, the x0 before it, and its own. */
  correction?(step: number): Correction | undefined
  /** Every member is told what computing skips for an audit took of a step, in milliseconds, before the step is made. */
  aside?(ms: number): void
  /** Names of stored rows that are still needed; every other one is recycled. */
  keeps(): readonly string[]
}

/** A sample as a map; `order` says whether its elements are [channels, height, width] or, as tokens, [height, width, channels]. */
export interface SampleMap {
  readonly order: 'channels-first' | 'tokens'
  readonly channels: number
  readonly height: number
  readonly width: number
}

export interface RunContext {
  readonly solver: Solver
  readonly members: number
  /** Guidance scale in force; 1 where there is none or the network brings its own and does not tell. */
  readonly guidance: number
  /** Whether the network can run on some of its tokens. */
  readonly canPrune: boolean
  /** Number of tokens of one member (0 where the network has none). */
  readonly tokens: number
  /** What one member's elements are, where they are known to be a map. */
  readonly map?: SampleMap
  /** Stages of the network in order; none where it is one piece. */
  readonly stages: readonly StageInfo[]
  /** Ranges between skip connections that the network's plan names for reuse, each within the next. */
  readonly reusable: readonly StageRange[]
}

/** A policy with its options checked, ready for any number of runs. */
export interface Policy {
  readonly name: string
  /** The same policy remembering one step less, and that in words; undefined where it cannot. `options` are those of a run. */
  rememberingLess?(options: Readonly<Record<string, unknown>>): { readonly policy: Policy; readonly says: string } | undefined
  /**
   * Called once per run: the options as they hold for this run, one policy object for each member, what the preflight says, and what there is
   * to say after it, told the milliseconds of its loop without what an audit took.
   */
  begin(context: RunContext): {
    readonly options: Readonly<Record<string, unknown>>
    readonly members: readonly MemberPolicy[]
    readonly warnings?: readonly string[]
    readonly outcome?: (ms: number) => readonly string[]
  }
}

export const run: Decision = { kind: 'run' }
