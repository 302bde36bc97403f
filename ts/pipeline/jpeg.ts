const [START_OF_SCAN, END] = [0xda, 0xd9]
const [JFIF, ADOBE] = [0xe0, 0xee]
/** Markers of a frame's header; those between are of tables. */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
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
}

function headerOf(file: Uint8Array): JpegHeader {
  let header: JpegHeader = { width: 0, height: 0, names: '', isJfif: false }
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff;) {
    const [marker, length] = [file[at + 1], (file[at + 2] << 8) | file[at + 3]]
    const body = file.subarray(at + 4, at + 2 + length)
    const text = (from: number, to: number): string => String.fromCharCode(...body.subarray(from, to))
    if (marker === START_OF_SCAN || marker === END) break
    if (marker === JFIF && text(0, 5) === 'JFIF\0') header = { ...header, isJfif: true }
    if (marker === ADOBE && text(0, 5) === 'Adobe') header = { ...header, transform: body[11] }
    if (isFrame(marker)) {
      const names = Array.from({ length: body[5] }, (_, k) => text(6 + 3 * k, 7 + 3 * k)).join('')
      header = { ...header, height: (body[1] << 8) | body[2], width: (body[3] << 8) | body[4], names }
    }
    // Markers may be filled up with 0xff.
    at += marker === 0xff ? 1 : 2 + length
  }
  return header
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
