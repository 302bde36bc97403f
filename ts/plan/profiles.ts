import type { InputRange } from '../native/types.ts'
import type { Manifest, Stage } from './manifest.ts'

/** Rows of a call: a guided pair is usual; pictures of a batch and their unguided branches are the largest. */
const ROWS = { smallest: 1, usual: 2, largest: 16 }
/** Kept counts are rounded up to these shares of the tokens, so that engines and batches see few shapes. */
const TOKEN_SHARES = [0.25, 0.5, 0.75, 1]

/** Sizes of the inputs that an engine of a model file is made for, one profile for each kind of pass. */
export type Profiles = readonly (readonly InputRange[])[]

/** The numbers of tokens that a pass over so many may keep, ascending, each once. */
export const keptBuckets = (tokens: number): number[] => [...new Set(TOKEN_SHARES.map((share) => Math.ceil(share * tokens)))]

/** For each kind of pass over a stage, how many of `all` tokens it keeps: pruned ones round up, dense stages see every token. */
export function keptCounts(kind: Stage['kind']): ((all: number) => number)[] {
  const shares = kind === 'tokens' ? TOKEN_SHARES : [1]
  return shares.map((share) => (all) => Math.ceil(share * all))
}

/** The sizes that an engine of a stage is made for: one profile for each number of tokens, any number of rows in each. */
export function stageProfiles(
  { tensors, tokens }: Pick<Manifest, 'tensors' | 'tokens'>,
  { kind, inputs }: Stage,
): InputRange[][] {
  const all = tokens.grid[0] * tokens.grid[1]
  const counts = kind === 'tokens' ? keptBuckets(all) : [all]
  return counts.map((count) =>
    inputs.map((input) => {
      const sizes = (rows: number): number[] => tensors[input].map((n) => (n === 'rows' ? rows : n === 'tokens' ? count : n))
      return { input, smallest: sizes(ROWS.smallest), usual: sizes(ROWS.usual), largest: sizes(ROWS.largest) }
    }),
  )
}
