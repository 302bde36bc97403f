import { METRICS, MetricNetworks, psnr, type MetricName, type MetricValue, type Network, type Unavailable } from 'sada/metrics'
import { load, SADA_ERROR_CODES, SadaError, type GenerateResult, type Pipeline, type PipelineEvent } from 'sada'
import type {
  AuditReport,
  DeviceSetting,
  FamilyName,
  MemberTrace,
  SadaErrorCode,
  SadaErrorDetails,
  SampleOptions,
  Seed,
} from 'sada'

const pipeline: Pipeline = await load('avatar', { threads: 1 })
const result: GenerateResult = await pipeline.generate({
  prompt: ['a teal robot', 'a kid'],
  seed: [1, 2n],
  steps: 3,
  guidanceScale: 1,
  // What a caller leaves open need not be left out.
  signal: undefined,
  onStep: undefined,
  policy: { name: 'sada', preset: undefined },
  memory: { budget: undefined },
})
const png: Uint8Array = await result.images[0].png()
const events: PipelineEvent['type'][] = []
for await (const event of pipeline.stream({ prompt: 'a kid', steps: 2, policy: 'none' })) {
  events.push(event.type)
  if (event.type === 'result') console.log(event.images[0].width, event.trace.members[0].nfe)
  else console.log(event.step, event.members[0].action)
}
// @ts-expect-error: a prompt is a must
await pipeline.generate({ steps: 3 }).catch((error: unknown) => console.log(error instanceof SadaError && error.code))
await pipeline[Symbol.asyncDispose]()
console.log(png.length > 0, events.join())

const networks = new MetricNetworks()
const form = { kind: 'pictures', shape: [3, 16, 16] } as const
const samples = [new Float32Array(768), new Float32Array(768).fill(0.2)]
const name: MetricName = 'psnr'
const value: MetricValue | Unavailable = await METRICS[name].evaluate([samples[0]], [samples[1]], { form, networks })
console.log('mean' in value && value.mean === psnr(samples[0], samples[1]))
// @ts-expect-error: no metric has that name
if (METRICS.psrn !== undefined) console.log('a metric that is none')
await networks.dispose()

// Every type that an exported one is made of can be named.
type Same<A, B> = [A, B] extends [B, A] ? true : never
const named: [
  Same<Seed, NonNullable<SampleOptions['seed']>>,
  Same<AuditReport, NonNullable<MemberTrace['audit']>>,
  Same<SadaErrorCode, (typeof SADA_ERROR_CODES)[number]>,
  Same<SadaErrorDetails, NonNullable<ConstructorParameters<typeof SadaError>[2]>>,
  Same<Network<'lpips-alex'>, Exclude<Awaited<ReturnType<typeof networks.open<'lpips-alex'>>>, Unavailable>>,
] = [true, true, true, true, true]
const settings: { readonly device: DeviceSetting; readonly family: FamilyName } = { device: 'cuda:1', family: 'flux' }
await load('no/such', settings).catch(({ code }: SadaError) => console.log(named[0] && SADA_ERROR_CODES.includes(code)))
