import type { Features } from './features.ts'
import type { Network } from './networks.ts'
import { bytesOf, checkPictures, type PictureShape } from './picture.ts'
import { bicubic, bilinear, type Plane } from './resize.ts'

/** Width and height of what the network reads. */
const SIZE = 299
/** Pictures per run of the network: enough to keep every core busy, 9 MB each way. */
const BATCH = 8

/** Whose way of bringing pictures to 299×299: they give different FIDs, and only values of one kind compare. */
export type FidFlavour = 'pytorch-fid' | 'clean-fid'

/** A plane of bytes as the network reads it: [−1, 1], 299×299. */
const PREPARE: Record<FidFlavour, (bytes: Plane) => ArrayLike<number>> = {
  // Values in [0, 1], no antialiasing; then 2x − 1.
  'pytorch-fid': (bytes) => bilinear(bytes, SIZE, SIZE).values.map((value) => (2 * value) / 255 - 1),
  // Antialiased, in float without rounding to bytes, clipped; then as TensorFlow's graph has it.
  'clean-fid': (bytes) => bicubic(bytes, SIZE, SIZE).values.map((value) => (Math.min(255, Math.max(0, value)) - 128) / 128),
}

/** What the Inception network says of samples [3, height, width] in [−1, 1], each first rounded to the bytes of a picture. */
export async function inceptionFeatures(
  network: Network<'inception-fid'>,
  samples: readonly Float32Array[],
  shape: PictureShape,
  flavour: FidFlavour,
  signal?: AbortSignal,
): Promise<Features> {
  checkPictures('samples', samples, shape)
  const dim = network.sidecar.features
  const values = new Float64Array(samples.length * dim)
  for (let start = 0; start < samples.length; start += BATCH) {
    signal?.throwIfAborted()
    const batch = samples.slice(start, start + BATCH)
    const pictures = new Float32Array(batch.length * 3 * SIZE * SIZE)
    batch.forEach((sample, k) => pictures.set(prepared(sample, shape, flavour), k * 3 * SIZE * SIZE))
    const { features } = await network.run(
      'network',
      { picture: { dims: [batch.length, 3, SIZE, SIZE], values: pictures } },
      { features: [batch.length, dim] },
    )
    values.set(features, start * dim)
  }
  return { count: samples.length, dim, values }
}

/** Keeps the features of sets, by the array that holds the set: what a table of methods against one baseline asks for again. */
export class InceptionMemory {
  private readonly known = new Map<FidFlavour, WeakMap<readonly Float32Array[], Features>>()

  /**
   * Features of samples [3, height, width] in [−1, 1], one row each, in their order. Kept by flavour and by the array `samples` itself, whatever
   * network and shape come with it later: it must not be changed. Rejects with INVALID_ARGUMENT where samples and shape do not fit, or with the
   * signal's reason, between two runs of the network.
   */
  async features(
    network: Network<'inception-fid'>,
    samples: readonly Float32Array[],
    shape: PictureShape,
    flavour: FidFlavour,
    signal?: AbortSignal,
  ): Promise<Features> {
    const sets = this.known.get(flavour) ?? new WeakMap<readonly Float32Array[], Features>()
    this.known.set(flavour, sets)
    const features = sets.get(samples) ?? (await inceptionFeatures(network, samples, shape, flavour, signal))
    sets.set(samples, features)
    return features
  }
}

function prepared(sample: Float32Array, [, height, width]: PictureShape, flavour: FidFlavour): Float32Array {
  const bytes = bytesOf(sample)
  const pixels = height * width
  const result = new Float32Array(3 * SIZE * SIZE)
  for (let c = 0; c < 3; c++) {
    const values = bytes.subarray(c * pixels, (c + 1) * pixels)
    result.set(PREPARE[flavour]({ height, width, values }), c * SIZE * SIZE)
  }
  return result
}
