import type { OptionTable } from './options.ts'
import type { MemberPolicy, RunContext } from './policy.ts'

/** A policy as its file describes it; `index.ts` lists them all. */
export interface PolicyDefinition<O> {
  readonly name: string
  readonly about: string
  /** Where the method comes from. */
  readonly source: string
  readonly options: OptionTable<O>
  /**
   * Under a stochastic solver: refused, as its formulas extrapolate the state itself; or used with a warning, as it reuses an output that does not
   * know the noise added since. Left out: it works with clean samples or features, and is used as it is.
   */
  readonly freshNoise?: 'refused' | 'unknown to it'
  begin(options: O, context: RunContext): readonly MemberPolicy[]
  /** Said before the run: which of these settings cannot have an effect in it, and what is missing. Empty: nothing to say. */
  preflight?(options: O, context: RunContext): readonly string[]
  /** Said after the run, whose loop took so many milliseconds, by its `members` as `begin` made them: what it was to reach and did not. */
  outcome?(options: O, ms: number, members: readonly MemberPolicy[]): readonly string[]
}
