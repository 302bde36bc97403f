import { invalidArgument, type SadaError } from '../errors.ts'
import type { Purpose } from '../sampler/memory.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { rowsOf } from './denoiser.ts'
import type { ImageOutput, Output, Request } from './family.ts'
import type { JsonObject } from './folder.ts'
import { promptsOf, type LatentSize } from './latent-family.ts'
import { loadNetwork } from './network-plan.ts'
import { Schedulers, VARIANCE_PRESERVING } from './scheduler.ts'
import { partProfiles, sizeRange, SPECTROGRAM_AXES, type SizeRange } from './size-range.ts'
import { TextEncoder } from './text-encoder.ts'
import { UNET_INPUTS, UnetFamily, type UnetConditioning, type UnetParts } from './unet-family.ts'

/** Samples of a second at most. */
const HIGHEST_RATE = 384_000
/** Frames of the spectrogram that a vocoder is tried with at load. */
const FEW_FRAMES = 8
/** Seconds of sound at most; the autoencoder's memory grows with them. */
const LONGEST = 600

/** MusicLDM: a UNet over the latents of a mel spectrogram, led by CLAP's vector of a text; a vocoder makes the sound. */
export class MusicLdm extends UnetFamily {
  override readonly makes = 'audio'
  override readonly size = [0, 0] as const
  override readonly sound: { readonly sampleRate: number; readonly seconds: number }
  override readonly defaults: UnetFamily['defaults']
  private readonly text: TextEncoder
  private readonly textInput: string
  private readonly vocoder: Vocoder
  /** Bands are too few to be averaged. */
  protected override readonly previewColumns: number

  private constructor(context: LoadContext, parts: UnetParts, text: TextEncoder, textInput: string, vocoder: Vocoder) {
    super(context, parts, ['negativePrompt', 'seconds', 'tileSize'])
    this.text = text
    this.textInput = textInput
    this.vocoder = vocoder
    const frames = ownFrames(parts.unet.config) * parts.autoencoder.scale
    this.sound = { sampleRate: vocoder.sampleRate, seconds: frames * vocoder.frameSeconds }
    this.previewColumns = parts.autoencoder.scale
    this.defaults = { scheduler: parts.schedulers.own, steps: 200, guidance: 2 }
    parts.unet.expectDimension(textInput, 1, text.pooledFeatures, 'the features of the text encoder')
  }

  static async load(context: LoadContext, name: string): Promise<MusicLdm> {
    const schedulers = await Schedulers.load(context.folder, VARIANCE_PRESERVING)
    const outputs = { pooled: ['text_embeds', 'pooler_output'], masked: true }
    const text = await TextEncoder.load(context, 'text_encoder', 'tokenizer', outputs)
    const range = await soundRange(context)
    const autoencoder = await Autoencoder.load(context, 1, range)
    const vocoder = await Vocoder.load(context, range)
    const { component: unet, plan } = await loadNetwork(context, 'unet', range)
    const { text: textInput, ...inputs } = unet.meanings({ ...UNET_INPUTS, text: ['class_labels'] })
    const parts = { name, unet, plan, range, autoencoder, schedulers, controlNets: [], inputs, guidance: 2 }
    return new MusicLdm(context, parts, text, textInput, vocoder)
  }

  override async check(signal: AbortSignal): Promise<void> {
    await super.check(signal)
    await this.vocoder.check(signal)
  }

  /** [frames, mel bands] of the latents: enough for the length asked for. */
  protected override latentSize({ seconds }: Request): LatentSize {
    const { scale } = this.autoencoder
    const { frameSeconds, bands } = this.vocoder
    const length = seconds ?? this.sound.seconds
    if (Math.floor(length / frameSeconds) < scale || length > LONGEST)
      throw invalidArgument('seconds', `from ${scale * frameSeconds} to ${LONGEST}`, length)
    return [latentsOf(length, frameSeconds, scale), bands / scale]
  }

