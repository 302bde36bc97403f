import { byKind, type Series } from './call.ts'
import { closeness, finiteOrNull, summarise, type Closeness } from './fidelity.ts'
import { pictureFlops, tokenCount } from './flops.ts'
import type { BenchCase, Comparison } from './result.ts'
import type { BenchSettings } from './settings.ts'
import { greatest, least, mean, median, quantile, spread } from './statistics.ts'

/** The runs behind one case. */
export interface CaseRuns {
  /** The accelerated run's policy with its settings. */
  readonly method: string
  readonly baseline: Series
  readonly accelerated: Series
  readonly fewer: Series
  readonly fewerSteps: number
  /** The accelerated run once more, in turns with its rivals; absent from a quick run. */
  readonly again?: Series
}

const pick = <T>(all: readonly T[], indices: readonly number[]): T[] => indices.map((k) => all[k])

/** The figures of one scheduler and policy. */
export function describeCase(
  settings: BenchSettings,
  scheduler: string,
  runs: CaseRuns,
  comparisons: readonly Comparison[],
): BenchCase {
  const { prompts, steps, batch, guidance, seed, model } = settings
  const { baseline, accelerated, fewer } = runs
  const { policy, options } = accelerated.calls[0].trace
  const close = closeness(accelerated.samples, baseline.samples, model.shape)
  const fewerClose = closeness(fewer.samples, baseline.samples, model.shape)
  const nfe = accelerated.members.map((member) => member.nfe)
  const fewerFidelity = summarise(fewerClose)
  return {
    scheduler,
    policy,
    ...(runs.method !== policy && { method: runs.method }),
    options: { ...options },
    steps,
    samples: prompts.length,
    batch,
    guidance,
    seed,
    nfe: { mean: mean(nfe), min: least(nfe), max: greatest(nfe) },
    flops: flops(settings, runs),
    kept_tokens: keptTokens(settings, accelerated),
    wall_ms: spread(accelerated.wallMs),
    baseline_wall_ms: spread(baseline.wallMs),
    speedup: speedup(runs, steps / mean(nfe)),
    fidelity: summarise(close),
    fidelity_by_kind: describeKinds(settings, close, fewerClose, nfe),
    overhead_us_per_step: median(accelerated.calls.map(({ trace }) => (trace.overheadMs * 1000) / steps)),
    decisions: accelerated.members.map((member) => member.steps.map(({ action }) => action)),
    fewer_steps: {
      steps: runs.fewerSteps,
      wall_ms: median(fewer.wallMs),
      speedup_wall: rivalSpeedup(runs, fewer),
      psnr_db: fewerFidelity.psnr_db.mean,
      psnr_db_min: fewerFidelity.psnr_db.min,
      ssim: fewerFidelity.ssim.mean,
      identical: fewerFidelity.identical,
    },
    comparisons: [...comparisons],
    pictures: prompts.map(({ prompt, kind }, k) => ({
      prompt,
      kind,
      seed: seed + k,
      nfe: nfe[k],
      psnr_db: finiteOrNull(close[k].psnr),
      ssim: close[k].ssim,
      fewer_steps_psnr_db: finiteOrNull(fewerClose[k].psnr),
    })),
  }
}

/** The figures of a run that stands beside a case. */
export function describeComparison(
  settings: BenchSettings,
  name: Comparison['name'],
  runs: CaseRuns,
  series: Series,
): Comparison {
  const { policy, options } = series.calls[0].trace
  const close = closeness(series.samples, runs.baseline.samples, settings.model.shape)
  const kinds = [...byKind(settings.prompts)]
  return {
    name,
    policy,
    options: { ...options },
    samples: close.length,
    nfe: mean(series.members.map((member) => member.nfe)),
    wall_ms: median(series.wallMs),
    speedup_wall: rivalSpeedup(runs, series),
    ...summarise(close),
    fidelity_by_kind: Object.fromEntries(
      kinds.map(([kind, at]) => [kind, { samples: at.length, ...summarise(pick(close, at)) }]),
    ),
  }
}

function describeKinds(
  { prompts }: BenchSettings,
  close: readonly Closeness[],
  fewer: readonly Closeness[],
  nfe: readonly number[],
): BenchCase['fidelity_by_kind'] {
  const kinds = [...byKind(prompts)].map(([kind, at]) => {
    const { psnr_db } = summarise(pick(fewer, at))
    return [
      kind,
      {
        samples: at.length,
        nfe: mean(pick(nfe, at)),
        ...summarise(pick(close, at)),
        fewer_steps: { psnr_db: psnr_db.mean, psnr_db_min: psnr_db.min },
      },
    ]
  })
  return Object.fromEntries(kinds) as BenchCase['fidelity_by_kind']
}

function speedup({ baseline, accelerated }: CaseRuns, nfe: number): BenchCase['speedup'] {
  const ratios = accelerated.wallMs.map((ms, k) => baseline.wallMs[k] / ms)
  return { wall: median(ratios), wall_p05: quantile(ratios, 0.05), wall_p95: quantile(ratios, 0.95), nfe }
}

/** How much faster than the baseline a rival is: by way of the accelerated run it took turns with; else of the medians. */
function rivalSpeedup({ baseline, accelerated, again }: CaseRuns, rival: Series): number {
  if (again === undefined) return median(baseline.wallMs) / median(rival.wallMs)
  const toPolicy = median(again.wallMs.map((ms, k) => ms / rival.wallMs[k]))
  return median(accelerated.wallMs.map((ms, k) => baseline.wallMs[k] / ms)) * toPolicy
}

function flops({ model: { costs, rowsAt }, guidance }: BenchSettings, { baseline, accelerated }: CaseRuns): BenchCase['flops'] {
  const rows = rowsAt(guidance)
  const perPicture = (series: Series): number => mean(series.members.map(({ steps }) => pictureFlops(costs, rows, steps)))
  const [full, fewer] = [perPicture(baseline), perPicture(accelerated)]
  return { baseline: full, accelerated: fewer, ratio: full / fewer }
}

function keptTokens({ model: { costs } }: BenchSettings, { members }: Series): BenchCase['kept_tokens'] {
  const kept = members.flatMap(({ steps }) =>
    steps.flatMap(({ action, keptTokens }) => (action === 'prune' && keptTokens !== undefined ? [keptTokens] : [])),
  )
  return {
    mean: kept.length > 0 ? mean(kept) : null,
    of: costs === undefined ? null : tokenCount(costs.tokens),
    pruned_passes: kept.length / members.length,
  }
}
