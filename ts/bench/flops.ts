import type { Manifest } from '../plan/manifest.ts'
import { stageFlops } from '../plan/stage-flops.ts'
import type { MemberStep } from '../sampler/trace.ts'

/** What a plan says of a network's operations. */
export type Costs = Pick<Manifest, 'stages' | 'tokens'>

/**
 * Floating-point operations of one row of the network with `kept` tokens computed, from the plan. Without one (a folder of diffusers) the
 * unit is a whole pass, as which a pruned one then counts as well.
 */
export function rowFlops(costs: Costs | undefined, kept?: number): number {
  if (costs === undefined) return 1
  const all = tokenCount(costs.tokens)
  return costs.stages.reduce((sum, { kind, flops }) => sum + stageFlops(flops, kind === 'tokens' ? (kept ?? all) : all), 0)
}

/** Floating-point operations of one picture: rows (two with guidance) times passes, of pruned and partial ones what was computed. */
export function pictureFlops(costs: Costs | undefined, rows: number, steps: readonly MemberStep[]): number {
  const passes = steps.filter(({ action }) => action === 'run' || action === 'prune' || action === 'partial')
  return rows * passes.reduce((sum, { keptTokens, flopShare = 1 }) => sum + flopShare * rowFlops(costs, keptTokens), 0)
}

export const tokenCount = ({ grid }: Manifest['tokens']): number => grid[0] * grid[1]
