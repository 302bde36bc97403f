/** A picture: 8-bit RGB, row by row from the top left. */
export class Picture {
  readonly width: number
  readonly height: number
  /** [height, width, 3] */
  readonly data: Uint8Array

  constructor(width: number, height: number, data: Uint8Array) {
    this.width = width
    this.height = height
    this.data = data
  }

  /** The picture as a PNG file. `text`: latin-1 key/value pairs kept in its text chunks. */
  async png(text: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
    const { encode } = await import('fast-png')
    return encode({ width: this.width, height: this.height, data: this.data, channels: 3, depth: 8, text: { ...text } })
  }
}

/** A sample [3, height, width] with values in `range` as a picture; values outside are clipped. */
export function toPicture(
  sample: Float32Array,
  [, height, width]: readonly [number, number, number],
  [low, high]: readonly [number, number],
): Picture {
  const pixels = height * width
  const data = new Uint8Array(pixels * 3)
  const scale = 255 / (high - low)
  for (let c = 0; c < 3; c++) {
    for (let p = 0; p < pixels; p++)
      data[p * 3 + c] = Math.min(255, Math.max(0, Math.round((sample[c * pixels + p] - low) * scale)))
  }
  return new Picture(width, height, data)
}