  protected async readPrompts(request: Request, guidance: number, _: LatentSize, purpose: Purpose): Promise<UnetConditioning> {
    const { prompts } = request
    const { pooled, dropped } = await this.text.encode(prompts, purpose)
    const negative =
      guidance > 1
        ? await this.text.encode(promptsOf(request, 'negativePrompt') ?? prompts.map(() => ''), purpose)
        : { pooled: [] }
    const rows = rowsOf(pooled, negative.pooled, guidance)
    return { tensors: { [this.textInput]: { shape: ['rows', this.text.pooledFeatures], rows } }, droppedTokens: dropped }
  }

  protected override async decode(
    latents: Float32Array,
    request: Request,
    size: LatentSize,
    signal: AbortSignal,
  ): Promise<Output> {
    const { scale } = this.autoencoder
    const { sampleRate, samplesPerFrame } = this.vocoder
    const frames = size[0] * scale
    const length = request.seconds === undefined ? frames * samplesPerFrame : Math.floor(request.seconds * sampleRate)
    const samples: Float32Array[] = []
    for (const map of this.mapsOf(latents, request, size)) {
      const mel = await this.autoencoder.decode(map, size, signal, request.tileSize)
      samples.push((await this.vocoder.run(mel, frames, signal)).slice(0, length))
    }
    return { kind: 'audio', samples, sampleRate }
  }

  /** Mel spectrograms [frames, bands] in grey: time to the right, low notes at the bottom, black and white its own extremes. */
  protected override pictureOf(mels: readonly Float32Array[], [frames]: LatentSize): ImageOutput {
    const { bands } = this.vocoder
    const samples = mels.map((mel) => {
      const [low, high] = mel.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity])
      const levels = Float32Array.from(mel, (_, k) => {
        const [band, frame] = [bands - 1 - Math.floor(k / frames), k % frames]
        return (mel[frame * bands + band] - low) / Math.max(high - low, Number.MIN_VALUE)
      })
      const sample = new Float32Array(3 * levels.length)
      for (let c = 0; c < 3; c++) sample.set(levels, c * levels.length)
      return sample
    })
    return { kind: 'image', samples, shape: [3, bands, frames], range: [0, 1] }
  }
}

/** Latents along the time of a sound where nothing else is asked. */
const ownFrames = ({ sample_size: preset }: JsonObject): number => (typeof preset === 'number' ? preset : 256)

/** Latents along the time of a sound of so many seconds: divided as diffusers divides, as the quotient can lie just below a whole number. */
const latentsOf = (seconds: number, frameSeconds: number, scale: number): number =>
  Math.ceil(Math.floor(seconds / frameSeconds) / scale)

/** The lengths of sounds that engines serve. */
async function soundRange(context: LoadContext): Promise<SizeRange | undefined> {
  const scale = await Autoencoder.scaleOf(context)
  const { bands, frameSeconds } = soundOf(await Component.configOf(context, 'vocoder'))
  const { seconds, pictures } = context.engineSizes ?? {}
  const height = seconds?.map((each) => latentsOf(each, frameSeconds, scale) * scale) as [number, number] | undefined
  const own = [ownFrames(await Component.configOf(context, 'unet')), bands / scale] as const
  return sizeRange({ ...context, engineSizes: { pictures, height } }, scale, { own, length: [1, 1] })
}

const isRates = (rates: unknown): rates is number[] =>
  Array.isArray(rates) && rates.every((each) => Number.isInteger(each) && (each as number) > 0)

/** Of MusicLDM's own vocoder: how many times longer each of its layers makes a sound, and over how many samples. */
const OWN_RATES = [5, 4, 2, 2, 2]
const OWN_KERNELS = [16, 16, 8, 4, 4]

