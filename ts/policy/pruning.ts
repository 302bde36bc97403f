import type { OptionTable } from './options.ts'
import { run, type Decision, type RunContext } from './policy.ts'

export interface PruningOptions {
  prune: boolean
  maxKept: number
  pruneWindow: readonly [number, number]
  fullAbove: number
  maxPruned: number
  seed: number
}

/** Options of token-wise pruning (SADA, approximation c), shared by the policies that prune. */
export const pruningOptions: OptionTable<PruningOptions> = {
  prune: { about: 'compute only the unstable tokens where the network can', default: true, min: 0, max: 1 },
  maxKept: { about: 'cap on the tokens computed for their score', default: 5120, min: 1, max: 2 ** 31 - 1, integer: true },
  pruneWindow: {
    about: 'one pseudo-random token of every h × w window is computed as well; 0 × 0: none',
    default: [3, 3],
    min: 0,
    max: 1024,
    integer: true,
  },
  fullAbove: { about: 'share of kept tokens above which everything is computed', default: 0.85, min: 0, max: 1 },
  maxPruned: { about: 'pruned passes between two full ones', default: 3, min: 0, max: 1000, integer: true },
  seed: { about: 'seed of the pseudo-random tokens', default: 0, min: 0, max: 2 ** 32 - 1, integer: true },
}

/** When a pass may be pruned: with scores at hand, not directly after a skip, and never too often in a row. */
export class Pruning {
  private readonly options: PruningOptions
  readonly enabled: boolean
  private sinceFull = Infinity
  private scored = false

  constructor(options: PruningOptions, context: RunContext) {
    this.options = options
    this.enabled = options.prune && context.canPrune
  }

  /** A pruned pass at `step` if it is allowed, else a full one. */
  decide(step: number, mustBeFull: boolean): Decision {
    const { maxKept, pruneWindow, fullAbove, maxPruned, seed } = this.options
    if (!this.enabled || mustBeFull || !this.scored || this.sinceFull >= maxPruned) return run
    // Other tokens at every step; the same ones in every run and for every member, alone or in a batch.
    return { kind: 'prune', selection: { maxKept, window: pruneWindow, seed: (seed + 0x9e3779b1 * (step + 1)) >>> 0, fullAbove } }
  }

  /** The first computed step after a skip is a full pass: the caches are as old as the skip. */
  after(_: number, done: Decision, scored: boolean): void {
    this.scored = scored && done.kind !== 'skip'
    if (done.kind === 'run') this.sinceFull = 0
    else if (done.kind === 'prune') this.sinceFull++
    else this.sinceFull = Infinity
  }
}
