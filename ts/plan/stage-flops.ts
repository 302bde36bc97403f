import type { Stage } from './manifest.ts'

/** Floating-point operations of a stage for one row of n tokens. */
export const stageFlops = ({ fixed, per_token, per_token_pair }: Stage['flops'], n: number): number =>
  fixed + per_token * n + per_token_pair * n * n
