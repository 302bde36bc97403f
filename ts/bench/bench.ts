import type { PolicySpec } from '../policy/index.ts'
import { Series, timedCall, type CallSite, type Plan, type TimedCall } from './call.ts'
import { describeCase, describeComparison, type CaseRuns } from './case.ts'
import type { BenchCase, Comparison } from './result.ts'
import { equalRunsSchedule, sameTimeSteps, withoutPruning } from './rivals.ts'
import type { BenchProgress, BenchSettings, Generate } from './settings.ts'
import { caseName } from './table.ts'
import { methodFor } from './table1/methods.ts'

/** A case's figures and the runs they come from. */
export interface MeasuredCase extends CaseRuns {
  readonly figures: BenchCase
}

/** An accelerated run's share of the baseline's work, for the estimate of the time left. */
const EXPECTED_SHARE = 0.55
const WARM_UP_STEPS = 10
/** Fixed schedule, and pruning off. */
const MOST_RIVALS = 2

/** Measures every scheduler × policy, one after another. Rejects with the signal's reason when it fires. */
export async function measure(
  generate: Generate,
  settings: BenchSettings,
  signal: AbortSignal,
  progress: BenchProgress,
): Promise<MeasuredCase[]> {
  const { schedulers, policies, quick, steps, prompts } = settings
  // The policy and the plain run of the same time; then its other rivals, and the policy again.
  const ofPolicy = EXPECTED_SHARE * (quick ? 2 : 3 + MOST_RIVALS)
  progress.start(schedulers.length * prompts.length * steps * (1 + ofPolicy * policies.length))
  const cases: MeasuredCase[] = []
  for (const scheduler of schedulers) cases.push(...(await measureScheduler({ generate, settings, scheduler, signal }, progress)))
  return cases
}

async function measureScheduler(site: CallSite, progress: BenchProgress): Promise<MeasuredCase[]> {
  const { settings, scheduler } = site
  const { policies, steps } = settings
  const all: readonly PolicySpec[] = ['none', ...policies]
  for (const policy of all) await timedCall(site, 0, { policy, steps: Math.min(steps, WARM_UP_STEPS) })
  const plans = all.map((policy): Plan => ({ policy, steps }))
  const [baseline, ...accelerated] = await inTurns(site, plans, progress)
  const cases: MeasuredCase[] = []
  for (const [k, policy] of policies.entries()) {
    const measured = await measureCase(site, policy, baseline, accelerated[k], progress)
    cases.push(measured)
    progress.note(`${scheduler}, ${caseName(measured.figures)}: ${measured.figures.speedup.wall.toFixed(2)} times as fast`)
  }
  return cases
}

/** The rivals of one accelerated series, and the figures of all. */
async function measureCase(
  site: CallSite,
  policy: PolicySpec,
  baseline: Series,
  accelerated: Series,
  progress: BenchProgress,
): Promise<MeasuredCase> {
  const { settings, scheduler } = site
  const { steps, quick } = settings
  const fewerSteps = sameTimeSteps(baseline, accelerated, steps)
  const compared = quick ? [] : comparisonsFor(policy, accelerated, steps)
  const plans: Plan[] = [{ policy: 'none', steps: fewerSteps }, ...compared.map(({ spec }) => ({ policy: spec, steps }))]
  // The policy takes its turn among its rivals, so that their times are compared with its time then.
  const [fewer, ...others] = await inTurns(site, quick ? plans : [...plans, { policy, steps }], progress)
  progress.advance((MOST_RIVALS - compared.length) * (quick ? 0 : settings.prompts.length * steps * EXPECTED_SHARE), scheduler)
  const again = others.at(compared.length)
  const runs = { method: nameOf(policy), baseline, accelerated, fewer, fewerSteps, again }
  const comparisons = compared.map(({ name }, k) => describeComparison(settings, name, runs, others[k]))
  return { ...runs, figures: describeCase(settings, scheduler, runs, comparisons) }
}

function comparisonsFor(
  policy: PolicySpec,
  accelerated: Series,
  steps: number,
): { name: Comparison['name']; spec: PolicySpec }[] {
  if (nameOf(policy) === 'none') return []
  const [fixed, unpruned] = [equalRunsSchedule(accelerated.members, steps), withoutPruning(policy, accelerated)]
  return [
    ...(fixed === undefined ? [] : [{ name: 'fixed-schedule' as const, spec: fixed }]),
    ...(unpruned === undefined ? [] : [{ name: 'pruning-off' as const, spec: unpruned }]),
  ]
}

/**
 * Every plan on every group of pictures, neighbours in time: what slows the machine for a while slows them all. Every other
 * group goes in reverse order, so that none is always the first.
 */
async function inTurns(site: CallSite, plans: readonly Plan[], progress: BenchProgress): Promise<Series[]> {
  const { settings, scheduler } = site
  const calls: TimedCall[][] = plans.map(() => [])
  for (let group = 0; group < settings.prompts.length / settings.batch; group++) {
    const order = plans.map((plan, k) => ({ plan, k }))
    if (group % 2 === 1) order.reverse()
    for (const { plan, k } of order) {
      calls[k].push(await timedCall(site, group, plan))
      const isFull = plan.policy === 'none' && plan.steps === settings.steps
      progress.advance(
        settings.steps * settings.batch * (isFull ? 1 : EXPECTED_SHARE),
        `${scheduler}: ${nameOf(plan.policy)}, ${plan.steps} steps`,
      )
    }
  }
  return calls.map((each) => new Series(each))
}

const nameOf = (policy: PolicySpec): string => methodFor(policy).label
