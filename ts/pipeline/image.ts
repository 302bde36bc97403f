import { types } from 'node:util'
import { invalidArgument, inWords, SadaError } from '../errors.ts'
import type { Pixels } from '../families/family.ts'
import { formatOf, MOST_PIXELS } from './codec.ts'
import { codec } from './codec-thread.ts'
import type { GenerateOptions, ImageInput } from './options.ts'

/** A picture: 8-bit RGB, row by row from the top left. */
export class Picture {
  readonly width: number
  readonly height: number
  /** [height, width, 3] */
  readonly data: Uint8Array

  constructor(width: number, height: number, data: Uint8Array) {
    this.width = width
    this.height = height
    this.data = data
  }

  /**
   * The picture as a PNG file. `text`: latin-1 key/value pairs kept in its text chunks, keys of 1 to 79 characters. `data` must not be changed
   * until it has settled. Rejects with INVALID_ARGUMENT, OUT_OF_MEMORY or INTERNAL.
   */
  async png(text: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
    const wrong = Object.entries(text).find(([key, value]) => !/^[ -~¡-ÿ]{1,79}$/.test(key) || !/^[\x01-\xff]*$/.test(value))
    if (wrong) throw invalidArgument('text', 'latin-1 values behind latin-1 keys of 1 to 79 characters', wrong.join(': '))
    if (this.data.length !== 3 * this.width * this.height)
      throw invalidArgument('data', `${3 * this.width * this.height} bytes`, this.data)
    return (await codec({ kind: 'encode', pixels: this, text })) as Uint8Array
  }
}

/** A sample [3, height, width] with values in `range` as a picture; values outside are clipped. */
export function toPicture(
  sample: Float32Array,
  [, height, width]: readonly [number, number, number],
  [low, high]: readonly [number, number],
): Picture {
  const pixels = height * width
  const data = new Uint8Array(pixels * 3)
  const scale = 255 / (high - low)
  const byteOf = (value: number): number => {
    const level = (value - low) * scale
    return level > 0 ? (level < 255 ? Math.floor(level + 0.5) : 255) : 0
  }
  for (let p = 0; p < pixels; p++) {
    data[p * 3] = byteOf(sample[p])
    data[p * 3 + 1] = byteOf(sample[pixels + p])
    data[p * 3 + 2] = byteOf(sample[2 * pixels + p])
  }
  return new Picture(width, height, data)
}

/** Throws INVALID_ARGUMENT where the latents are none. */
export function holdsLatents(init: NonNullable<GenerateOptions['init']>): init is { readonly latents: Float32Array } {
  if (typeof init !== 'object' || init === null || !('latents' in init)) return false
  if (types.isFloat32Array(init.latents)) return true
  throw invalidArgument('init.latents', 'a Float32Array', init.latents)
}

/** Pixels of a picture that was given as such, or as a PNG or JPEG file. Throws INVALID_ARGUMENT. */
export async function readImage(argument: string, input: ImageInput): Promise<Pixels> {
  const pixels = types.isUint8Array(input) ? await decode(argument, input) : input
  const { width, height, data } = pixels ?? {}
  const count = width * height
  const fits = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0 && count <= MOST_PIXELS
  const isBytes = types.isUint8Array(data) || types.isUint8ClampedArray(data)
  if (fits && isBytes && [1, 3, 4].some((channels) => data.length === count * channels)) return pixels
  throw invalidArgument(argument, 'a PNG or JPEG file, or { width, height, data } with 1, 3 or 4 bytes for each pixel', input)
}

async function decode(argument: string, file: Uint8Array): Promise<Pixels> {
  const format = formatOf(file)
  if (format === undefined) throw invalidArgument(argument, 'a PNG or JPEG file', inWords('a file that is neither'))
  try {
    // A copy: what a thread is told, it is told with the whole memory that a view lies in.
    return (await codec({ kind: 'decode', file: new Uint8Array(file) })) as Pixels
  } catch (error) {
    if (error instanceof SadaError) throw error
    throw invalidArgument(argument, `a readable ${format} file`, (error as Error).message)
  }
}
