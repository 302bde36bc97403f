import type { PolicySpec } from '../policy/index.ts'
import { Series, timedCall, type CallSite, type TimedCall } from './call.ts'
import { describeCase, describeComparison, type CaseRuns } from './case.ts'
import type { BenchCase, Comparison } from './result.ts'
import { equalRunsSchedule, sameTimeSteps, withoutPruning } from './rivals.ts'
import type { BenchProgress, BenchSettings, Generate } from './settings.ts'

/** A case's figures and the runs they come from. */
export interface MeasuredCase extends CaseRuns {
  readonly figures: BenchCase
}

/** An accelerated run's share of the baseline's work, for the estimate of the time left. */
const EXPECTED_SHARE = 0.55
const WARM_UP_STEPS = 20

/** Measures every scheduler × policy, one after another. Rejects with the signal's reason when it fires. */
export async function measure(generate: Generate, settings: BenchSettings, signal: AbortSignal, progress: BenchProgress): Promise<MeasuredCase[]> {
  const { schedulers, policies, quick, steps, prompts } = settings
  const ofPolicy = EXPECTED_SHARE * (quick ? 2 : 4)
  progress.start(schedulers.length * prompts.length * steps * (1 + ofPolicy * policies.length))
  const cases: MeasuredCase[] = []
  for (const scheduler of schedulers) cases.push(...(await measureScheduler({ generate, settings, scheduler, signal }, progress)))
  return cases
}

async function measureScheduler(site: CallSite, progress: BenchProgress): Promise<MeasuredCase[]> {
  const { settings, scheduler } = site
  const { policies, steps } = settings
  for (const policy of ['none', ...policies]) await timedCall(site, 0, policy, Math.min(steps, WARM_UP_STEPS))
  const [baseline, ...accelerated] = await interleaved(site, ['none', ...policies], progress)
  const cases: MeasuredCase[] = []
  for (const [k, policy] of policies.entries()) {
    const fewerSteps = sameTimeSteps(baseline, accelerated[k], steps)
    const fewer = await series(site, 'none', fewerSteps, progress, `${scheduler}: ${fewerSteps} plain steps`)
    const runs = { baseline, accelerated: accelerated[k], fewer, fewerSteps }
    const comparisons = settings.quick ? [] : await compare(site, policy, runs, progress)
    cases.push({ ...runs, figures: describeCase(settings, scheduler, runs, comparisons) })
    progress.note(`${scheduler}, ${nameOf(policy)}: ${cases.at(-1)!.figures.speedup.wall.toFixed(2)} times as fast`)
  }
  return cases
}

/**
 * Every policy on every group of pictures, neighbours in time: what slows the machine for a while slows them all. Every other
 * group goes in reverse order, so that none is always the first.
 */
async function interleaved(site: CallSite, policies: readonly PolicySpec[], progress: BenchProgress): Promise<Series[]> {
  const { settings, scheduler } = site
  const calls: TimedCall[][] = policies.map(() => [])
  for (let group = 0; group < groups(settings); group++) {
    const order = policies.map((policy, k) => ({ policy, k }))
    if (group % 2 === 1) order.reverse()
    for (const { policy, k } of order) {
      calls[k].push(await timedCall(site, group, policy, settings.steps))
      progress.advance(work(settings, k === 0 ? 1 : EXPECTED_SHARE), `${scheduler}: ${nameOf(policy)}`)
    }
  }
  return calls.map((each) => new Series(each))
}

async function series(site: CallSite, policy: PolicySpec, steps: number, progress: BenchProgress, task: string): Promise<Series> {
  const calls: TimedCall[] = []
  for (let group = 0; group < groups(site.settings); group++) {
    calls.push(await timedCall(site, group, policy, steps))
    progress.advance(work(site.settings, EXPECTED_SHARE), task)
  }
  return new Series(calls)
}

async function compare(site: CallSite, policy: PolicySpec, { baseline, accelerated }: CaseRuns, progress: BenchProgress): Promise<Comparison[]> {
  const { settings, scheduler } = site
  const rivals: [Comparison['name'], PolicySpec | undefined][] = [
    ['fixed-schedule', nameOf(policy) === 'none' ? undefined : equalRunsSchedule(accelerated, settings.steps)],
    ['pruning-off', withoutPruning(policy, accelerated)],
  ]
  const found: Comparison[] = []
  for (const [name, spec] of rivals) {
    if (spec === undefined) progress.advance(work(settings, EXPECTED_SHARE) * groups(settings), scheduler)
    else found.push(describeComparison(settings, name, baseline, await series(site, spec, settings.steps, progress, `${scheduler}: ${name}`)))
  }
  return found
}

const groups = ({ prompts, batch }: BenchSettings): number => prompts.length / batch
const work = ({ steps, batch }: BenchSettings, share: number): number => steps * batch * share
const nameOf = (policy: PolicySpec): string => (typeof policy === 'string' ? policy : policy.preset ? `${policy.name}/${policy.preset}` : policy.name)
