import { invalidArgument } from '../errors.ts'
import type { Pixels } from '../families/family.ts'
import { checkBytes, isRgb, upright } from './jpeg.ts'
import type { ImageInput } from './options.ts'
import { pictureOf } from './png.ts'

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

  /** The picture as a PNG file. `text`: latin-1 key/value pairs kept in its text chunks. */
  async png(text: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
    const { encode } = await import('fast-png')
    return encode({ width: this.width, height: this.height, data: this.data, channels: 3, depth: 8, text: { ...text } })
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
  for (let c = 0; c < 3; c++) {
    for (let p = 0; p < pixels; p++)
      data[p * 3 + c] = Math.min(255, Math.max(0, Math.round((sample[c * pixels + p] - low) * scale)))
  }
  return new Picture(width, height, data)
}

/** Pixels of a picture at most, 16384 × 16384. */
const MOST_PIXELS = 2 ** 28

/** Pixels of a picture that was given as such, or as a PNG or JPEG file. Throws INVALID_ARGUMENT. */
export async function readImage(argument: string, input: ImageInput): Promise<Pixels> {
  const pixels = input instanceof Uint8Array ? await decode(argument, input) : input
  const { width, height, data } = pixels ?? {}
  const count = width * height
  const fits = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0 && count <= MOST_PIXELS
  const isBytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray
  if (fits && isBytes && [1, 3, 4].some((channels) => data.length === count * channels)) return pixels
  throw invalidArgument(argument, 'a PNG or JPEG file, or { width, height, data } with 1, 3 or 4 bytes for each pixel', input)
}

/** What files begin with. */
const [PNG, JPEG] = [
  [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  [0xff, 0xd8],
]

async function decode(argument: string, file: Uint8Array): Promise<Pixels> {
  const [isPng, isJpeg] = [PNG, JPEG].map((signature) => signature.every((byte, k) => file[k] === byte))
  if (!isPng && !isJpeg) throw invalidArgument(argument, 'a PNG or JPEG file', 'a file that is neither')
  try {
    return isJpeg ? await decodeJpeg(file) : await decodePng(file)
  } catch (error) {
    throw invalidArgument(argument, `a readable ${isJpeg ? 'JPEG' : 'PNG'} file`, (error as Error).message)
  }
}

async function decodeJpeg(file: Uint8Array): Promise<Pixels> {
  const { decode: read } = await import('jpeg-js')
  checkBytes(file)
  const limits = { maxResolutionInMP: MOST_PIXELS / 1e6, maxMemoryUsageInMB: 4096 }
  const { width, height, data } = read(file, { useTArray: true, ...limits, ...(isRgb(file) && { colorTransform: false }) })
  return upright({ width, height, data }, file)
}

async function decodePng(file: Uint8Array): Promise<Pixels> {
  const { decode: read, convertIndexedToRgb } = await import('fast-png')
  const decoded = read(await pictureOf(file, MOST_PIXELS))
  const { width, height, data, depth, channels, palette } = decoded
  // Fewer than 8 bits are indices as well, of the grey values they stand for.
  if (palette || depth < 8) return { width, height, data: convertIndexedToRgb({ ...decoded, palette: palette ?? greys(depth) }) }
  const bytes = depth === 16 ? Uint8Array.from(data, (value) => value >> 8) : Uint8Array.from(data)
  return { width, height, data: channels === 2 ? bytes.filter((_, k) => k % 2 === 0) : bytes }
}

/** The values of 1, 2 or 4 bits, evenly from black to white. */
function greys(depth: number): [number, number, number][] {
  const most = 2 ** depth - 1
  return Array.from({ length: most + 1 }, (_, k) => {
    const grey = (255 * k) / most
    return [grey, grey, grey]
  })
}
