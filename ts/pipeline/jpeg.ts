import type { Pixels } from '../families/family.ts'

const START_OF_SCAN = 0xda
const [JFIF, EXIF, ADOBE] = [0xe0, 0xe1, 0xee]
/** Markers of a frame's header; those between are of tables. */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
/** The tag of EXIF. */
const ORIENTATION = 0x0112
/** Pixels of a block, and the bits that it takes at least: one, of its mean. */
const [BLOCK_PIXELS, BLOCK_BITS] = [64, 1]

/** What a JPEG file says of itself before its first scan. */
interface JpegHeader {
  readonly width: number
  readonly height: number
  /** Its components by their names, as characters. */
  readonly names: string
  /** Whether there is a JFIF segment, and what Adobe's says of the colours. */
  readonly isJfif: boolean
  readonly transform?: number
  /** How the camera was held, from 1 (upright) to 8, as EXIF counts. */
  readonly orientation: number
}

function headerOf(file: Uint8Array): JpegHeader {
  let header: JpegHeader = { width: 0, height: 0, names: '', isJfif: false, orientation: 1 }
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff;) {
    const [marker, length] = [file[at + 1], (file[at + 2] << 8) | file[at + 3]]
    const body = file.subarray(at + 4, at + 2 + length)
    const text = (from: number, to: number): string => String.fromCharCode(...body.subarray(from, to))
    if (marker === START_OF_SCAN) break
    if (marker === JFIF && text(0, 5) === 'JFIF\0') header = { ...header, isJfif: true }
    if (marker === ADOBE && text(0, 5) === 'Adobe') header = { ...header, transform: body[11] }
    if (marker === EXIF && text(0, 6) === 'Exif\0\0') header = { ...header, orientation: orientationOf(body.subarray(6)) }
    if (isFrame(marker)) {
      const names = Array.from({ length: body[5] }, (_, k) => text(6 + 3 * k, 7 + 3 * k)).join('')
      header = { ...header, height: (body[1] << 8) | body[2], width: (body[3] << 8) | body[4], names }
    }
    // Markers may be filled up with 0xff.
    at += marker === 0xff ? 1 : 2 + length
  }
  return header
}

/** What a JPEG file says of its size. */
export const sizeOfJpeg = (file: Uint8Array): Pick<Pixels, 'width' | 'height'> => headerOf(file)

/** The orientation that an EXIF segment names (TIFF 6.0: byte order, then a directory of entries of 12 bytes); 1 where it names none. */
function orientationOf(tiff: Uint8Array): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  const isLittle = tiff[0] === 0x49
  const short = (at: number): number => (at + 2 <= view.byteLength ? view.getUint16(at, isLittle) : 0)
  const directory = view.byteLength < 8 ? 8 : view.getUint32(4, isLittle)
  const entry = Array.from({ length: short(directory) }, (_, k) => directory + 2 + 12 * k).find((at) => short(at) === ORIENTATION)
  const found = entry === undefined ? 1 : short(entry + 8)
  return found >= 1 && found <= 8 ? found : 1
}

/** A picture of four bytes a pixel as it was seen: turned and mirrored by what EXIF says of the camera. */
export function upright({ width, height, data }: Pixels, file: Uint8Array): Pixels {
  const { orientation } = headerOf(file)
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
export function checkBytes(file: Uint8Array): void {
  const { width, height } = headerOf(file)
  if (file.length * 8 < Math.floor((width * height) / BLOCK_PIXELS) * BLOCK_BITS)
    throw new Error(`${file.length} bytes are too few for ${width} × ${height} pixels`)
}

/**
 * Whether the three components of a JPEG file are red, green and blue instead of luminance and two colour differences, told as libjpeg tells it:
 * by Adobe's segment, or where there is neither that nor JFIF's, by the names of the components.
 */
export function isRgb(file: Uint8Array): boolean {
  const { isJfif, transform, names } = headerOf(file)
  if (isJfif) return false
  return transform === undefined ? names === 'RGB' : names.length === 3 && transform === 0
}
