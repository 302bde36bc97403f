import { Picture } from '../pipeline/image.ts'

/** Pixels between the pictures of a sheet. */
const GAP = 2
const WHITE = 255

/** In rows as even as they can be. */
function layoutOf(count: number): { columns: number; rows: number } {
  const columns = Math.ceil(Math.sqrt(count))
  return { columns, rows: Math.ceil(count / columns) }
}

/** The size of each picture on a sheet of so many; undefined where no such sheet has that size. */
export function pictureSize(
  whole: Pick<Picture, 'width' | 'height'>,
  count: number,
): [width: number, height: number] | undefined {
  const { columns, rows } = layoutOf(count)
  const size: [number, number] = [(whole.width + GAP) / columns - GAP, (whole.height + GAP) / rows - GAP]
  return size.every((side) => Number.isInteger(side) && side > 0) ? size : undefined
}

/** Several pictures of one size as one. */
export function sheet(pictures: readonly Picture[]): Picture {
  const [{ width, height }] = pictures
  const { columns, rows } = layoutOf(pictures.length)
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
