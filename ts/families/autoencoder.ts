import { invalidArgument, inWords, SadaError } from '../errors.ts'
import type { TorchGenerator } from '../noise.ts'
import { Component, type LoadContext } from './component.ts'
import type { Pixels } from './family.ts'
import type { JsonObject } from './folder.ts'
import type { LatentSize } from './latent-family.ts'
import { DEFAULT_CHANNELS, LATENT_AXES, partProfiles, PICTURE_AXES, type SizeRange } from './size-range.ts'
import { inTiles, type FeatureMap } from './tiles.ts'

/**
 * Latents that are worked on at once where nothing else is asked; more of them are in tiles. The attention in the middle of an autoencoder
 * has a score for each pair: 4 GiB of them here. 1448 × 1448 pixels where a latent has 8 × 8.
 */
const MOST_LATENTS = 2 ** 15
/** Side of a tile in pixels where the configuration does not say what size the autoencoder was made for. */
const TILE_SIZE = 512
/** A quarter of a tile's side overlaps: whole latents. */
const QUARTERS = 4
/** Latents along a side of what is decoded at load, to see how large it comes out; and the scales that there are. */
const SMALLEST = 2
const SCALES = [1, 2, 4, 8, 16, 32, 64, 128]

/** The variational autoencoder between pictures and latents. */
export class Autoencoder {
  /** Channels of the latents. */
  readonly channels: number
  /** Channels of what is decoded. */
  readonly outputs: number
  /** Pixels along one side of a latent. */
  readonly scale: number
  private readonly decoder: Component
  private readonly encoder: Component | undefined
  private readonly latent: string
  private readonly sample: string
  private readonly factor: number
  private readonly shift: number
  /** Side of a tile in pixels, where nothing else is asked. */
  private readonly tileSize: number

  private constructor(decoder: Component, encoder: Component | undefined, latent: string, outputs: number, isShifted: boolean) {
    this.decoder = decoder
    this.encoder = encoder
    this.latent = latent
    this.sample = decoder.output('sample', 'sample_out', 'image')
    decoder.expectRank(latent, 4)
    decoder.expectRank(this.sample, 4)
    this.channels = decoder.dimension(latent, 1, decoder.config.latent_channels ?? DEFAULT_CHANNELS.vae_decoder)
    decoder.expectDimension(this.sample, 1, outputs, 'the channels of what this family decodes')
    this.outputs = outputs
    // Exports without a configuration are of Stable Diffusion 1 and 2.
    this.factor = decoder.number('scaling_factor', 0.18215, 1e-4, 1e4)
    this.shift = isShifted ? decoder.number('shift_factor', 0, -1e4, 1e4) : 0
    this.scale = 2 ** (decoder.blocks(4) - 1)
    const unit = QUARTERS * this.scale
    this.tileSize = Math.max(unit, Math.floor(decoder.integer('sample_size', TILE_SIZE, 1, 65536) / unit) * unit)
  }

  /**
   * `outputs`: channels of what it decodes. `pictures`: what engines on the GPU are made for; tiles and previews are smaller than any picture.
   * `isShifted`: whether diffusers' pipelines follow `shift_factor`; those for variance-preserving noise do not.
   */
  static async load(context: LoadContext, outputs: number, pictures?: SizeRange, isShifted = false): Promise<Autoencoder> {
    const range = pictures && { ...pictures, smallest: { ...pictures.smallest, size: [1, 1] as const } }
    const part = (role: string, axes: typeof LATENT_AXES) => Component.load(context, role, range && partProfiles(range, axes))
    const decoder = await part('vae_decoder', LATENT_AXES)
    const { latent } = decoder.meanings({ latent: ['latent_sample', 'latent', 'sample'] })
    const encoder = (await Component.has(context, 'vae_encoder')) ? await part('vae_encoder', PICTURE_AXES) : undefined
    encoder?.meanings({ sample: ['sample', 'image'] })
    return new Autoencoder(decoder, encoder, latent, outputs, isShifted)
  }

  /** `scale` of a folder's autoencoder. */
  static async scaleOf(context: LoadContext): Promise<number> {
    return scaleOf(await Component.configOf(context, 'vae_decoder'))
  }

  /**
   * Throws IO_MISMATCH where the decoder makes pictures of another scale than its configuration says. Where sizes are free that is seen
   * by decoding 2 × 2 latents; where no scale fits them, nothing is known.
   */
  async checkScale(signal: AbortSignal): Promise<void> {
    const { decoder, scale, latent, sample } = this
    const said = `as "block_out_channels" in config.json beside it says (without it: 4 of them)`
    const fixed = [2, 3].filter((axis) => decoder.tensor(latent).dims[axis] > 0)
    for (const axis of fixed) decoder.expectDimension(sample, axis, decoder.tensor(latent).dims[axis] * scale, said)
    if (fixed.length > 0) return
    const data = new Float32Array(this.channels * SMALLEST ** 2)
    const map: FeatureMap = { data, channels: this.channels, height: SMALLEST, width: SMALLEST }
    for (const each of [scale, ...SCALES.filter((other) => other !== scale)]) {
      const fits = await this.decodeMap(map, signal, each).then(
        () => true,
        () => false,
      )
      if (fits && each === scale) return
      if (fits) throw decoder.mismatch(`pictures of ${scale} × ${scale} pixels for each latent, ${said}`, [`${each} × ${each}`])
      if (signal.aborted) return
    }
  }

  /** Throws INVALID_ARGUMENT unless tiles can have that side. */
  checkTileSize(pixels: number | undefined): void {
    const unit = QUARTERS * this.scale
    if (pixels !== undefined && pixels % unit !== 0) throw invalidArgument('tileSize', `a multiple of ${unit}`, pixels)
  }

