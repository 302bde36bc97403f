import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { clipCosines, clipPixels, torchmetricsScore, type ClipNetwork } from '../../ts/metrics/clip-score.ts'
import { MetricNetworks } from '../../ts/metrics/networks.ts'
import { bicubicBytes } from '../../ts/metrics/resize.ts'
import { hashed, hashedPicture, near, NETWORKS, recorded } from '../support/metrics.ts'

interface Recorded {
  readonly captions: readonly string[]
  readonly seed: number
  readonly step: number
  readonly every: number
  readonly scores: readonly {
    size: [number, number]
    cosines: readonly number[]
    torchmetrics: number
    rotated: number
    pixels: readonly number[]
  }[]
  readonly bicubic: readonly { from: [number, number]; to: [number, number]; seed: number; bytes: readonly number[] }[]
}
const { captions, seed, step, every, scores, bicubic } = recorded('clip.json') as Recorded

const networks = new MetricNetworks({ folder: NETWORKS, allowUnpublished: true, threads: 1 })
const clip = async (): Promise<ClipNetwork> => {
  const network = await networks.open('clip-vit-b-32')
  if ('unavailable' in network) throw new Error(network.unavailable.reason)
  return network
}
const samples = ([height, width]: [number, number]): Float32Array[] =>
  captions.map((_, k) => hashedPicture(3 * height * width, seed + step * k))

test('of a picture as long as may be only the middle square is made', () => {
  const short = hashedPicture(3 * 9, 1)
  const long = new Float32Array(3 * 1_000_001)
  // An odd number of pixels: one of them fills the square, and the four at each side of it are all that reach into it.
  for (let k = 0; k < short.length; k++) long[Math.floor(k / 9) * 1_000_001 + 499_996 + (k % 9)] = short[k]
  for (const [few, many] of [
    [
      [3, 1, 9],
      [3, 1, 1_000_001],
    ],
    [
      [3, 9, 1],
      [3, 1_000_001, 1],
    ],
  ] as const)
    assert.equal(clipPixels(long, many, 56), clipPixels(short, few, 56))
})

for (const { size, cosines, torchmetrics, rotated, pixels } of scores) {
  const shape = [3, ...size] as const

  test(`${size.join('×')}: pixels as transformers' processor makes them`, () => {
    const made = clipPixels(samples(size)[0], shape, 56)
    pixels.forEach((value, k) => near(made[k * every], value, 1e-6)) // one byte more or less is 0.014
  })

  test(`${size.join('×')}: cosines are those of transformers, scores those of torchmetrics`, async () => {
    const found = await clipCosines(await clip(), samples(size), shape, captions)
    cosines.forEach((value, k) => near(found[k], value, 1e-6)) // float32 networks on both sides
    near(torchmetricsScore(found), torchmetrics, 1e-4)
    const turned = await clipCosines(await clip(), samples(size).slice(1), shape, captions.slice(0, 3))
    near(torchmetricsScore(turned), rotated, 1e-4)
  })
}

test("bytes are resized as Pillow's, to the last one", () => {
  for (const { from, to, seed: from_, bytes } of bicubic) {
    const values = hashed(from[0] * from[1], from_).map((x) => Math.floor((x + 0.5) * 256))
    assert.equal([...bicubicBytes({ height: from[0], width: from[1], values }, ...to).values], bytes)
  }
})

test("torchmetrics' score is never below zero, the mean of the cosines may be", () => {
  assert.is(torchmetricsScore([-0.5, 0.1]), 0)
  near(torchmetricsScore([-0.1, 0.5]), 20, 1e-12)
})

test('more pictures than a batch give what each alone gives', async () => {
  const many = Array.from({ length: 9 }, (_, k) => hashedPicture(3 * 56 * 56, 100_000 + k))
  const words = many.map((_, k) => captions[k % captions.length])
  const together = await clipCosines(await clip(), many, [3, 56, 56], words)
  for (const k of [0, 7, 8]) near((await clipCosines(await clip(), [many[k]], [3, 56, 56], [words[k]]))[0], together[k], 1e-6)
})

test('a caption too many is named; one too long is read as far as it goes', async () => {
  const message = await clipCosines(await clip(), samples([56, 56]), [3, 56, 56], ['one']).then(
    () => 'resolved',
    (error: Error) => error.message,
  )
  assert.match(message, /"captions" to be 4, one per sample, received 1/)
  const [cosine] = await clipCosines(await clip(), samples([56, 56]).slice(0, 1), [3, 56, 56], ['cat '.repeat(500)])
  assert.ok(Math.abs(cosine) <= 1)
})

test.after(() => networks.dispose())

test.run()
