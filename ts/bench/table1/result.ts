import * as v from 'valibot'
import { EQUAL_DB } from '../decibels.ts'
import { askedPicture } from './journal.ts'

/** The one description of what `sada-bench table1` reports: HTML, JSON, Markdown and CSV are made from it. */

const about = <T extends v.GenericSchema>(schema: T, description: string) => v.pipe(schema, v.description(description))
const amount = v.pipe(v.number(), v.minValue(0))
const whole = v.pipe(amount, v.integer())
const count = v.pipe(v.number(), v.integer(), v.minValue(1))
const spread = about(
  v.object({ p05: v.nullable(amount), p50: amount, p95: v.nullable(amount) }),
  'Quantiles; null: of fewer than 20 values only the median is given.',
)

const decibels = about(
  v.object({ mean: v.number(), worst_decile: v.number(), worst: v.nullable(v.number()) }),
  'dB against the unaccelerated picture of the same noise, on [−1, 1] samples before rounding, in float64, of each picture and then ' +
    'averaged over all; worst_decile: the mean over the worst tenth of all pictures, rounded up. Pictures equal to the baseline have no ' +
    `finite value and count as ${EQUAL_DB} dB, more than which none counts; worst, which is one picture's, is null where all are equal.`,
)
const closeness = {
  psnr_db: decibels,
  identical: about(whole, 'Pictures equal to the baseline, bit for bit.'),
  ssim: about(
    v.optional(v.object({ mean: v.number(), worst: v.number() })),
    'On values in [0, 1]; absent where it was not measured for each of the pictures.',
  ),
}

const plain = v.object({
  steps: count,
  samples: about(count, 'Pictures that both were made for; fewer than those of the row while a table is unfinished.'),
  ...closeness,
  gain_db: about(
    v.object({ mean: v.number(), worst_decile: v.number() }),
    `The row's PSNR less this, over those same pictures; equal ones count as ${EQUAL_DB} dB.`,
  ),
})

const worst = v.object({
  index: whole,
  prompt: v.string(),
  seed: whole,
  psnr_db: v.number(),
  ssim: v.optional(v.number()),
  nfe: count,
  plain_psnr_db: v.nullable(v.number()),
  actions: about(v.string(), 'One letter a step: Run, Partial, pruned (T), Extrapolate, Interpolate, reUse.'),
  shares: about(v.array(amount), "For each step the share of the network's operations that were made."),
})

const published = v.object({
  model: v.string(),
  psnr_db: v.nullable(v.number()),
  lpips: v.nullable(v.number()),
  fid: v.nullable(v.number()),
  speedup: v.nullable(amount),
  unit: about(v.picklist(['wall', 'flops', 'unstated']), 'What the published speed-up is a ratio of.'),
  solver: about(v.nullable(v.string()), 'As `scheduler` names it; null: not said.'),
  source: v.string(),
  verified: about(v.boolean(), 'false: written down from memory, and not compared with its source again.'),
})
export type Published = v.InferOutput<typeof published>

const metricValue = v.object({
  value: about(v.nullable(v.number()), 'null: every pair is equal, and the metric infinite for such.'),
  samples: count,
  std: about(v.optional(v.number()), 'Over random subsets, of KID; it is not the error of the mean.'),
  baseline: about(v.optional(v.number()), "The same of the baseline's pictures, of CLIP scores."),
  bias: about(
    v.optional(
      v.object({
        halves: v.number(),
        extrapolated: v.number(),
        points: v.array(v.object({ count, fid: v.number() })),
      }),
    ),
    'How far few pictures inflate an FID: that of two halves of the baseline, and FID∞ with the points it is extrapolated from.',
  ),
  settings: about(v.record(v.string(), v.union([v.string(), v.number()])), 'Flavour, model, scale, parameters.'),
  published_weights: about(v.optional(v.boolean()), "Whether the network's weights are the published ones."),
})