  /**
   * One member's latents [channels, height, width] as a sample [outputs, height·scale, width·scale], pictures from −1 to 1.
   * `tileSize`: side in pixels of the tiles it is made in; 0: never in tiles; left out: in tiles where there are more than 2¹⁵ latents.
   */
  async decode(latents: Float32Array, size: LatentSize, signal: AbortSignal, tileSize?: number): Promise<Float32Array> {
    const [height, width] = size
    const data = latents.map((value) => value / this.factor + this.shift)
    const whole: FeatureMap = { data, channels: this.channels, height, width }
    const decode = (tile: FeatureMap): Promise<FeatureMap> => this.decodeMap(tile, signal)
    const side = this.tileSide(size, tileSize)
    const made = side === 0 ? decode(whole) : inTiles(whole, { before: side, after: side * this.scale }, decode)
    return (await made).data
  }

  /** The distribution of a picture's latents, to be drawn from. The picture has the size of the latents times the scale. */
  async encode(picture: Float32Array, size: LatentSize, signal: AbortSignal, tileSize?: number): Promise<LatentDistribution> {
    const [height, width] = size
    const whole: FeatureMap = { data: picture, channels: 3, height: height * this.scale, width: width * this.scale }
    const encode = (tile: FeatureMap): Promise<FeatureMap> => this.encodeMap(tile, signal)
    const side = this.tileSide(size, tileSize)
    const { data, channels } = await (side === 0
      ? encode(whole)
      : inTiles(whole, { before: side * this.scale, after: side }, encode))
    const length = this.channels * height * width
    const logVariance = channels === 2 * this.channels ? data.subarray(length) : undefined
    return new LatentDistribution(data.subarray(0, length), logVariance, this.factor, this.shift)
  }

  /** Side of the tiles in latents; 0: the whole at once. */
  private tileSide([height, width]: LatentSize, tileSize: number | undefined): number {
    if (tileSize === undefined && height * width <= MOST_LATENTS) return 0
    const side = (tileSize ?? this.tileSize) / this.scale
    return height > side || width > side ? side : 0
  }

  private async decodeMap({ data, height, width }: FeatureMap, signal: AbortSignal, scale = this.scale): Promise<FeatureMap> {
    const made = { channels: this.outputs, height: height * scale, width: width * scale }
    const { [this.sample]: values } = await this.decoder.evaluate(
      { [this.latent]: { data, dims: [1, this.channels, height, width] } },
      { [this.sample]: [1, made.channels, made.height, made.width] },
      signal,
    )
    return { data: values, ...made }
  }

  private async encodeMap({ data, channels, height, width }: FeatureMap, signal: AbortSignal): Promise<FeatureMap> {
    const { encoder } = this
    if (encoder === undefined) {
      const path = this.decoder.path.replace(/vae_decoder.*/, 'vae_encoder')
      throw new SadaError('MODEL_NOT_FOUND', `${path} does not exist; a run that starts from a picture needs it.`)
    }
    const { sample } = encoder.meanings({ sample: ['sample', 'image'] })
    const name = encoder.output('latent_parameters', 'latent_sample', 'latent')
    // Parameters are means, and logarithms of variances behind them.
    const expected = name === 'latent_parameters' ? 2 * this.channels : this.channels
    const made = {
      channels: encoder.dimension(name, 1, expected),
      height: height / this.scale,
      width: width / this.scale,
    }
    const { [name]: values } = await encoder.evaluate(
      { [sample]: { data, dims: [1, channels, height, width] } },
      { [name]: [1, made.channels, made.height, made.width] },
      signal,
    )
    return { data: values, ...made }
  }
}

const scaleOf = ({ block_out_channels: blocks }: JsonObject): number =>
  Array.isArray(blocks) && blocks.length > 0 && blocks.length <= 8 ? 2 ** (blocks.length - 1) : 8

/** A diagonal Gaussian over latents; a point where the encoder gives no variances. */
export class LatentDistribution {
  private readonly mean: Float32Array
  private readonly logVariance: Float32Array | undefined
  private readonly factor: number
  private readonly shift: number

  constructor(mean: Float32Array, logVariance: Float32Array | undefined, factor: number, shift: number) {
    this.mean = mean
    this.logVariance = logVariance
    this.factor = factor
    this.shift = shift
  }

  /** Latents in the network's scale; takes as many normal values as there are latents. */
  draw(generator: TorchGenerator): Float32Array {
    const { mean, logVariance } = this
    const noise = logVariance && generator.randn(mean.length)
    return mean.map((value, k) => {
      const deviation = noise ? Math.exp(0.5 * Math.min(20, Math.max(-30, logVariance[k]))) * noise[k] : 0
      return (value + deviation - this.shift) * this.factor
    })
  }
}

/** Throws INVALID_ARGUMENT unless a picture has that size. */
export function checkPicture(argument: string, { width, height }: Pixels, [h, w]: readonly [number, number]): void {
  if (width !== w || height !== h)
    throw invalidArgument(argument, `${w}×${h} pixels, like the result`, inWords(`${width}×${height}`))
}

/** A picture as a sample [3, height, width] from −1 to 1. Throws INVALID_ARGUMENT unless it has that size. */
export function toSample(argument: string, picture: Pixels, size: readonly [number, number]): Float32Array {
  checkPicture(argument, picture, size)
  const { width, height, data } = picture
  const [h, w] = size
  const channels = data.length / (width * height)
  const sample = new Float32Array(3 * h * w)
  for (let c = 0; c < 3; c++) {
    for (let p = 0; p < h * w; p++) sample[c * h * w + p] = (data[p * channels + (channels === 1 ? 0 : c)] / 255) * 2 - 1
  }
  return sample
}
