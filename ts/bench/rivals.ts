import { policies, type PolicySpec } from '../policy/index.ts'
import type { MemberTrace } from '../sampler/trace.ts'
import type { Series } from './call.ts'
import { mean, median } from './statistics.ts'

/**
 * As many unaccelerated steps as fit into the accelerated run's time: the median over pairs of its sampling time in units of
 * the baseline's time per step, rounded down. Both without text encoding and decoding, which a shorter run pays just the same.
 */
export function sameTimeSteps(baseline: Series, accelerated: Series, steps: number): number {
  const ratios = accelerated.calls.map(({ trace }, k) => trace.ms / baseline.calls[k].trace.ms)
  return Math.min(steps, Math.max(1, Math.floor(steps * median(ratios))))
}

/**
 * Every third step with linear continuation, warmed up until it takes as many network runs as the policy did on average,
 * rounded up; every n-th where that is too many. None for a policy that runs at every step, as those do that leave out stages.
 */
export function equalRunsSchedule(members: readonly Pick<MemberTrace, 'nfe'>[], steps: number): PolicySpec | undefined {
  const runs = Math.ceil(mean(members.map(({ nfe }) => nfe)))
  if (runs >= steps) return undefined
  const tail = Math.min(2, steps - 1)
  const taken = (n: number, warmup: number): number => warmup + Math.ceil(Math.max(0, steps - tail - warmup) / n) + tail
  let n = 3
  while (taken(n, 1) > runs && n < steps) n++
  let warmup = 1
  while (warmup < steps - tail && taken(n, warmup + 1) <= runs) warmup++
  return { name: 'every-n', n, order: 1, warmup, tail }
}

/** The same policy with pruning off; undefined where it has no such option, or no pass was pruned anyway. */
export function withoutPruning(policy: PolicySpec, accelerated: Series): PolicySpec | undefined {
  const { name, preset, ...options } = typeof policy === 'string' ? { name: policy, preset: undefined } : policy
  const full = preset === undefined ? name : `${name}/${preset}`
  const pruned = accelerated.members.some(({ steps }) => steps.some(({ action }) => action === 'prune'))
  return pruned && 'prune' in policies[full].options ? { ...options, name: full, prune: false } : undefined
}
