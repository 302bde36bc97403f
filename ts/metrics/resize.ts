import { invalidArgument } from '../errors.ts'

/** One channel of a picture: [height, width]. */
export interface Plane {
  readonly height: number
  readonly width: number
  readonly values: Float32Array | Float64Array
}

/**
 * PyTorch's `interpolate(mode='bilinear', align_corners=False)`: four neighbours whatever the ratio, so that shrinking skips
 * pixels (no antialiasing). What pytorch-fid does.
 */
export function bilinear(plane: Plane, height: number, width: number): Plane {
  checkSize(plane, height, width)
  return resample(plane, { rows: bilinearTaps(plane.height, height), columns: bilinearTaps(plane.width, width) })
}

/**
 * Pillow's `resize(resample=BICUBIC)` of a float image: a = −1/2, the kernel widened by the ratio where the picture shrinks,
 * rows first and rounded to float32 in between. What clean-fid does (it clips to [0, 255] afterwards).
 */
export function bicubic(plane: Plane, height: number, width: number): Plane {
  checkSize(plane, height, width)
  const [rows, columns] = [bicubicTaps(plane.height, height), bicubicTaps(plane.width, width)]
  return resample(plane, { rows, columns, round: Math.fround })
}

/**
 * Pillow's `resize(resample=BICUBIC)` of an 8-bit image: the same kernel, weights in units of 2⁻²², rounded and clipped to bytes
 * in between and at the end. What CLIP's preprocessing does. `plane`: whole numbers from 0 to 255. `middle`: of the result, only so many rows
 * and columns around its centre are made.
 */
export function bicubicBytes(plane: Plane, height: number, width: number, middle = Math.max(height, width)): Plane {
  checkSize(plane, height, width)
  const [rows, columns] = [
    fixedPoint(bicubicTaps(plane.height, height, middle)),
    fixedPoint(bicubicTaps(plane.width, width, middle)),
  ]
  return resample(plane, { rows, columns, round: (sum) => Math.min(255, Math.max(0, Math.floor(sum + 0.5))) })
}

/** Which inputs make an output, from `first` on, and their weights. */
interface Taps {
  readonly first: number
  readonly weights: readonly number[]
}

function bilinearTaps(from: number, to: number): Taps[] {
  return Array.from({ length: to }, (_, k) => {
    const source = Math.max(0, (from / to) * (k + 0.5) - 0.5) // PyTorch's rounding of the place
    const first = Math.min(Math.floor(source), from - 1)
    const fraction = source - first
    return { first, weights: first + 1 < from ? [1 - fraction, fraction] : [1] }
  })
}

/** Of the `middle` outputs. */
function bicubicTaps(from: number, to: number, middle = to): Taps[] {
  const scale = from / to
  const stretch = Math.max(1, scale)
  const cut = Math.max(0, Math.floor((to - middle) / 2))
  return Array.from({ length: Math.min(to, middle) }, (_, k) => {
    const centre = (cut + k + 0.5) * scale
    const first = Math.max(0, Math.trunc(centre - 2 * stretch + 0.5))
    const end = Math.min(from, Math.trunc(centre + 2 * stretch + 0.5))
    const weights = Array.from({ length: end - first }, (__, j) => keys((first + j - centre + 0.5) / stretch))
    const sum = weights.reduce((total, weight) => total + weight, 0)
    return { first, weights: weights.map((weight) => weight / sum) }
  })
}

/** Keys' cubic kernel with a = −1/2 (Keys 1981). */
function keys(x: number): number {
  const t = Math.abs(x)
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0
}

const fixedPoint = (taps: readonly Taps[]): Taps[] =>
  taps.map(({ first, weights }) => ({ first, weights: weights.map((weight) => Math.round(weight * 2 ** 22) / 2 ** 22) }))

/** `round`: what becomes of a sum, after the columns and after the rows. */
function resample(
  { width, values }: Plane,
  { rows, columns, round = (sum) => sum }: { rows: readonly Taps[]; columns: readonly Taps[]; round?: (sum: number) => number },
): Plane {
  // Of a tall picture of which the middle is made, most rows count for nothing.
  const [top, last] = [rows[0].first, rows[rows.length - 1]]
  const across = new Float64Array((last.first + last.weights.length - top) * columns.length)
  for (let k = 0; k < across.length; k++) {
    const { first, weights } = columns[k % columns.length]
    across[k] = round(weighted(values, (top + Math.floor(k / columns.length)) * width + first, 1, weights))
  }
  const result = new Float64Array(rows.length * columns.length)
  for (let k = 0; k < result.length; k++) {
    const { first, weights } = rows[Math.floor(k / columns.length)]
    result[k] = round(weighted(across, (first - top) * columns.length + (k % columns.length), columns.length, weights))
  }
  return { height: rows.length, width: columns.length, values: result }
}

/** Σ weights·values from `start` on, `stride` apart. */
function weighted(values: Float32Array | Float64Array, start: number, stride: number, weights: readonly number[]): number {
  let sum = 0
  for (let k = 0; k < weights.length; k++) sum += weights[k] * values[start + k * stride]
  return sum
}

function checkSize(plane: Plane, height: number, width: number): void {
  for (const [name, size] of Object.entries({ 'plane.height': plane.height, 'plane.width': plane.width, height, width }))
    if (!Number.isSafeInteger(size) || size < 1) throw invalidArgument(name, 'an integer of at least 1', size)
  if (plane.values.length !== plane.height * plane.width)
    throw invalidArgument('plane.values', `${plane.height * plane.width} values`, plane.values)
}
