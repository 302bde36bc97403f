import type { OptionTable } from './options.ts'
import type { MemberPolicy, RunContext } from './policy.ts'

/** A policy as its file describes it; `index.ts` lists them all. */
export interface PolicyDefinition<O> {
  readonly name: string
  readonly about: string
  /** Where the method comes from. */
  readonly source: string
  readonly options: OptionTable<O>
  begin(options: O, context: RunContext): readonly MemberPolicy[]
  /** Said before the run: which of these settings cannot have an effect in it, and what is missing. Empty: nothing to say. */
  preflight?(options: O, context: RunContext): readonly string[]
}
