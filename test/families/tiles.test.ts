import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Autoencoder } from '../../ts/families/autoencoder.ts'
import { Folder } from '../../ts/families/folder.ts'
import { inTiles, type FeatureMap } from '../../ts/families/tiles.ts'
import { load } from '../../ts/index.ts'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { familyFolder } from '../support/families.ts'

// What diffusers' tiled autoencoder gives is in recorded.test.ts ("in tiles").

const map = (channels: number, height: number, width: number): FeatureMap => ({
  data: Float32Array.from({ length: channels * height * width }, (_, k) => (k * 7) % 64),
  channels,
  height,
  width,
})

/** Every value `scale` times in both directions. */
function enlarged({ data, channels, height, width }: FeatureMap, scale: number): FeatureMap {
  const made = { channels, height: height * scale, width: width * scale }
  const values = Float32Array.from({ length: channels * made.height * made.width }, (_, k) => {
    const [c, y, x] = [Math.floor(k / (made.height * made.width)), Math.floor(k / made.width) % made.height, k % made.width]
    return data[(c * height + Math.floor(y / scale)) * width + Math.floor(x / scale)]
  })
  return { data: values, ...made }
}

/** The first of so many values in both directions. */
const reduced = ({ data, channels, height, width }: FeatureMap, scale: number): FeatureMap => ({
  data: Float32Array.from({ length: data.length / scale ** 2 }, (_, k) => {
    const [h, w] = [height / scale, width / scale]
    const [c, y, x] = [Math.floor(k / (h * w)), Math.floor(k / w) % h, k % w]
    return data[(c * height + y * scale) * width + x * scale]
  }),
  channels,
  height: height / scale,
  width: width / scale,
})

for (const [height, width] of [
  [1, 9],
  [6, 8],
  [8, 8],
  [9, 1],
  [13, 20],
  [24, 25],
]) {
  test(`${height}×${width}: what each place alone decides is the same in tiles, to the last bit`, async () => {
    const source = map(3, height, width)
    const larger = enlarged(source, 4)
    assert.equal(await inTiles(source, { before: 8, after: 32 }, (tile) => Promise.resolve(enlarged(tile, 4))), larger)
    assert.equal(await inTiles(larger, { before: 32, after: 8 }, (tile) => Promise.resolve(reduced(tile, 4))), source)
  })
}

test('a seam goes over linearly from one tile to the next', async () => {
  // Tiles at 0, 6 and 12; two places overlap.
  const line = [0, 0, 0, 0, 0, 0, 0, 0.5, 1, 1, 1, 1, 1, 1.5]
  const numbered = async (height: number, width: number): Promise<number[]> => {
    let count = 0
    const { data } = await inTiles(map(2, height, width), { before: 8, after: 8 }, (tile) =>
      Promise.resolve({ ...tile, data: tile.data.map(() => count) }).finally(() => count++),
    )
    return [...data]
  }
  assert.equal(await numbered(1, 14), [...line, ...line])
  assert.equal(await numbered(14, 1), [...line, ...line])
})

test('one tile at a time, none larger than asked for', async () => {
  let running = 0
  const sides = new Set<number>()
  await inTiles(map(2, 30, 41), { before: 8, after: 8 }, async (tile) => {
    assert.is(++running, 1)
    sides.add(tile.height).add(tile.width)
    await new Promise(setImmediate)
    running--
    return tile
  })
  assert.is(Math.max(...sides), 8)
})

test('more than 2¹⁵ latents are decoded in tiles unasked: the attention over all of them would take 275 GB', async () => {
  const engine = new (loadAddon().Engine)({ library: findOnnxRuntime() })
  try {
    const folder = await Folder.open(familyFolder('sd2'))
    const autoencoder = await Autoencoder.load({ folder, engine, threads: 1 }, 3)
    const size = [512, 512] as const
    const { signal } = new AbortController()
    const latents = new TorchGenerator(1).randn(4 * 512 * 512)
    const before = process.resourceUsage().maxRSS
    const picture = await autoencoder.decode(latents, size, signal)
    assert.is(picture.length, 3 * 1024 * 1024)
    // Result, source, a row of tiles, and what one tile of 16 × 16 latents takes.
    assert.ok(process.resourceUsage().maxRSS - before < 200_000)
    const distribution = await autoencoder.encode(picture, size, signal)
    assert.ok(distribution.draw(new TorchGenerator(1)).every(Number.isFinite))
  } finally {
    await engine.dispose()
  }
})

test('0 decodes the whole at once; a picture that fits into one tile is not cut; a side that does not fit is refused', async () => {
  const pipeline = await load(familyFolder('sd2'), { threads: 1 })
  const made = async (tileSize?: number): Promise<Uint8Array> => {
    const size = { width: 40, height: 32 }
    const { images } = await pipeline.generate({ prompt: 'a cat', steps: 2, policy: 'none', ...size, tileSize })
    return images[0].data
  }
  const whole = await made()
  assert.equal(await made(0), whole)
  assert.equal(await made(40), whole)
  assert.not.equal(await made(32), whole)
  for (const wrong of [-8, 12, 8.5, 9000, NaN]) {
    const error = await made(wrong).catch((e: unknown) => e)
    assert.match(String(error), /"tileSize"/)
  }
  await pipeline.dispose()
})

test.run()
