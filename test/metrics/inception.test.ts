import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fid } from '../../ts/metrics/fid.ts'
import { inceptionFeatures, type FidFlavour } from '../../ts/metrics/inception.ts'
import { kid } from '../../ts/metrics/kid.ts'
import { MetricNetworks, type Network } from '../../ts/metrics/networks.ts'
import { bytesOf } from '../../ts/metrics/picture.ts'
import { toPicture } from '../../ts/pipeline/image.ts'
import { hashed, near, NETWORKS, recorded } from '../support/metrics.ts'

interface Values {
  readonly features: readonly number[]
  readonly fid: number
  readonly kid: number
}
const values = recorded('inception.json') as Record<FidFlavour, Values> & {
  shape: [number, number]
  count: number
  a: number
  b: number
  step: number
}
const [height, width] = values.shape

/** The pictures of record_inception.py as samples [3, height, width]. */
function sample(seed: number): Float32Array {
  const bytes = (n: number, from: number): Float64Array => hashed(n, from).map((x) => Math.floor((x + 0.5) * 256))
  const fine = bytes(3 * height * width, seed)
  const coarse = bytes(3 * 4 * 4, seed + 1)
  return Float32Array.from(fine, (byte, k) => {
    const [c, y, x] = [Math.floor(k / (height * width)), Math.floor(k / width) % height, k % width]
    return Math.floor((byte + 7 * coarse[c * 16 + Math.floor(y / 10) * 4 + Math.floor(x / 13)]) / 8) / 127.5 - 1
  })
}
const set = (seed: number): Float32Array[] => Array.from({ length: values.count }, (_, k) => sample(seed + k * values.step))

const networks = new MetricNetworks({ folder: NETWORKS, allowUnpublished: true, threads: 1 })
const inception = async (): Promise<Network<'inception-fid'>> => {
  const network = await networks.open('inception-fid')
  if ('unavailable' in network) throw new Error(network.unavailable.reason)
  return network
}

for (const flavour of ['pytorch-fid', 'clean-fid'] as const) {
  test(`from pictures to FID and KID as ${flavour} does it`, async () => {
    const [a, b] = [
      await inceptionFeatures(await inception(), set(values.a), [3, height, width], flavour),
      await inceptionFeatures(await inception(), set(values.b), [3, height, width], flavour),
    ]
    const expected = values[flavour]
    // Resizing and the network are float32 on both sides, in another order: 1e-6 of the features, which are about 1.
    expected.features.forEach((feature, k) => near(a.values[k], feature, 2e-6))
    near(fid(a, b), expected.fid, 1e-5 * expected.fid)
    near(kid(a, b, { subsets: 1, subsetSize: values.count }).mean, expected.kid, 1e-5 * Math.abs(expected.kid))
  })
}

test('the two ways are told apart by their values', () => {
  assert.ok(Math.abs(values['pytorch-fid'].fid / values['clean-fid'].fid - 1) > 0.01)
})

test("a sample's bytes are those of its picture", () => {
  const values = Float32Array.from({ length: 3 * 6 * 5 }, (_, k) => (k - 45) / 40)
  const { data } = toPicture(values, [3, 6, 5], [-1, 1])
  const bytes = bytesOf(values)
  for (let k = 0; k < 30; k++) for (let c = 0; c < 3; c++) assert.is(bytes[c * 30 + k], data[k * 3 + c])
})

test('wrong samples are named', async () => {
  const message = await inceptionFeatures(await inception(), [new Float32Array(7)], [3, 2, 2], 'clean-fid').then(
    () => 'resolved',
    (error: Error) => error.message,
  )
  assert.match(message, /"samples\[0\]" to be 12 values/)
})

test.after(() => networks.dispose())

test.run()
