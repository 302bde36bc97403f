import { invalidArgument } from '../errors.ts'

/** The shape of a sample: [channels, height, width], values in [−1, 1]. */
export type PictureShape = readonly [channels: number, height: number, width: number]

/** Throws INVALID_ARGUMENT where samples are not pictures of three channels and this shape. */
export function checkPictures(name: string, samples: readonly Float32Array[], shape: PictureShape): void {
  const [channels, height, width] = shape
  if (channels !== 3) throw invalidArgument('shape', 'pictures of 3 channels', channels)
  const length = channels * height * width
  const wrong = samples.findIndex((sample) => sample.length !== length)
  if (wrong >= 0) throw invalidArgument(`${name}[${wrong}]`, `${length} values`, samples[wrong])
}

/** A sample as the bytes of its 8-bit picture, 0 to 255, in the same order: what FID, KID and CLIP read from a file. */
export function bytesOf(sample: Float32Array): Float32Array {
  return sample.map((value) => Math.min(255, Math.max(0, Math.round((value + 1) * 127.5))))
}
