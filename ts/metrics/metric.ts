import { invalidArgument } from '../errors.ts'
import type { SampleBias } from './fid.ts'
import type { InceptionMemory } from './inception.ts'
import { isPublished, unavailable, type NetworkName, type Unavailable } from './network-files.ts'
import type { MetricNetworks, Network } from './networks.ts'
import { checkSample, checkShape, type PictureShape } from './picture.ts'

/** What samples are: pictures [channels, height, width], or mono sounds [samples] of `sampleRate` Hz; values in [−1, 1] either way. */
export type SampleForm =
  { readonly kind: 'pictures'; readonly shape: PictureShape } | { readonly kind: 'sounds'; readonly sampleRate: number }

/** What samples are compared with, and how. */
export interface MetricContext {
  readonly form: SampleForm
  /** Where metrics find the networks that they need. */
  readonly networks: MetricNetworks
  /** One per sample: what it was to show. */
  readonly captions?: readonly string[] | undefined
  /** Of random subsets, an integer 0 … 2⁵³−1. Default 0. */
  readonly seed?: number | undefined
  /** Keeps what the Inception network said of a set, for the next metric and the next comparison with the same baseline. */
  readonly inception?: InceptionMemory | undefined
  /** Ends an evaluation between two runs of a network, or amid a KID; its reason is thrown. */
  readonly signal?: AbortSignal | undefined
}

/** What a metric says, in its `unit`. */
export interface MetricValue {
  /** Over the samples; of a metric that compares sets, its value. Null: every pair is equal, and the metric infinite for such. */
  readonly mean: number | null
  readonly min?: number | null
  readonly max?: number | null
  /** One value per sample where the metric has such; null: infinite, the pair is equal. */
  readonly perSample?: readonly (number | null)[]
  /** Pairs left out of mean, min and max because they are equal. */
  readonly identical?: number
  /** Over random subsets (KID). */
  readonly std?: number
  /** The same of the baseline, where the metric looks at one set at a time (CLIP score). */
  readonly baseline?: number
  /** How far a small number of samples inflates the value (FID). */
  readonly bias?: SampleBias
  /** Pairs that were given. */
  readonly samples: number
  /** What must be said beside the value: flavour, model, scale, parameters. */
  readonly settings: Readonly<Record<string, string | number>>
  /** Whether the network's weights are the published ones; absent: no network. */
  readonly publishedWeights?: boolean
}

/** What a metric needs; without it, it is `Unavailable`. */
export interface MetricNeeds {
  /** Left out: either. */
  readonly kind?: SampleForm['kind']
  /** Pairs, at least. */
  readonly samples: number
  /** Each way, at least. */
  readonly pixels?: number
  /** Of `MetricNetworks`. */
  readonly network?: NetworkName
  /** Whether it reads `context.captions`. */
  readonly captions?: boolean
}

/** A metric of the table. */
export interface Metric {
  /** `'dB'`, or '' where the value is a bare number. */
  readonly unit: string
  /** Which values are the better ones. */
  readonly direction: 'higher' | 'lower'
  readonly needs: MetricNeeds
  /** One sentence: what is compared, and by whose definition. */
  readonly about: string
  /**
   * Compares samples with those of the baseline, pair by pair (same prompt and noise). What the metric needs and does not have is
   * in the answer; what cannot be a pair of sample sets throws INVALID_ARGUMENT, NaN among them too. Rejects with DISPOSED, with what a run of a
   * network ends with, or with the reason of `context.signal`.
   */
  evaluate(
    baseline: readonly Float32Array[],
    accelerated: readonly Float32Array[],
    context: MetricContext,
  ): Promise<MetricValue | Unavailable>
}

/** What a metric's own formula is given: pairs that meet its needs, and its network. */
export interface Pairs<N extends NetworkName = never> {
  readonly baseline: readonly Float32Array[]
  readonly accelerated: readonly Float32Array[]
  readonly context: MetricContext
  /** [1, 1, length] where the samples are sounds. */
  readonly shape: PictureShape
  readonly network: Network<N>
}

type Definition<N extends NetworkName> = Omit<Metric, 'evaluate'> & {
  readonly needs: MetricNeeds & { readonly network?: N }
  readonly compute: (pairs: Pairs<N>) => Promise<Answer> | Answer
}
type Answer = Omit<MetricValue, 'samples' | 'publishedWeights'> | Unavailable

