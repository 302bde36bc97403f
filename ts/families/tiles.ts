/** Values [channels, height, width]. */
export interface FeatureMap {
  readonly data: Float32Array
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** Side of a tile, a multiple of 4 before and after. */
export interface TileSides {
  readonly before: number
  readonly after: number
}

/** Share of a tile's side that it has in common with the next one. */
const OVERLAP = 1 / 4

/**
 * What `evaluate` makes of a map, one overlapping tile after the other, the seams blended linearly: tiles, overlap and blending are those of
 * `tiled_decode` and `tiled_encode` of diffusers' AutoencoderKL. Beside source and result no more is held than a row of tiles.
 */
export async function inTiles(
  source: FeatureMap,
  { before, after }: TileSides,
  evaluate: (tile: FeatureMap) => Promise<FeatureMap>,
): Promise<FeatureMap> {
  const [stride, kept, overlap] = [before * (1 - OVERLAP), after * (1 - OVERLAP), after * OVERLAP]
  const [rows, columns] = [Math.ceil(source.height / stride), Math.ceil(source.width / stride)]
  const scaled = (side: number): number => (side * after) / before
  let result: FeatureMap | undefined
  let above: FeatureMap[] = []
  for (let i = 0; i < rows; i++) {
    const row: FeatureMap[] = []
    for (let j = 0; j < columns; j++) {
      const tile = await evaluate(crop(source, i * stride, j * stride, before))
      if (i > 0) blendBelow(above[j], tile, overlap)
      if (j > 0) blendBeside(row[j - 1], tile, overlap)
      result ??= emptyMap(tile.channels, scaled(source.height), scaled(source.width))
      paste(tile, result, i * kept, j * kept, kept)
      row.push(tile)
    }
    above = row
  }
  return result!
}

const emptyMap = (channels: number, height: number, width: number): FeatureMap => ({
  data: new Float32Array(channels * height * width),
  channels,
  height,
  width,
})

/** The part of a map that begins at (top, left), `side` high and wide where the map goes that far. */
function crop(source: FeatureMap, top: number, left: number, side: number): FeatureMap {
  const part = emptyMap(source.channels, Math.min(side, source.height - top), Math.min(side, source.width - left))
  for (let c = 0; c < part.channels; c++) {
    for (let y = 0; y < part.height; y++) {
      const from = (c * source.height + top + y) * source.width + left
      part.data.set(source.data.subarray(from, from + part.width), (c * part.height + y) * part.width)
    }
  }
  return part
}

/** Writes the upper left of a tile, at most `most` high and wide, to (top, left) of a map. */
function paste(tile: FeatureMap, target: FeatureMap, top: number, left: number, most: number): void {
  const [height, width] = [Math.min(most, tile.height), Math.min(most, tile.width)]
  for (let c = 0; c < tile.channels; c++) {
    for (let y = 0; y < height; y++) {
      const from = (c * tile.height + y) * tile.width
      target.data.set(tile.data.subarray(from, from + width), (c * target.height + top + y) * target.width + left)
    }
  }
}

/** Goes over from the last rows of `above` to the first rows of `tile`, in place. */
function blendBelow(above: FeatureMap, tile: FeatureMap, overlap: number): void {
  const extent = Math.min(above.height, tile.height, overlap)
  for (let c = 0; c < tile.channels; c++) {
    for (let y = 0; y < extent; y++) {
      const from = (c * above.height + above.height - extent + y) * above.width
      const to = (c * tile.height + y) * tile.width
      for (let x = 0; x < tile.width; x++) mixInto(tile.data, to + x, above.data[from + x], y / extent)
    }
  }
}

/** Goes over from the last columns of `beside` to the first columns of `tile`, in place. */
function blendBeside(beside: FeatureMap, tile: FeatureMap, overlap: number): void {
  const extent = Math.min(beside.width, tile.width, overlap)
  for (let line = 0; line < tile.channels * tile.height; line++) {
    const from = (line + 1) * beside.width - extent
    for (let x = 0; x < extent; x++) mixInto(tile.data, line * tile.width + x, beside.data[from + x], x / extent)
  }
}

function mixInto(data: Float32Array, at: number, other: number, own: number): void {
  data[at] = other * (1 - own) + data[at] * own
}
