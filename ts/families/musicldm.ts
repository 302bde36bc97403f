import { invalidArgument } from '../errors.ts'
import type { Purpose } from '../sampler/memory.ts'
import { Autoencoder } from './autoencoder.ts'
import { Component, type LoadContext } from './component.ts'
import { rowsOf } from './denoiser.ts'
import type { Output, Request } from './family.ts'
import { promptsOf, type LatentSize } from './latent-family.ts'
import { loadNetwork } from './network-plan.ts'
import { Schedulers } from './scheduler.ts'
import { TextEncoder } from './text-encoder.ts'
import { UNET_INPUTS, UnetFamily, type UnetConditioning, type UnetParts } from './unet-family.ts'

/** Seconds of sound at most; the autoencoder's memory grows with them. */
const LONGEST = 600

/** MusicLDM: a UNet over the latents of a mel spectrogram, led by CLAP's vector of a text; a vocoder makes the sound. */
export class MusicLdm extends UnetFamily {
  override readonly makes = 'audio'
  override readonly size = [0, 0] as const
  override readonly defaults: UnetFamily['defaults']
  private readonly text: TextEncoder
  private readonly textInput: string
  private readonly vocoder: Vocoder

  private constructor(context: LoadContext, parts: UnetParts, text: TextEncoder, textInput: string, vocoder: Vocoder) {
    super(context, parts, ['negativePrompt', 'seconds'])
    this.text = text
    this.textInput = textInput
    this.vocoder = vocoder
    this.defaults = { scheduler: parts.schedulers.own, steps: 200, guidance: 2 }
    parts.unet.expectDimension(textInput, 1, text.pooledFeatures, 'the features of the text encoder')
  }

  static async load(context: LoadContext, name: string): Promise<MusicLdm> {
    const schedulers = await Schedulers.load(context.folder, ['dpm++', 'euler'])
    const text = await TextEncoder.load(context, 'text_encoder', 'tokenizer', { pooled: ['text_embeds', 'pooler_output'] })
    const autoencoder = await Autoencoder.load(context)
    const vocoder = await Vocoder.load(context)
    const { component: unet, plan } = await loadNetwork(context, 'unet')
    const { text: textInput, ...inputs } = unet.meanings({ ...UNET_INPUTS, text: ['class_labels'] })
    const parts = { name, unet, plan, autoencoder, schedulers, controlNets: [], inputs, guidance: 2 }
    return new MusicLdm(context, parts, text, textInput, vocoder)
  }

  /** [frames, mel bands] of the latents: enough for the length asked for. */
  protected override latentSize({ seconds }: Request): LatentSize {
    const { scale } = this.autoencoder
    const { frameRate, bands } = this.vocoder
    const { sample_size: preset } = this.unet.config
    const length = seconds ?? ((typeof preset === 'number' ? preset : 256) * scale) / frameRate
    const frames = Math.floor(length * frameRate)
    if (frames < scale || length > LONGEST) throw invalidArgument('seconds', `from ${scale / frameRate} to ${LONGEST}`, length)
    return [Math.ceil(frames / scale), bands / scale]
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
    const members = request.prompts.length
    const length = latents.length / members
    const { sampleRate } = this.vocoder
    const samples: Float32Array[] = []
    for (let b = 0; b < members; b++) {
      const mel = await this.autoencoder.decode(latents.subarray(b * length, (b + 1) * length), size, signal)
      const sound = await this.vocoder.run(mel, size[0] * scale, signal)
      samples.push(request.seconds === undefined ? sound : sound.slice(0, Math.floor(request.seconds * sampleRate)))
    }
    return { kind: 'audio', samples, sampleRate }
  }
}

/** A vocoder (HiFi-GAN): mel spectrogram → sound. */
class Vocoder {
  readonly sampleRate: number
  readonly bands: number
  private readonly component: Component
  private readonly input: string
  private readonly output: string
  private readonly samplesPerFrame: number

  private constructor(component: Component) {
    const { sampling_rate: rate, model_in_dim: bands, upsample_rates: rates } = component.config
    this.component = component
    this.input = component.meanings({ mel: ['spectrogram', 'mel_spectrogram', 'input_features'] }).mel
    this.output = component.output('waveform', 'audio')
    this.bands = component.dimension(this.input, 2, bands)
    this.sampleRate = typeof rate === 'number' && rate > 0 ? rate : 16_000
    const isList = Array.isArray(rates) && rates.every((each) => Number.isInteger(each) && each > 0)
    // Those of MusicLDM's own vocoder.
    this.samplesPerFrame = (isList ? (rates as number[]) : [5, 4, 2, 2, 2]).reduce((product, each) => product * each, 1)
  }

  /** Frames of the spectrogram in a second. */
  get frameRate(): number {
    return this.sampleRate / this.samplesPerFrame
  }

  static async load(context: LoadContext): Promise<Vocoder> {
    return new Vocoder(await Component.load(context, 'vocoder'))
  }

  /** The sound of `frames` frames of a spectrogram [frames, bands]. */
  async run(mel: Float32Array, frames: number, signal: AbortSignal): Promise<Float32Array> {
    const dims = this.component.tensor(this.output).dims.length === 1 ? [] : [1]
    const made = await this.component.evaluate(
      { [this.input]: { data: mel, dims: [1, frames, this.bands] } },
      { [this.output]: [...dims, frames * this.samplesPerFrame] },
      signal,
    )
    return made[this.output]
  }
}
