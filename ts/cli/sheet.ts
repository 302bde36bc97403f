import { Picture } from '../pipeline/image.ts'

/** Pixels between the pictures of a sheet. */
const GAP = 2
const WHITE = 255

/** Several pictures of one size as one, in rows as even as they can be. */
export function sheet(pictures: readonly Picture[]): Picture {
  const [{ width, height }] = pictures
  const columns = Math.ceil(Math.sqrt(pictures.length))
  const rows = Math.ceil(pictures.length / columns)
  const whole = new Picture(columns * (width + GAP) - GAP, rows * (height + GAP) - GAP, new Uint8Array(0))
  const data = new Uint8Array(whole.width * whole.height * 3).fill(WHITE)
  for (const [k, picture] of pictures.entries()) {
    const left = (k % columns) * (width + GAP)
    const top = Math.floor(k / columns) * (height + GAP)
    for (let y = 0; y < height; y++) {
      data.set(picture.data.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * whole.width + left) * 3)
    }
  }
  return new Picture(whole.width, whole.height, data)
}
