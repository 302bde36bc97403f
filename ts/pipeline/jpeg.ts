import type { Pixels } from '../families/family.ts'

const [END_OF_IMAGE, START_OF_SCAN] = [0xd9, 0xda]
const [JFIF, EXIF, ADOBE, COMMENT] = [0xe0, 0xe1, 0xee, 0xfe]
/** Markers of segments that decoders may pass over: those of applications, and comments. */
const isNote = (marker: number): boolean => (marker >= 0xe0 && marker <= 0xef) || marker === COMMENT
/** Markers of a frame's header; those between are of tables. */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
/** The tag of EXIF. */
const ORIENTATION = 0x0112
/** Pixels of a block, and the bits that it takes at least: one, of its mean. */
const [BLOCK_PIXELS, BLOCK_BITS] = [64, 1]
/** Segments before the first scan at most; large profiles and metadata take one for every 64 kB. */
const MOST_SEGMENTS = 1000
/** How often scans read a component at most, all together. Encoders of progressive files write some ten scans, most of them of one component. */
const MOST_READS = 100

/** What a JPEG file says of itself before its first scan. */
export interface JpegHeader {
  readonly width: number
  readonly height: number
  /** Its components by their names, as characters. */
  readonly names: string
  /** Whether there is a JFIF segment, and what Adobe's says of the colours. */
  readonly isJfif: boolean
  readonly transform?: number
  /** How the camera was held, from 1 (upright) to 8, as the first EXIF segment counts. */
  readonly orientation?: number
  /** Where the segments begin that are no notes, and where the first scan does. */
  readonly tablesAt?: number
  readonly scanAt?: number
}

/** Reads a file up to its first scan, or to what is no segment. Throws an Error where it has more of them than are read. */
export function headerOf(file: Uint8Array): JpegHeader {
  let header: JpegHeader = { width: 0, height: 0, names: '', isJfif: false }
  let segments = 0
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff;) {
    const [marker, length] = [file[at + 1], (file[at + 2] << 8) | file[at + 3]]
    if (marker === START_OF_SCAN) return { ...header, scanAt: at }
    if (++segments > MOST_SEGMENTS) throw new Error(`more than ${MOST_SEGMENTS} segments before its first scan`)
    const body = file.subarray(at + 4, at + 2 + length)
    const text = (from: number, to: number): string => String.fromCharCode(...body.subarray(from, to))
    if (marker === JFIF && text(0, 5) === 'JFIF\0') header = { ...header, isJfif: true }
    if (marker === ADOBE && text(0, 5) === 'Adobe') header = { ...header, transform: body[11] }
    if (marker === EXIF && header.orientation === undefined && text(0, 6) === 'Exif\0\0')
      header = { ...header, orientation: orientationOf(body.subarray(6)) }
    if (!isNote(marker)) header = { tablesAt: at, ...header }
    if (isFrame(marker)) {
      const names = Array.from({ length: body[5] }, (_, k) => text(6 + 3 * k, 7 + 3 * k)).join('')
      header = { ...header, height: (body[1] << 8) | body[2], width: (body[3] << 8) | body[4], names }
    }
    // Markers may be filled up with 0xff.
    at += marker === 0xff ? 1 : 2 + length
  }
  return header
}

/** The orientation that an EXIF segment names (TIFF 6.0: byte order, then a directory of entries of 12 bytes); 1 where it names none. */
function orientationOf(tiff: Uint8Array): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  const isLittle = tiff[0] === 0x49
  const short = (at: number): number => (at + 2 <= view.byteLength ? view.getUint16(at, isLittle) : 0)
  const directory = view.byteLength < 8 ? 8 : view.getUint32(4, isLittle)
  // A directory may say that it has more entries than the segment holds.
  const end = Math.min(directory + 2 + 12 * short(directory), view.byteLength)
  for (let at = directory + 2; at < end; at += 12) {
    if (short(at) !== ORIENTATION) continue
    const found = short(at + 8)
    return found >= 1 && found <= 8 ? found : 1
  }
  return 1
}

/** A picture of four bytes a pixel as it was seen: turned and mirrored by what EXIF says of the camera. */
export function upright({ width, height, data }: Pixels, { orientation = 1 }: JpegHeader): Pixels {
  if (orientation === 1) return { width, height, data }
  const isTurned = orientation >= 5
  const [fromRight, fromBottom] = [
    [2, 3, 7, 8],
    [3, 4, 6, 7],
  ].map((all) => all.includes(orientation))
  const size = isTurned ? { width: height, height: width } : { width, height }
  const source = new Uint32Array(data.buffer, data.byteOffset, width * height)
  const pixels = new Uint32Array(width * height)
  for (let k = 0; k < pixels.length; k++) {
    const [x, y] = [k % size.width, Math.floor(k / size.width)]
    const [column, row] = isTurned ? [y, x] : [x, y]
    pixels[k] = source[(fromBottom ? height - 1 - row : row) * width + (fromRight ? width - 1 - column : column)]
  }
  return { ...size, data: new Uint8Array(pixels.buffer) }
}

/** Throws an Error where a JPEG file has fewer bytes than a picture of its size takes: the decoder would make all of it first. */
export function checkBytes(file: Uint8Array, { width, height }: JpegHeader): void {
  if (file.length * 8 < Math.floor((width * height) / BLOCK_PIXELS) * BLOCK_BITS)
    throw new Error(`${file.length} bytes are too few for ${width} × ${height} pixels`)
}

/**
 * A JPEG file without what follows its picture. Throws an Error where its scans are more than encoders write: for each the decoder looks at all blocks,
 * of which a progressive scan may say nothing in a few bytes.
 */
export function withoutTrailer(file: Uint8Array, { tablesAt = 0, scanAt = Infinity }: JpegHeader): Uint8Array {
  const end = indexOfMarker(file, END_OF_IMAGE, scanAt)
  const picture = end < 0 ? file : file.subarray(0, end + 2)
  let reads = 0
  // By their markers, wherever those stand: the decoder passes over notes by their lengths, and over nothing else. Coded pixels have none.
  for (let at = tablesAt; (at = indexOfMarker(picture, START_OF_SCAN, at)) >= 0; at += 2) {
    reads += picture[at + 4] ?? 0
    if (reads > MOST_READS) throw new Error(`scans that read more than ${MOST_READS} components`)
  }
  return picture
}

const indexOfMarker = ({ buffer, byteOffset, length }: Uint8Array, marker: number, from: number): number =>
  from < length ? Buffer.from(buffer, byteOffset, length).indexOf(Buffer.of(0xff, marker), from) : -1

/** Pixels that a decoder may make: the header's, or of a broken one, which a decoder may yet read on, as many as the file has bits for. */
export const mostPixels = (file: Uint8Array, { width, height }: JpegHeader): number =>
  width * height || file.length * 8 * (BLOCK_PIXELS / BLOCK_BITS)

/**
 * Whether the three components of a JPEG file are red, green and blue instead of luminance and two colour differences, told as libjpeg tells it:
 * by Adobe's segment, or where there is neither that nor JFIF's, by the names of the components.
 */
export function isRgb({ isJfif, transform, names }: JpegHeader): boolean {
  if (isJfif) return false
  return transform === undefined ? names === 'RGB' : names.length === 3 && transform === 0
}
