import { types } from 'node:util'
import { invalidArgument } from '../errors.ts'
import type { Pixels } from '../families/family.ts'

/** The shape of a sample: [channels, height, width], values in [−1, 1]. */
export type PictureShape = readonly [channels: number, height: number, width: number]

/** Throws INVALID_ARGUMENT for what is not the shape of a picture. */
export function checkShape(name: string, shape: PictureShape): void {
  if (!Array.isArray(shape) || shape.length !== 3 || !shape.every((side) => Number.isSafeInteger(side) && side > 0))
    throw invalidArgument(name, '[channels, height, width], integers of at least 1', shape)
}

/** Throws INVALID_ARGUMENT where samples are not pictures of three channels and this shape. */
export function checkPictures(name: string, samples: readonly Float32Array[], shape: PictureShape): void {
  const [channels, height, width] = shape
  if (channels !== 3) throw invalidArgument('shape', 'pictures of 3 channels', channels)
  const length = channels * height * width
  const wrong = samples.findIndex((sample) => sample.length !== length)
  if (wrong >= 0) throw invalidArgument(`${name}[${wrong}]`, `${length} values`, samples[wrong])
}

/**
 * A picture of three bytes a pixel, as `generate` makes them, as a sample [3, height, width] in [−1, 1], of 256 values each. Throws
 * INVALID_ARGUMENT where it is none.
 */
export function sampleOf(picture: Pixels): Float32Array {
  const { width, height, data } = picture ?? {}
  const pixels = width * height
  const isBytes = types.isUint8Array(data) || types.isUint8ClampedArray(data)
  if (!(pixels > 0) || !isBytes || data.length !== 3 * pixels)
    throw invalidArgument('picture', '{ width, height, data } with 3 bytes for each pixel', picture)
  return Float32Array.from({ length: 3 * pixels }, (_, k) => data[(k % pixels) * 3 + Math.floor(k / pixels)] / 127.5 - 1)
}

/** Throws INVALID_ARGUMENT for what can be no sample: bytes and other whole numbers, which all but three are beyond what is compared. */
export function checkSample(name: string, values: ArrayLike<number>): void {
  if (typeof values !== 'object' || values === null || typeof values.length !== 'number')
    throw invalidArgument(name, 'a Float32Array', values, '"sampleOf" makes one of a picture.')
  if (ArrayBuffer.isView(values) && !Object.prototype.toString.call(values).startsWith('[object Float'))
    throw invalidArgument(name, 'values in [−1, 1]', values, '"sampleOf" makes them of a picture.')
}

/** A sample as the bytes of its 8-bit picture, 0 to 255, in the same order: what FID, KID and CLIP read from a file. */
export function bytesOf(sample: Float32Array): Float32Array {
  return sample.map((value) => Math.min(255, Math.max(0, Math.round((value + 1) * 127.5))))
}
