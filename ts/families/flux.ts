import { invalidArgument } from '../errors.ts'
import type { Workspace } from '../native/types.ts'
import type { Purpose } from '../sampler/memory.ts'
import type { Schedule } from '../schedule/schedule.ts'
import { Autoencoder } from './autoencoder.ts'
import { type Component, type LoadContext } from './component.ts'
import { denoiser, rowsOf, type Conditioning, type RowShape } from './denoiser.ts'
import type { FamilyRequest, Request } from './family.ts'
import { LatentFamily, promptsOf, type Conditioned, type LatentSize, type Packing } from './latent-family.ts'
import { loadNetwork, type NetworkPlan } from './network-plan.ts'
import { FLOW_MATCHING, flowAdditions, scheduleFor, Schedulers, shiftFor } from './scheduler.ts'
import { checkLength, sizeRange, type SizeRange } from './size-range.ts'
import { TextEncoder } from './text-encoder.ts'

const INPUTS = {
  sample: ['hidden_states'],
  time: ['timestep'],
  text: ['encoder_hidden_states'],
  pooled: ['pooled_projections'],
  imagePositions: ['img_ids'],
  textPositions: ['txt_ids'],
}
/** Latents along one side of a token. */
const PATCH = 2

/** Latents along a side of a picture where nothing else is asked. */
const OWN_SIZE = 128

/** Latents [channels, height, width] as tokens [height/2 · width/2, channels · 4], row by row. */
export const packing: Packing = {
  pack: (latents, size) => permuted(latents, size, (from, to, packed, plain) => (packed[to] = plain[from])),
  unpack: (packed, size) => permuted(packed, size, (from, to, plain, tokens) => (plain[from] = tokens[to])),
}

function permuted(
  source: Float32Array,
  [height, width]: LatentSize,
  move: (plain: number, packed: number, target: Float32Array, source: Float32Array) => void,
): Float32Array {
  const channels = source.length / (height * width)
  const target = new Float32Array(source.length)
  for (let plain = 0; plain < source.length; plain++) {
    const [c, y, x] = [Math.floor(plain / (height * width)), Math.floor(plain / width) % height, plain % width]
    const token = (y >> 1) * (width / PATCH) + (x >> 1)
    move(plain, (token * channels + c) * PATCH * PATCH + (y & 1) * PATCH + (x & 1), target, source)
  }
  return target
}

interface FluxParts {
  readonly transformer: Component
  readonly plan?: NetworkPlan
  readonly range?: SizeRange
  readonly autoencoder: Autoencoder
  readonly schedulers: Schedulers
  /** For the pooled vector. */
  readonly clip: TextEncoder
  /** For the states. */
  readonly t5: TextEncoder
  readonly names: Record<keyof typeof INPUTS, string> & { readonly guidance?: string }
}

/** Flux: a transformer over packed latents and text tokens with positions; guidance is distilled into it. */
export class Flux extends LatentFamily {
  readonly name: string
  readonly size: readonly [number, number]
  readonly defaults: LatentFamily['defaults']
  readonly takes: readonly (keyof FamilyRequest)[] = [
    'negativePrompt',
    'trueGuidanceScale',
    'maxSequenceLength',
    'width',
    'height',
    'init',
    'strength',
    'mask',
    'tileSize',
  ]
  private readonly parts: FluxParts
  private readonly output: string

  private constructor(context: LoadContext, name: string, parts: FluxParts) {
    super(context, parts.autoencoder, parts.schedulers, { patch: PATCH, packing, range: parts.range })
    const { transformer, autoencoder, clip, t5, names, schedulers } = parts
    this.name = name
    this.parts = parts
    this.output = transformer.output('out_hidden_states', 'sample', 'output')
    transformer.expectDimension(names.sample, 2, autoencoder.channels * PATCH * PATCH, 'four latents of each channel')
    transformer.expectDimension(names.text, 2, t5.features, 'the features of text_encoder_2')
    transformer.expectDimension(names.pooled, 1, clip.pooledFeatures, 'the pooled features of text_encoder')
    const side = OWN_SIZE * autoencoder.scale
    this.size = [side, side]
    // What is not guided was distilled for few steps.
    const isGuided = names.guidance !== undefined
    this.defaults = { scheduler: schedulers.own, steps: isGuided ? 28 : 4, guidance: isGuided ? 3.5 : 1 }
  }

