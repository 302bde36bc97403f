import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import type { Pixels } from '../families/family.ts'

/** What is read of a file; the rest (profiles, texts, further frames) is not looked at. */
const READ = ['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND']
const SIGNATURE_BYTES = 8
/** Of pictures without a palette nothing that these say is used. */
const OF_PALETTES = ['PLTE', 'tRNS']
/** Length and type before a chunk's data, a sum behind it. */
const [HEAD_BYTES, SUM_BYTES] = [8, 4]
/** Values of a pixel by the colour type of the header. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const INDEXED = 3
/** The passes of an interlaced picture: first column and row, and steps between them (PNG specification, 8.2). */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const
const WHOLE = [[0, 0, 1, 1]] as const
/** Encoders pad what they write: so many bytes behind the last row are let pass. */
const PADDING = 1 << 16

/**
 * A PNG file as its picture alone, once that is known to unpack to no more than its header says: a megabyte of it can stand for a gigabyte,
 * and the decoder unpacks all. Throws an Error where it does not; what else is wrong is left for the decoder to say.
 */
export async function pictureOf(file: Uint8Array, mostPixels: number): Promise<Uint8Array> {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const parts = [bytes.subarray(0, SIGNATURE_BYTES)]
  const packed: Buffer[] = []
  let most = 0
  let isIndexed = false
  for (let at = SIGNATURE_BYTES; at + HEAD_BYTES <= bytes.length;) {
    const length = bytes.readUInt32BE(at)
    const type = bytes.toString('latin1', at + 4, at + HEAD_BYTES)
    const end = at + HEAD_BYTES + length + SUM_BYTES
    const data = bytes.subarray(at + HEAD_BYTES, end - SUM_BYTES)
    if (type === 'IHDR') [most, isIndexed] = [sizeOf(data, mostPixels), data[9] === INDEXED]
    if (type === 'IDAT') packed.push(data)
    // Of other pictures a palette is what to show them with on poor screens; the decoder would take their values for indices. Nor does it
    // take a transparent colour, three values, where there are fewer pixels.
    if (READ.includes(type) && (isIndexed || !OF_PALETTES.includes(type))) parts.push(bytes.subarray(at, end))
    at = end
  }
  await promisify(inflate)(Buffer.concat(packed), { maxOutputLength: most + PADDING }).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ERR_BUFFER_TOO_LARGE' ? new Error('it unpacks to more than its header says') : error
  })
  return Buffer.concat(parts)
}

/** What a PNG file says of its size; nothing where its header is cut. */
export function sizeOfPng(file: Uint8Array): Pick<Pixels, 'width' | 'height'> {
  const header = Buffer.from(file.buffer, file.byteOffset, file.byteLength).subarray(SIGNATURE_BYTES + HEAD_BYTES)
  return header.length < 8 ? { width: 0, height: 0 } : { width: header.readUInt32BE(0), height: header.readUInt32BE(4) }
}

/** Bytes that the picture of a header has when it is unpacked: each row has one more, that of its filter. */
function sizeOf(header: Buffer, mostPixels: number): number {
  if (header.length < 13) throw new Error('its header is cut')
  const [width, height, depth, colour, interlaced] = [
    header.readUInt32BE(0),
    header.readUInt32BE(4),
    ...[8, 9, 12].map((at) => header[at]),
  ]
  if (width * height > mostPixels) throw new Error(`it has ${width} × ${height} pixels, more than ${mostPixels}`)
  if (interlaced !== 0 && depth < 8) throw new Error(`it is interlaced with ${depth} bits; save it without interlacing`)
  const bits = (CHANNELS[colour] ?? 4) * depth
  return (interlaced === 0 ? WHOLE : ADAM7).reduce((sum, [left, top, across, down]) => {
    const [columns, rows] = [Math.ceil((width - left) / across), Math.ceil((height - top) / down)]
    return columns > 0 && rows > 0 ? sum + rows * (1 + Math.ceil((columns * bits) / 8)) : sum
  }, 0)
}
