import { invalidArgument, inWords } from '../errors.ts'
import type { Network } from './networks.ts'
import type { PictureShape } from './picture.ts'

// lpips' ScalingLayer: what it does to [−1, 1] is ImageNet's normalisation, in its own rounding.
const SHIFT = [-0.03, -0.088, -0.188]
const SCALE = [0.458, 0.448, 0.45]
/** Added to a channel vector's length before it is divided by it. */
const EPSILON = 1e-10
/** Fewer pixels leave nothing after AlexNet's second pooling. */
export const LPIPS_SMALLEST = 31

/** A trunk's answer for one picture, and its place. */
interface Tap {
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** Height and width of the five taps: convolution 11 over stride 4, then twice a maximum of 3 over stride 2. */
function tapsOf([, height, width]: PictureShape, channels: readonly number[]): Tap[] {
  const first = (n: number): number => Math.floor((n + 4 - 11) / 4) + 1
  const pooled = (n: number): number => Math.floor((n - 3) / 2) + 1
  const sizes = (n: number): number[] => [first(n), pooled(first(n)), ...new Array<number>(3).fill(pooled(pooled(first(n))))]
  const [heights, widths] = [sizes(height), sizes(width)]
  return channels.map((count, k) => ({ channels: count, height: heights[k], width: widths[k] }))
}

/** LPIPS and what each of the five layers adds to it. */
export interface Lpips {
  readonly value: number
  readonly layers: readonly number[]
}

/**
 * LPIPS of two samples [3, height, width] in [−1, 1], version 0.1 with AlexNet (Zhang et al. 2018, eq. 1), no resizing. The
 * trunk runs in float32 on the engine; scaling, normalisation, differences, weights and means are float64. 0: the same;
 * about 0.7: unrelated pictures.
 */
export async function lpips(
  network: Network<'lpips-alex'>,
  a: Float32Array,
  b: Float32Array,
  shape: PictureShape,
): Promise<Lpips> {
  const [channels, height, width] = shape
  if (channels !== 3) throw invalidArgument('shape', 'pictures of 3 channels', channels)
  if (Math.min(height, width) < LPIPS_SMALLEST)
    throw invalidArgument('shape', `pictures of at least ${LPIPS_SMALLEST} pixels each way`, inWords(`${width}×${height}`))
  const length = 3 * height * width
  for (const [name, picture] of Object.entries({ a, b }))
    if (picture.length !== length) throw invalidArgument(name, `${length} values`, picture)

  const { linear } = network.sidecar
  const taps = tapsOf(
    shape,
    linear.map((weights) => weights.length),
  )
  const values = new Float32Array(2 * length)
  for (const [row, picture] of [a, b].entries())
    for (let k = 0; k < length; k++) {
      const channel = Math.floor(k / (height * width))
      values[row * length + k] = (picture[k] - SHIFT[channel]) / SCALE[channel]
    }
  const outputs = Object.fromEntries(taps.map((tap, k) => [`tap${k}`, [2, tap.channels, tap.height, tap.width]]))
  const answers = await network.run('trunk', { picture: { dims: [2, ...shape], values } }, outputs)
  const layers = taps.map((tap, k) => layerDistance(answers[`tap${k}`], tap, linear[k]))
  return { value: layers.reduce((sum, layer) => sum + layer, 0), layers }
}

/** Mean over places of Σ weight·(â − b̂)², where â and b̂ are the channel vectors at a place over their lengths. `both`: [2, …tap]. */
function layerDistance(both: Float32Array, { channels, height, width }: Tap, weights: readonly number[]): number {
  const places = height * width
  const other = channels * places
  let sum = 0
  for (let place = 0; place < places; place++) {
    let [squaresA, squaresB] = [0, 0]
    for (let k = place; k < other; k += places) {
      squaresA += both[k] ** 2
      squaresB += both[other + k] ** 2
    }
    const [lengthA, lengthB] = [Math.sqrt(squaresA) + EPSILON, Math.sqrt(squaresB) + EPSILON]
    for (let c = 0; c < channels; c++) {
      const k = c * places + place
      sum += weights[c] * (both[k] / lengthA - both[other + k] / lengthB) ** 2
    }
  }
  return sum / places
}