  static async load(context: LoadContext, name: string): Promise<Flux> {
    const schedulers = await Schedulers.load(context.folder, FLOW_MATCHING, await flowAdditions(context.folder))
    const clip = await TextEncoder.load(context, 'text_encoder', 'tokenizer', { pooled: ['pooler_output', 'text_embeds'] })
    const t5 = await TextEncoder.load(context, 'text_encoder_2', 'tokenizer_2', { states: ['last_hidden_state'] }, (own) =>
      Math.min(own, 512),
    )
    const own = { own: [OWN_SIZE, OWN_SIZE], patch: PATCH, length: [1, t5.length] } as const
    const range = sizeRange(context, await Autoencoder.scaleOf(context), own)
    const autoencoder = await Autoencoder.load(context, 3, range, true)
    const { component: transformer, plan } = await loadNetwork(context, 'transformer', range)
    const names = transformer.meanings(INPUTS, { guidance: ['guidance'] })
    return new Flux(context, name, { transformer, plan, range, autoencoder, schedulers, clip, t5, names })
  }

  protected schedule(request: Request, size: LatentSize): Schedule {
    const { steps } = request
    const config = this.schedulersOfFolder.configOf(request.scheduler)
    const mu = shiftFor(config, (size[0] * size[1]) / PATCH ** 2, 1.15)
    if (config.solver !== 'flow-euler') return scheduleFor(config, request, { steps, mu })
    const sigmas = Array.from({ length: steps }, (_, i) => 1 - (i * (1 - 1 / steps)) / Math.max(1, steps - 1))
    return scheduleFor(config, request, { sigmas, mu })
  }

  protected async condition(
    { request, workspace, size }: { request: Request; workspace: Workspace; size: LatentSize },
    purpose: Purpose,
  ): Promise<Conditioned> {
    const { transformer, names } = this.parts
    const { trueGuidanceScale: guidance = 1, prompts } = request
    const negative = promptsOf(request, 'negativePrompt')
    if (guidance > 1 && negative === undefined)
      throw invalidArgument('negativePrompt', 'given with "trueGuidanceScale", which leads away from it', undefined)
    const [height, width] = [size[0] / PATCH, size[1] / PATCH]
    const channels = this.autoencoder.channels * PATCH * PATCH
    const read = await this.read(request, negative ?? [], guidance, purpose)
    const { network } = denoiser({
      component: transformer,
      plan: this.parts.plan,
      range: this.parts.range,
      size,
      channels: this.autoencoder.channels,
      workspace,
      members: prompts.length,
      guidance,
      state: {
        input: names.sample,
        output: this.output,
        shape: ['rows', height * width, channels],
        layout: { order: 'tokens', channels, grid: [height, width], patch: [1, 1] },
      },
      time: { input: names.time, value: ({ timestep }) => timestep / 1000 },
      conditioning: { ...read.tensors, ...this.constants(request, [height, width], read) },
    })
    return { network, droppedTokens: read.dropped }
  }

  /** What is the same for every row: positions of image and text tokens, and the distilled guidance. */
  private constants(
    request: Request,
    [height, width]: readonly [number, number],
    { rows, length }: { readonly rows: number; readonly length: number },
  ): Record<string, Conditioning> {
    const { transformer, names } = this.parts
    const same = (shape: RowShape, values: Float32Array): Conditioning => ({
      shape,
      rows: Array<Float32Array>(rows).fill(values),
    })
    const positions = (name: string, tokens: number): RowShape =>
      transformer.tensor(name).dims.length === 3 ? ['rows', tokens, 3] : [tokens, 3]
    return {
      [names.imagePositions]: same(positions(names.imagePositions, height * width), grid(height, width)),
      [names.textPositions]: same(positions(names.textPositions, length), new Float32Array(length * 3)),
      ...(names.guidance !== undefined && { [names.guidance]: same(['rows'], Float32Array.of(request.guidance)) }),
    }
  }

  private async read(request: Request, negative: readonly string[], guidance: number, purpose: Purpose) {
    const { clip, t5, names, transformer, range } = this.parts
    const { prompts, maxSequenceLength } = request
    const fixed = transformer.tensor(names.text).dims[1]
    const length = maxSequenceLength ?? (fixed > 0 ? fixed : t5.length)
    checkLength(range, length, t5.length)
    const all = guidance > 1 ? [prompts, negative] : [prompts, []]
    const [states, noStates] = [await t5.encode(all[0], purpose, length), await t5.encode(all[1], purpose, length)]
    const [pooled, noPooled] = [await clip.encode(all[0], purpose), await clip.encode(all[1], purpose)]
    const tensors: Record<string, Conditioning> = {
      [names.text]: { shape: ['rows', length, t5.features], rows: rowsOf(states.states, noStates.states, guidance) },
      [names.pooled]: { shape: ['rows', clip.pooledFeatures], rows: rowsOf(pooled.pooled, noPooled.pooled, guidance) },
    }
    return { tensors, length, rows: tensors[names.text].rows.length, dropped: states.dropped }
  }
}

/** Positions of tokens: [0, row, column]. */
function grid(height: number, width: number): Float32Array {
  const positions = new Float32Array(height * width * 3)
  for (let token = 0; token < height * width; token++) positions.set([0, Math.floor(token / width), token % width], token * 3)
  return positions
}