/** A metric from its description and formula: its needs are checked before the formula runs. */
export function metric<N extends NetworkName = never>({ compute, ...description }: Definition<N>): Metric {
  const { needs } = description
  return {
    ...description,
    async evaluate(baseline, accelerated, context) {
      const shape = shapeOf(baseline, accelerated, context)
      const unmet = unmetNeed(needs, baseline.length, shape, context)
      if (unmet !== undefined) return unmet
      if (needs.network !== undefined && typeof context.networks?.open !== 'function')
        throw invalidArgument('context.networks', 'a MetricNetworks', context.networks)
      const network = needs.network === undefined ? undefined : await context.networks.open(needs.network)
      if (network !== undefined && 'unavailable' in network) return network
      const value = await compute({ baseline, accelerated, context, shape, network: network! })
      if ('unavailable' in value) return value
      return { ...value, samples: baseline.length, ...(network && { publishedWeights: isPublished(network.sidecar) }) }
    },
  }
}

/** Throws INVALID_ARGUMENT where it is none, or not that of so many samples. */
function checkContext(context: MetricContext, count: number): void {
  if (typeof context?.form !== 'object' || context.form === null) throw invalidArgument('context', '{ form, networks }', context)
  const { form, captions } = context
  if (form.kind !== 'pictures' && form.kind !== 'sounds')
    throw invalidArgument('context.form.kind', '"pictures" or "sounds"', (form as SampleForm).kind)
  if (form.kind === 'pictures') checkShape('context.form.shape', form.shape)
  if (captions === undefined) return
  if (!Array.isArray(captions) || captions.length !== count)
    throw invalidArgument('context.captions', `${count}, one per sample`, captions)
  const wrong = captions.findIndex((caption) => typeof caption !== 'string')
  if (wrong >= 0) throw invalidArgument(`context.captions[${wrong}]`, 'a text', captions[wrong])
}

/** Their shape, once they are known to be pairs of one. */
function shapeOf(baseline: readonly Float32Array[], accelerated: readonly Float32Array[], context: MetricContext): PictureShape {
  for (const [name, samples] of Object.entries({ baseline, accelerated }))
    if (!Array.isArray(samples)) throw invalidArgument(name, 'an array of Float32Array', samples)
  if (baseline.length === 0) throw invalidArgument('baseline', 'at least one sample', baseline)
  if (accelerated.length !== baseline.length)
    throw invalidArgument('accelerated', `${baseline.length} samples, as the baseline`, accelerated)
  checkContext(context, baseline.length)
  const { form } = context
  const shape = form.kind === 'pictures' ? form.shape : ([1, 1, baseline[0].length] as const)
  const length = shape[0] * shape[1] * shape[2]
  for (const [name, samples] of Object.entries({ baseline, accelerated })) {
    for (const [k, sample] of samples.entries()) {
      checkSample(`${name}[${k}]`, sample)
      if (!ArrayBuffer.isView(sample)) throw invalidArgument(`${name}[${k}]`, 'a Float32Array', sample)
    }
    const wrong = samples.findIndex((sample) => sample.length !== length)
    if (wrong >= 0) throw invalidArgument(`${name}[${wrong}]`, `${length} values`, samples[wrong])
    // Of such no distance is known; it must not pass for that of an equal pair.
    const unknown = samples.findIndex((sample) => sample.includes(NaN))
    if (unknown >= 0) throw invalidArgument(`${name}[${unknown}][${samples[unknown].findIndex(Number.isNaN)}]`, 'a number', NaN)
  }
  return shape
}

function unmetNeed(
  needs: MetricNeeds,
  count: number,
  [, height, width]: PictureShape,
  { form, captions }: MetricContext,
): Unavailable | undefined {
  const { kind = form.kind, samples, pixels = 1 } = needs
  if (form.kind !== kind) return unavailable('wrong-kind', `It compares ${kind}, and these are ${form.kind}.`)
  if (count < samples) return unavailable('too-few', `It needs at least ${samples} samples, and there are ${count}.`)
  if (Math.min(height, width) < pixels)
    return unavailable('too-small', `It needs at least ${pixels} pixels each way, and these have ${width}×${height}.`)
  if (needs.captions === true && captions === undefined) return unavailable('no-captions', 'It needs a caption per sample.')
  return undefined
}

/** Mean, least and greatest of one value per sample; infinite ones are counted apart. */
export function summary(values: readonly number[]): Pick<MetricValue, 'mean' | 'min' | 'max' | 'perSample' | 'identical'> {
  const finite = values.filter(Number.isFinite)
  const some = finite.length > 0
  return {
    mean: some ? finite.reduce((sum, value) => sum + value, 0) / finite.length : null,
    min: some ? finite.reduce((least, value) => Math.min(least, value)) : null,
    max: some ? finite.reduce((most, value) => Math.max(most, value)) : null,
    perSample: values.map((value) => (Number.isFinite(value) ? value : null)),
    identical: values.length - finite.length,
  }
}