const row = v.object({
  scheduler: v.string(),
  guidance: amount,
  kind: about(v.string(), 'Kind of the prompts: full, short, coco, given.'),
  method: about(v.string(), 'Policy and settings, as the command line takes them.'),
  policy: v.string(),
  is_default: about(v.boolean(), "Whether the settings are the policy's published ones."),
  options: v.record(v.string(), v.unknown()),
  samples: count,
  nfe: v.object({ mean: amount, min: count, max: count }),
  nfe_ratio: about(amount, 'Steps over mean network runs; a guided pair, a pruned and a partial pass count one each.'),
  flops: about(
    v.object({ baseline: amount, accelerated: amount, ratio: amount }),
    'Floating-point operations of one picture, mean, from the plan; of pruned and partial passes what was computed.',
  ),
  wall_ms: spread,
  baseline_wall_ms: spread,
  speedup: about(
    spread,
    'Wall time of the unaccelerated call over that of the accelerated one in the same process; quantiles of the pairs.',
  ),
  timing: about(
    v.object({
      source: v.picklist(['runs', 'separate']),
      reliable: about(
        v.boolean(),
        'false: they come from the runs themselves, while other work kept more than half of the cores busy.',
      ),
      pairs: count,
      load: about(
        amount,
        'Median load average of the machine, by other work than the bench (recorded before 2026-11-27: by all).',
      ),
    }),
    'Of the wall times of this row, by its own kind of prompts. separate: they are of a run of their own (--timing), each method directly after its baseline.',
  ),
  ...closeness,
  metrics: v.record(v.string(), v.union([metricValue, v.object({ unavailable: v.string() })])),
  pareto: about(
    v.object({ wall: v.boolean(), nfe: v.boolean() }),
    'Whether no other row of the same scheduler, guidance and kind is faster (in wall time, in network runs) and closer on average. Rows of ' +
      'fewer pictures than the largest of them take no part, nor, for wall time, do rows whose times are not reliable: false for them.',
  ),
  plain: about(
    v.nullable(plain),
    'The unaccelerated run with as many steps as fit into the same time or operations (`plain_by`), rounded down; null: not made yet.',
  ),
  published: about(
    v.array(published),
    "The authors' figures, on their own models, prompts and machines: not comparable with the row's.",
  ),
  decisions: about(
    v.array(v.record(v.string(), amount)),
    'For each step, the share of the pictures for each letter of `actions`.',
  ),
  worst: about(v.array(worst), 'The worst pictures, worst first.'),
  warnings: v.array(v.string()),
})

const plainRow = v.object({
  scheduler: v.string(),
  guidance: amount,
  kind: v.string(),
  steps: count,
  samples: count,
  speedup: spread,
  ...closeness,
})

export const tableResult = v.object({
  schema: v.literal('sada-table1/1'),
  created: about(v.string(), 'ISO 8601, UTC.'),
  model: v.string(),
  steps: count,
  seed: whole,
  picture: about(v.optional(askedPicture), 'What was asked of each picture, where that is not what the model makes by itself.'),
  device: about(
    v.optional(v.string()),
    'Where the network ran: `cuda:<index>`, with ` tensorrt` behind it where that ran it, or `webgpu`; absent: on the CPU.',
  ),
  note: about(v.optional(v.string()), 'What stands for a picture, where that is not one.'),
  plain_by: about(
    v.picklist(['time', 'flops']),
    "What plain runs are matched by: the sampling loop's time, or the network's operations, where the machine was too busy to measure.",
  ),
  sessions: about(
    v.array(
      v.object({
        created: v.string(),
        cpu: v.string(),
        cores: count,
        load_average: amount,
        sada: v.string(),
        commit: v.nullable(v.string()),
      }),
    ),
    'The processes that made the runs.',
  ),
  load: about(
    v.object({ p50: amount, max: amount }),
    'Load average over all runs, by other work than the bench (recorded before 2026-11-27: by all): far above the number of cores wall times are not to be relied on.',
  ),
  metrics: v.record(
    v.string(),
    v.object({
      unit: v.string(),
      direction: v.picklist(['higher', 'lower']),
      about: v.string(),
      unavailable: v.optional(v.string()),
    }),
  ),
  missing: about(
    v.array(v.object({ scheduler: v.string(), guidance: amount, method: v.string(), reason: v.string() })),
    'Methods that could not run, and what they lack.',
  ),
  rows: v.array(row),
  plain: about(v.array(plainRow), 'The unaccelerated runs with fewer steps, each number of steps once.'),
})

export type TableResult = v.InferOutput<typeof tableResult>
export type TableRow = TableResult['rows'][number]
export type PlainRow = TableResult['plain'][number]
export type WorstCase = TableRow['worst'][number]
