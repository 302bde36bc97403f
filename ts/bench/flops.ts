import type { Manifest } from '../plan/manifest.ts'
import type { MemberStep } from '../sampler/trace.ts'

/** Floating-point operations of one row of the network with `kept` tokens computed, from the plan. */
export function rowFlops({ stages, tokens }: Pick<Manifest, 'stages' | 'tokens'>, kept = tokenCount(tokens)): number {
  return stages.reduce((sum, { kind, flops }) => {
    const n = kind === 'tokens' ? kept : tokenCount(tokens)
    return sum + flops.fixed + flops.per_token * n + flops.per_token_pair * n * n
  }, 0)
}

/** Floating-point operations of one picture: rows (two with guidance) times passes, pruned ones with the tokens they kept. */
export function pictureFlops(manifest: Pick<Manifest, 'stages' | 'tokens'>, rows: number, steps: readonly MemberStep[]): number {
  const passes = steps.filter(({ action }) => action === 'run' || action === 'prune' || action === 'partial')
  return rows * passes.reduce((sum, { keptTokens }) => sum + rowFlops(manifest, keptTokens), 0)
}

export const tokenCount = ({ grid }: Manifest['tokens']): number => grid[0] * grid[1]
