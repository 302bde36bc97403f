import { type Picture, toPicture } from '../../pipeline/image.ts'
import { clip } from '../../metrics/psnr.ts'
import type { PictureShape } from '../fidelity.ts'

type Range = readonly [number, number]

/** What a model makes, as headings call it. */
export interface Things {
  readonly one: string
  readonly many: string
}
/** `note`: what stands for a picture; so far only sounds have something else. */
export const thingsOf = (note: string | undefined): Things =>
  note === undefined ? { one: 'picture', many: 'pictures' } : { one: 'sound', many: 'sounds' }

/** Spectrograms of some seconds are many times as wide as high: side by side they would be lines. */
export const isWide = (width: number, height: number): boolean => width > 2 * height

export async function dataUri(picture: Picture): Promise<string> {
  return `data:image/png;base64,${Buffer.from(await picture.png()).toString('base64')}`
}

export const samplePicture = (sample: Float32Array, shape: PictureShape, range: Range): Promise<string> =>
  dataUri(toPicture(sample, shape, range))

/** |a − b| of every colour, amplified, on black: black is equal, white is 1/amplification of the whole range. */
export function differencePicture(a: Float32Array, b: Float32Array, shape: PictureShape, amplification: number): Promise<string> {
  const difference = a.map((value, k) => Math.abs(clip(value) - clip(b[k])) * amplification)
  return dataUri(toPicture(difference, shape, [0, 2]))
}

/** The largest of 1, 2, 5, 10, … that keeps the greatest difference in range, so that it can be seen. */
export function fittingAmplification(a: Float32Array, b: Float32Array): number {
  const greatest = a.reduce((most, value, k) => Math.max(most, Math.abs(clip(value) - clip(b[k]))), 0) / 2
  if (greatest === 0) return 1
  const power = 10 ** Math.max(0, Math.floor(-Math.log10(greatest)))
  return [5, 2, 1].map((n) => n * power).find((n) => n * greatest <= 1) ?? 1
}
