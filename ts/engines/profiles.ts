import type { InputRange } from '../native/types.ts'
import type { Manifest, Stage } from '../plan/manifest.ts'

/** Rows of a call: a guided pair is usual; pictures of a batch and their unguided branches are the largest. */
const ROWS = { smallest: 1, usual: 2, largest: 16 }
/** Shares of the tokens that pruned passes keep: `BUCKETS` of `ts/plan/plan-network.ts`, and all of them. */
const TOKEN_SHARES = [0.25, 0.5, 0.75, 1]

/** The sizes that an engine of a stage is made for: one profile for each number of tokens, any number of rows in each. */
export function stageProfiles(
  { tensors, tokens }: Pick<Manifest, 'tensors' | 'tokens'>,
  { kind, inputs }: Stage,
): InputRange[][] {
  const all = tokens.grid[0] * tokens.grid[1]
  const counts = kind === 'tokens' ? [...new Set(TOKEN_SHARES.map((share) => Math.ceil(share * all)))] : [all]
  return counts.map((count) =>
    inputs.map((input) => {
      const sizes = (rows: number): number[] => tensors[input].map((n) => (n === 'rows' ? rows : n === 'tokens' ? count : n))
      return { input, smallest: sizes(ROWS.smallest), usual: sizes(ROWS.usual), largest: sizes(ROWS.largest) }
    }),
  )
}
