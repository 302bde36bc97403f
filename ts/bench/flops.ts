import type { Manifest } from '../plan/manifest.ts'
import { stageFlops } from '../plan/stage-flops.ts'
import type { MemberStep } from '../sampler/trace.ts'

/** Floating-point operations of one row of the network with `kept` tokens computed, from the plan. */
export function rowFlops({ stages, tokens }: Pick<Manifest, 'stages' | 'tokens'>, kept = tokenCount(tokens)): number {
  return stages.reduce((sum, { kind, flops }) => {
    return sum + stageFlops(flops, kind === 'tokens' ? kept : tokenCount(tokens))
  }, 0)
}

/** Floating-point operations of one picture: rows (two with guidance) times passes, of pruned and partial ones what was computed. */
export function pictureFlops(manifest: Pick<Manifest, 'stages' | 'tokens'>, rows: number, steps: readonly MemberStep[]): number {
  const passes = steps.filter(({ action }) => action === 'run' || action === 'prune' || action === 'partial')
  return rows * passes.reduce((sum, { keptTokens, flopShare = 1 }) => sum + flopShare * rowFlops(manifest, keptTokens), 0)
}

export const tokenCount = ({ grid }: Manifest['tokens']): number => grid[0] * grid[1]
