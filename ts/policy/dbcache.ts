import type { PolicyDefinition } from './definition.ts'
import { firstBlockMembers, type FirstBlockOptions } from './first-block-cache.ts'
import { leavesNothing, switchedOff } from './preflight.ts'

/**
 * DBCache (cache-dit): First-Block-Cache over the first n blocks, with warm-up, caps, and a forecast of what the other blocks add. n is what
 * the plan's first token stage holds; no blocks are computed at the end (published default), and of the forecasters there is Taylor's.
 */
export const dbCache: PolicyDefinition<FirstBlockOptions> = {
  name: 'dbcache',
  about: "Runs the others after the first block only if the first one's work has changed; warmed up, capped, forecast.",
  source: 'DBCache (cache-dit), published code',
  options: {
    threshold: {
      about: "relative change of the first block's residual from which on the others run",
      default: 0.08,
      min: 0,
      max: 1000,
    },
    warmup: { about: 'first steps that always run', default: 8, min: 1, max: 1000, integer: true },
    maxConsecutive: {
      about: 'partial passes in a row; 1000: no limit (published default)',
      default: 1000,
      min: 0,
      max: 1000,
      integer: true,
    },
    maxCached: {
      about: 'partial passes in the whole run; 1000: no limit (published default)',
      default: 1000,
      min: 0,
      max: 1000,
      integer: true,
    },
    maxAccumulated: {
      about: 'sum of all changes measured so far from which on every step runs; 1000: no limit (published default)',
      default: 1000,
      min: 0,
      max: 1000,
    },
    order: {
      about: 'of the Taylor series of what the other blocks add; 0: it is reused (published default); 1 where TaylorSeer is on',
      default: 0,
      min: 0,
      max: 4,
      integer: true,
      fewest: 0,
    },
    conditionalOnly: {
      about: 'with guidance, measure the row with the prompt alone (published: each branch for itself)',
      default: false,
      min: 0,
      max: 1,
    },
  },
  begin: (options, context) => firstBlockMembers('dbcache', options, context),
  preflight: ({ threshold, warmup, maxConsecutive, maxCached, maxAccumulated }, context) => [
    ...switchedOff('threshold', threshold),
    ...switchedOff('maxConsecutive', maxConsecutive),
    ...switchedOff('maxCached', maxCached),
    ...switchedOff('maxAccumulated', maxAccumulated),
    ...leavesNothing(context, warmup, 0),
  ],
}
