import type * as Jpeg from 'jpeg-js'
import type { Pixels } from '../families/family.ts'
import { checkBytes, headerOf, isRgb, mostPixels, upright, withoutTrailer } from './jpeg.ts'
import { pictureOf, sizeOfPng } from './png.ts'

/** Work on a picture file, which takes the thread it is made on for as long as it takes. */
export type CodecTask =
  | { readonly kind: 'encode'; readonly pixels: Pixels; readonly text: Readonly<Record<string, string>> }
  | { readonly kind: 'decode'; readonly file: Uint8Array }

/** Pixels of a picture at most, 16384 × 16384. */
export const MOST_PIXELS = 2 ** 28

/** Memory that the decoder of JPEG files may take: it counts some 30 bytes for a pixel of four components, more where blocks stand out over the edges. */
const [LEAST_MEGABYTES, PIXEL_BYTES] = [64, 64]

/** What files begin with. */
const [PNG, JPEG] = [
  [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  [0xff, 0xd8],
]

/** The kind of a picture file; undefined where it is none that can be read. */
export function formatOf(file: Uint8Array): 'PNG' | 'JPEG' | undefined {
  const begins = (signature: readonly number[]): boolean => signature.every((byte, k) => file[k] === byte)
  return begins(PNG) ? 'PNG' : begins(JPEG) ? 'JPEG' : undefined
}

/** Pixels that a task is about, as far as the file says. */
export function pixelsIn(task: CodecTask): number {
  const { width, height } =
    task.kind === 'encode' ? task.pixels : formatOf(task.file) === 'PNG' ? sizeOfPng(task.file) : headerOf(task.file)
  return width * height
}

/** The bytes of a PNG file of three values a pixel, with `text` in its text chunks; or the pixels of a PNG or JPEG file. Throws an Error where that is broken. */
export async function runCodec(task: CodecTask): Promise<Uint8Array | Pixels> {
  if (task.kind === 'decode') return formatOf(task.file) === 'PNG' ? decodePng(task.file) : decodeJpeg(task.file)
  const { encode } = await import('fast-png')
  const { width, height, data } = task.pixels
  return encode({ width, height, data: data, channels: 3, depth: 8, text: { ...task.text } })
}

function decodeJpeg(file: Uint8Array): Pixels {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { decode: read } = require('jpeg-js') as typeof Jpeg
  const header = headerOf(file)
  checkBytes(file, header)
  // The decoder makes every frame that it finds, also one that the header does not have. The half is for rounding.
  const pixels = Math.min(mostPixels(file, header), MOST_PIXELS)
  const maxMemoryUsageInMB = Math.min(LEAST_MEGABYTES + (pixels * PIXEL_BYTES) / 1e6, 4096)
  const limits = { maxResolutionInMP: (pixels + 0.5) / 1e6, maxMemoryUsageInMB }
  const colours = isRgb(header) && { colorTransform: false }
  const { width, height, data } = read(withoutTrailer(file, header), { useTArray: true, ...limits, ...colours })
  return upright({ width, height, data }, header)
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
