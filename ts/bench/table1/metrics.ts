import {
  InceptionMemory,
  METRICS,
  MetricNetworks,
  type MetricContext,
  type MetricName,
  type MetricValue,
} from '../../metrics/index.ts'
import type { Assembled, Group } from './assemble.ts'
import { groupsOf } from './assemble.ts'
import type { JournalContent } from './journal.ts'
import { sampleOf } from '../../metrics/picture.ts'
import type { Pictures } from './pictures.ts'
import type { TableResult, TableRow } from './result.ts'

export interface MetricsOptions {
  /** Where the converted networks are; left out: metrics that need one are unavailable. */
  readonly weights?: string
  readonly threads?: number
  readonly signal: AbortSignal
}

/** PSNR and SSIM are in every run already; the others compare the 8-bit pictures that were kept. */
const NAMES = (Object.keys(METRICS) as MetricName[]).filter(
  (name) => !['psnr', 'ssim'].includes(name) && METRICS[name].needs.kind !== 'sounds',
)
/** The other networks say nothing of spectrograms. */
const OF_SPECTROGRAMS: readonly MetricName[] = ['lpips']

/** The table with its metrics: a value for each row, or for all rows at once why there is none. */
export async function withMetrics(
  table: Assembled,
  journal: JournalContent,
  pictures: Pictures,
  { weights, threads, signal }: MetricsOptions,
): Promise<TableResult> {
  const networks = new MetricNetworks({ folder: weights, threads })
  try {
    const metrics: Record<string, TableResult['metrics'][string]> = {}
    const open: MetricName[] = []
    for (const name of table.note === undefined ? NAMES : OF_SPECTROGRAMS) {
      const { unit, direction, about, needs } = METRICS[name]
      const network = needs.network === undefined ? undefined : await networks.open(needs.network)
      const reason = network !== undefined && 'unavailable' in network ? network.unavailable.reason : undefined
      metrics[name] = { unit, direction, about, ...(reason !== undefined && { unavailable: reason }) }
      if (reason === undefined) open.push(name)
    }
    const groups = open.length === 0 ? [] : groupsOf([...journal.runs.values()].filter(({ method }) => method !== 'none'))
    const inception = new InceptionMemory()
    const baselines = new Map<string, Float32Array[]>()
    const rows: TableRow[] = []
    for (const row of table.rows) {
      const group = groups.find(
        (each) =>
          each.scheduler === row.scheduler &&
          each.guidance === row.guidance &&
          each.kind === row.kind &&
          each.method === row.method,
      )
      rows.push(
        group === undefined
          ? row
          : { ...row, metrics: await valuesOf(group, open, pictures, baselines, { networks, inception, signal }) },
      )
    }
    return { ...table, metrics, rows }
  } finally {
    await networks.dispose()
  }
}

async function valuesOf(
  { runs }: Group,
  names: readonly MetricName[],
  pictures: Pictures,
  baselines: Map<string, Float32Array[]>,
  context: Pick<MetricContext, 'networks' | 'inception' | 'signal'>,
): Promise<TableRow['metrics']> {
  const found: Float32Array[] = []
  const indices: number[] = []
  const accelerated: Float32Array[] = []
  const captions: string[] = []
  let size: readonly [number, number] | undefined
  for (const run of runs) {
    const pair = [await pictures.find({ ...run, method: 'none' }), await pictures.find(run)]
    if (pair[0] === undefined || pair[1] === undefined) continue
    size = [pair[0].height, pair[0].width]
    found.push(sampleOf(pair[0]))
    indices.push(run.index)
    accelerated.push(sampleOf(pair[1]))
    captions.push(run.prompt)
  }
  // Rows of the same pictures share one array, by which the Inception network's features are remembered.
  const key = runs.length === 0 ? '' : [runs[0].scheduler, runs[0].guidance, runs[0].kind, ...indices].join('|')
  const baseline = baselines.get(key) ?? found
  baselines.set(key, baseline)
  const values: Record<string, TableRow['metrics'][string]> = {}
  for (const name of names) {
    if (size === undefined) {
      values[name] = { unavailable: 'The pictures were not kept.' }
      continue
    }
    const form = { kind: 'pictures', shape: [3, ...size] } as const
    const metric = await METRICS[name].evaluate(baseline, accelerated, { ...context, form, captions })
    values[name] = 'unavailable' in metric ? { unavailable: metric.unavailable.reason } : told(metric)
  }
  return values
}

/** All that must be said beside a value; what each picture has is left out. */
function told({ mean, samples, std, baseline, bias, settings, publishedWeights }: MetricValue): TableRow['metrics'][string] {
  return {
    value: mean,
    samples,
    ...(std !== undefined && { std }),
    ...(baseline !== undefined && { baseline }),
    ...(bias !== undefined && { bias: { ...bias, points: [...bias.points] } }),
    settings: { ...settings },
    ...(publishedWeights !== undefined && { published_weights: publishedWeights }),
  }
}