/** What a vocoder's configuration says; what it does not is that of MusicLDM's own. */
function soundOf(config: JsonObject) {
  const { sampling_rate: rate, model_in_dim: bands, upsample_rates: given, upsample_kernel_sizes: sizes } = config
  const rates = isRates(given) ? given : OWN_RATES
  const kernels = isRates(sizes) ? sizes : isRates(given) ? [] : OWN_KERNELS
  const samplesPerFrame = rates.reduce((product, each) => product * each, 1)
  const sampleRate = typeof rate === 'number' && rate > 0 ? rate : 16_000
  const frameSeconds = samplesPerFrame / sampleRate
  return {
    sampleRate,
    samplesPerFrame,
    excess: excessOf(rates, kernels),
    frameSeconds,
    bands: typeof bands === 'number' && bands > 0 ? bands : 64,
  }
}

/**
 * Samples that a vocoder makes beyond those of its frames: a layer whose kernel is an odd number longer than its rate cannot take the same
 * off at both ends, and makes one more. MusicLDM's own makes 32 more.
 */
const excessOf = (rates: readonly number[], kernels: readonly number[]): number =>
  rates.reduce((excess, rate, k) => excess * rate + (((kernels[k] ?? rate) - rate) & 1), 0)

/** A vocoder (HiFi-GAN): mel spectrogram → sound. */
class Vocoder {
  readonly sampleRate: number
  /** Length of a frame of the spectrogram. */
  readonly frameSeconds: number
  readonly bands: number
  private readonly component: Component
  private readonly input: string
  private readonly output: string
  readonly samplesPerFrame: number
  private readonly excess: number

  /** Whether it takes spectrograms of any length; an engine takes those that it was made for. */
  private readonly isFree: boolean

  private constructor(component: Component, isFree: boolean) {
    this.isFree = isFree
    component.number('sampling_rate', 16_000, 1, HIGHEST_RATE)
    for (const key of ['upsample_rates', 'upsample_kernel_sizes'])
      if (!isRates(component.config[key] ?? [])) throw component.invalid(key, 'a list of whole numbers')
    const { sampleRate, samplesPerFrame, excess, frameSeconds, bands } = soundOf(component.config)
    this.component = component
    this.input = component.meanings({ mel: ['spectrogram', 'mel_spectrogram', 'input_features'] }).mel
    this.output = component.output('waveform', 'audio')
    this.bands = component.dimension(this.input, 2, bands)
    this.sampleRate = sampleRate
    this.samplesPerFrame = samplesPerFrame
    this.excess = excess
    this.frameSeconds = frameSeconds
  }

  static async load(context: LoadContext, range?: SizeRange): Promise<Vocoder> {
    return new Vocoder(
      await Component.load(context, 'vocoder', range && partProfiles(range, SPECTROGRAM_AXES)),
      range === undefined,
    )
  }

  /** Throws IO_MISMATCH where it makes another number of samples than its configuration says: seen on a few frames, where it takes so few. */
  async check(signal: AbortSignal): Promise<void> {
    if (!this.isFree) return
    try {
      await this.run(new Float32Array(FEW_FRAMES * this.bands), FEW_FRAMES, signal)
    } catch (error) {
      const { code, message } = error as SadaError
      if (code !== 'IO_MISMATCH') return
      const said =
        'as "upsample_rates" and "upsample_kernel_sizes" in config.json beside it say (without them: those of MusicLDM)'
      const more = this.excess > 0 ? ` and ${this.excess} more` : ''
      throw this.component.mismatch(`${this.samplesPerFrame} samples for each of ${FEW_FRAMES} frames${more}, ${said}`, [message])
    }
  }

  /** The sound of `frames` frames of a spectrogram [frames, bands]; it may be a little longer than they are. */
  async run(mel: Float32Array, frames: number, signal: AbortSignal): Promise<Float32Array> {
    const dims = this.component.tensor(this.output).dims.length === 1 ? [] : [1]
    const made = await this.component.evaluate(
      { [this.input]: { data: mel, dims: [1, frames, this.bands] } },
      { [this.output]: [...dims, frames * this.samplesPerFrame + this.excess] },
      signal,
    )
    return made[this.output]
  }
}
