import * as v from 'valibot'

/**
 * The one description of what `sada-bench` reports: its types follow from it, and so does `bench/sada-bench.schema.json`
 * (scripts/bench-schema.ts).
 */

const about = <T extends v.GenericSchema>(schema: T, description: string) => v.pipe(schema, v.description(description))
const amount = v.pipe(v.number(), v.minValue(0))
const whole = v.pipe(amount, v.integer())
const count = v.pipe(v.number(), v.integer(), v.minValue(1))
const ratio = amount

const spread = v.object({ p50: amount, p05: amount, p95: amount })
const decibels = about(
  v.object({ mean: v.nullable(v.number()), min: v.nullable(v.number()) }),
  'dB against the unaccelerated picture of the same seed, on [−1, 1] samples before rounding (with an autoencoder: on its 8-bit pictures), per picture and then averaged. ' +
    'Identical pairs have no finite value and are left out; null where all are identical.',
)
const similarity = v.object({ mean: v.number(), min: v.number() })
const identical = about(whole, 'Pictures equal to the baseline, bit for bit.')
const fidelity = { psnr_db: decibels, ssim: similarity, identical }
const policyOptions = about(v.record(v.string(), v.unknown()), 'The options in force, defaults included.')

const kindOfPrompt = v.object({
  samples: count,
  nfe: amount,
  ...fidelity,
  fewer_steps: about(
    v.object({ psnr_db: v.nullable(v.number()), psnr_db_min: v.nullable(v.number()) }),
    'The same-time unaccelerated run on these prompts.',
  ),
})

const rivalSpeedup = about(
  ratio,
  "Against the baseline: the policy's speed-up times the median ratio to the policy's calls made in turns with these; " +
    'in a quick run the ratio of the medians.',
)

const fewerSteps = v.object({
  steps: count,
  wall_ms: about(amount, 'Median, measured after the pairs.'),
  speedup_wall: rivalSpeedup,
  psnr_db: v.nullable(v.number()),
  psnr_db_min: v.nullable(v.number()),
  ssim: v.number(),
  identical,
})

const comparison = v.object({
  name: v.picklist(['fixed-schedule', 'pruning-off']),
  policy: v.string(),
  options: policyOptions,
  samples: count,
  nfe: amount,
  wall_ms: about(amount, 'Median.'),
  speedup_wall: rivalSpeedup,
  ...fidelity,
  fidelity_by_kind: v.record(v.string(), v.object({ samples: count, ...fidelity })),
})

const picture = v.object({
  prompt: v.string(),
  kind: v.string(),
  seed: whole,
  nfe: count,
  psnr_db: about(v.nullable(v.number()), 'null: identical.'),
  ssim: v.number(),
  fewer_steps_psnr_db: v.nullable(v.number()),
})

const benchCase = v.object({
  scheduler: v.string(),
  policy: v.string(),
  method: v.optional(
    about(v.string(), 'Policy and settings, as the command line takes them; absent: the policy at its defaults.'),
  ),
  options: policyOptions,
  steps: count,
  samples: count,
  batch: count,
  guidance: amount,
  seed: about(whole, 'Seed of the first picture; each further one adds 1.'),
  nfe: about(
    v.object({ mean: amount, min: count, max: count }),
    'Network runs of a picture; a guided pair and a pruned pass count one each.',
  ),
  flops: about(
    v.object({ baseline: amount, accelerated: amount, ratio }),
    'Floating-point operations of one picture, mean, from the plan; where there is none, passes of the network, whole ones even where pruned. ' +
      'The text encoder, run once in both, is left out.',
  ),
  kept_tokens: about(
    v.object({ mean: v.nullable(amount), of: v.nullable(count), pruned_passes: amount }),
    'Tokens computed in pruned passes (null: none occurred), of how many (null: no plan says), and pruned passes of a picture, mean.',
  ),
  wall_ms: about(spread, 'Wall time of one call that makes `batch` pictures, text to pixels.'),
  baseline_wall_ms: about(spread, 'The same with acceleration off.'),
  speedup: about(
    v.object({ wall: ratio, wall_p05: ratio, wall_p95: ratio, nfe: ratio }),
    'Wall: quantiles (median, 5 %, 95 %) of the ratio in each pair of neighbouring calls. nfe: steps over mean network runs.',
  ),
  fidelity: v.object(fidelity),
  fidelity_by_kind: about(v.record(v.string(), kindOfPrompt), 'The same for each kind of prompt.'),
  overhead_us_per_step: about(amount, 'Time outside the network, median, in microseconds.'),
  decisions: about(
    v.array(v.array(v.picklist(['run', 'partial', 'prune', 'extrapolate', 'interpolate', 'reuse']))),
    'For each picture, what each step did.',
  ),
  fewer_steps: about(
    fewerSteps,
    'The unaccelerated run with as many steps as fit into the same time (rounded down), same seeds, against the same baseline.',
  ),
  comparisons: v.array(comparison),
  pictures: v.array(picture),
})

export const benchResult = v.object({
  schema: v.literal('sada-bench/1'),
  created: about(v.string(), 'ISO 8601, UTC.'),
  quick: v.boolean(),
  machine: v.object({
    cpu: v.string(),
    cores: count,
    memory_gib: amount,
    platform: v.string(),
    instruction_set: v.string(),
    device: v.optional(
      about(
        v.string(),
        'Where the network ran: `cpu`, `cuda:<index>`, with ` tensorrt` behind it where that ran it, or `webgpu`.',
      ),
    ),
    load_average: about(amount, 'Over the minute before the run: other work on the machine makes wall times unreliable.'),
  }),
  versions: v.object({
    sada: v.string(),
    commit: v.nullable(v.string()),
    node: v.string(),
    onnxruntime: v.string(),
    addon: v.string(),
  }),
  model: v.object({
    name: v.string(),
    bytes: about(v.nullable(count), 'Of the files that its plan names; null: it has none.'),
    size: v.strictTuple([count, count]),
    tokens: about(v.nullable(count), 'Of its plan; null: it has none.'),
    threads: about(whole, '0: one per physical core; where it may not use all CPUs: how many it may.'),
    note: v.optional(about(v.string(), 'What stands for a picture, where that is not one.')),
    seconds: v.optional(about(amount, 'Of a sound, where it was asked for.')),
    max_sequence_length: v.optional(about(count, 'Tokens of a prompt, where it was asked for.')),
    control: v.optional(about(v.string(), 'How many pictures led the ControlNets, and a digest of their pixels.')),
    control_strength: v.optional(about(amount, 'How much they counted, where it was asked for.')),
    control_start: v.optional(about(amount, 'Share of the run at which they began, where it was asked for.')),
    control_end: v.optional(about(amount, 'Share of the run at which they ended, where it was asked for.')),
  }),
  cases: v.array(benchCase),
})

export type BenchResult = v.InferOutput<typeof benchResult>
export type BenchCase = BenchResult['cases'][number]
export type Comparison = BenchCase['comparisons'][number]
export type Fidelity = BenchCase['fidelity']
