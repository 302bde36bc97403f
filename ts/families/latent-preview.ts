import { Matrix, solve } from 'ml-matrix'
import type { Autoencoder } from './autoencoder.ts'
import type { LatentSize } from './latent-family.ts'

/** Latents along either side of what is decoded for a fit: 256 of them are ten for each coefficient also of 16 channels. */
const LARGEST_FIT = 16
/** Share of the latents' mean square that is added to it: early on channels hardly vary, and nothing could be told apart. */
const RIDGE = 1e-4

/**
 * Pictures of a run's latents on its way, of one pixel for each latent: by the linear map from a latent to its pixel that comes closest to
 * what the model's own decoder makes of these latents, reduced to 16 × 16. Any latent space has one, also those that no table of
 * coefficients knows, and it fits what is to be shown. It is made anew at the 1st, 2nd, 4th, 8th … picture, from all that was decoded so
 * far; between those a picture costs a product with a small matrix.
 */
export class LatentPreview {
  private readonly autoencoder: Autoencoder
  /** Values along the width of one latent: 1, or all that the decoder makes of one. */
  private readonly columns: number
  private readonly gram: Matrix
  private readonly moments: Matrix
  /** [channels + 1, outputs · columns]; the last row is added everywhere. */
  private map: Matrix
  private drawn = 0

  constructor(autoencoder: Autoencoder, columns = 1) {
    const features = autoencoder.channels + 1
    this.autoencoder = autoencoder
    this.columns = columns
    this.gram = Matrix.zeros(features, features)
    this.moments = Matrix.zeros(features, autoencoder.outputs * columns)
    this.map = this.moments
  }

  /** Each member's latents [channels, height, width] as a sample [outputs, height, width · columns]. */
  async draw(members: readonly Float32Array[], size: LatentSize, signal: AbortSignal): Promise<Float32Array[]> {
    const fits = Math.log2(++this.drawn)
    if (Number.isInteger(fits)) await this.fit(members[fits % members.length], size, signal)
    return members.map((latents) => this.project(latents, size))
  }

  private async fit(latents: Float32Array, size: LatentSize, signal: AbortSignal): Promise<void> {
    const { autoencoder, columns, gram, moments } = this
    const { channels, outputs, scale } = autoencoder
    const few = size.map((n) => Math.min(n, LARGEST_FIT)) as [number, number]
    const small = averaged(latents, channels, size, few)
    const decoded = await autoencoder.decode(small, few, signal)
    const pixels = averaged(decoded, outputs, [few[0] * scale, few[1] * scale], [few[0], few[1] * columns])
    const given = new Matrix([...perLatent(small, channels, few, 1), Array<number>(few[0] * few[1]).fill(1)])
    const wanted = new Matrix(perLatent(pixels, outputs, few, columns))
    gram.add(given.mmul(given.transpose()))
    moments.add(given.mmul(wanted.transpose()))
    const damped = gram.clone()
    const square = (gram.trace() - gram.get(channels, channels)) / channels
    for (let c = 0; c < channels; c++) damped.set(c, c, gram.get(c, c) + RIDGE * square + Number.MIN_VALUE)
    this.map = solve(damped, moments)
  }

  private project(latents: Float32Array, [height, width]: LatentSize): Float32Array {
    const { columns, map } = this
    const { channels, outputs } = this.autoencoder
    const count = height * width
    const sample = new Float32Array(outputs * count * columns)
    for (let k = 0; k < outputs * columns; k++) {
      const [output, column] = [Math.floor(k / columns), k % columns]
      const weights = map.getColumn(k)
      for (let p = 0; p < count; p++) {
        let value = weights[channels]
        for (let c = 0; c < channels; c++) value += weights[c] * latents[c * count + p]
        sample[(output * count + p) * columns + column] = value
      }
    }
    return sample
  }
}

/** Maps [channels, height, width], each place of the result the average of what falls on it. */
function averaged(
  source: Float32Array,
  channels: number,
  [height, width]: LatentSize,
  [rows, columns]: LatentSize,
): Float32Array {
  const made = new Float32Array(channels * rows * columns)
  const counts = new Float32Array(rows * columns)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width)
      counts[to]++
      for (let c = 0; c < channels; c++) made[c * rows * columns + to] += source[(c * height + y) * width + x]
    }
  }
  return made.map((sum, k) => sum / counts[k % counts.length])
}

/** Maps [channels, height, width · columns] as a row of values, one for each latent, for every channel and column. */
function perLatent(values: Float32Array, channels: number, [height, width]: LatentSize, columns: number): number[][] {
  const count = height * width
  return Array.from({ length: channels * columns }, (_, k) => {
    const [channel, column] = [Math.floor(k / columns), k % columns]
    return Array.from({ length: count }, (_, p) => values[(channel * count + p) * columns + column])
  })
}
