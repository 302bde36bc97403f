import type { Pixels } from '../families/family.ts'

/**
 * A picture at another size: scaled to cover it, what hangs over cut off evenly at both sides. Every new pixel is the triangle-weighted
 * mean of the old ones around it, over at least one of them and over as many as it covers.
 */
export function resize(picture: Pixels, width: number, height: number): Pixels {
  if (picture.width === width && picture.height === height) return picture
  const scale = Math.max(width / picture.width, height / picture.height)
  const channels = picture.data.length / (picture.width * picture.height)
  const left = (picture.width - width / scale) / 2
  const top = (picture.height - height / scale) / 2
  const columns = weights(picture.width, width, left, scale)
  const rows = weights(picture.height, height, top, scale)
  // Of a picture that is cut above and below, no other rows count; they may be many more than are left.
  const first = rows[0].from
  const last = rows[height - 1].from + rows[height - 1].shares.length
  const narrow = new Float32Array((last - first) * width * channels)
  for (let y = first; y < last; y++) {
    for (const [x, { from, shares }] of columns.entries()) {
      for (let c = 0; c < channels; c++) {
        let sum = 0
        for (let k = 0; k < shares.length; k++) sum += shares[k] * picture.data[(y * picture.width + from + k) * channels + c]
        narrow[((y - first) * width + x) * channels + c] = sum
      }
    }
  }
  const data = new Uint8Array(height * width * channels)
  const stride = width * channels
  for (const [y, { from, shares }] of rows.entries()) {
    for (let x = 0; x < stride; x++) {
      let sum = 0
      for (let k = 0; k < shares.length; k++) sum += shares[k] * narrow[(from - first + k) * stride + x]
      data[y * stride + x] = Math.round(sum)
    }
  }
  return { width, height, data }
}

/** For each new pixel along one side, the first old pixel that counts and the shares of it and those that follow. */
function weights(from: number, to: number, offset: number, scale: number): { from: number; shares: number[] }[] {
  const reach = Math.max(1, 1 / scale)
  return Array.from({ length: to }, (_, k) => {
    const centre = offset + (k + 0.5) / scale
    const first = Math.max(0, Math.floor(centre - reach + 0.5))
    const last = Math.min(from - 1, Math.ceil(centre + reach - 0.5) - 1)
    const plain = Array.from({ length: last - first + 1 }, (__, j) => 1 - Math.abs(first + j + 0.5 - centre) / reach)
    const sum = plain.reduce((total, each) => total + each, 0)
    return { from: first, shares: plain.map((each) => each / sum) }
  })
}
