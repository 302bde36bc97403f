const [START_OF_SCAN, END] = [0xda, 0xd9]
const [JFIF, ADOBE] = [0xe0, 0xee]
/** Markers of a frame's header; those between are of tables. */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)

/**
 * Whether the three components of a JPEG file are red, green and blue instead of luminance and two colour differences, told as libjpeg tells it:
 * by Adobe's segment, or where there is neither that nor JFIF's, by the names of the components.
 */
export function isRgb(file: Uint8Array): boolean {
  let transform: number | undefined
  let names = ''
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff;) {
    // Markers may be filled up with 0xff.
    if (file[at + 1] === 0xff) {
      at++
      continue
    }
    const [marker, length] = [file[at + 1], (file[at + 2] << 8) | file[at + 3]]
    const body = file.subarray(at + 4, at + 2 + length)
    const text = (from: number, to: number): string => String.fromCharCode(...body.subarray(from, to))
    if (marker === START_OF_SCAN || marker === END) break
    if (marker === JFIF && text(0, 5) === 'JFIF\0') return false
    if (marker === ADOBE && text(0, 5) === 'Adobe') transform = body[11]
    if (isFrame(marker)) names = Array.from({ length: body[5] }, (_, k) => text(6 + 3 * k, 7 + 3 * k)).join('')
    at += 2 + length
  }
  return transform === undefined ? names === 'RGB' : names.length === 3 && transform === 0
}
