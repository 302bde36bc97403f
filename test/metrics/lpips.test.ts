import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lpips } from '../../ts/metrics/lpips.ts'
import { MetricNetworks, type Network } from '../../ts/metrics/networks.ts'
import { hashedPicture, near, NETWORKS, recorded } from '../support/metrics.ts'

interface Case {
  readonly size: [number, number]
  readonly a: number
  readonly b: number
  readonly strength: number
  readonly lpips: number
  readonly float64: number
  readonly layers: readonly number[]
}
const { cases } = recorded('lpips.json') as { cases: Case[] }

const networks = new MetricNetworks({ folder: NETWORKS, allowUnpublished: true, threads: 1 })
const trunk = async (): Promise<Network<'lpips-alex'>> => {
  const network = await networks.open('lpips-alex')
  if ('unavailable' in network) throw new Error(network.unavailable.reason)
  return network
}
const pictures = ({ size, a, b, strength }: Case): [Float32Array, Float32Array] => {
  const length = 3 * size[0] * size[1]
  return [hashedPicture(length, a), hashedPicture(length, b, strength, a)]
}

test("LPIPS is that of the lpips package's formula, layer by layer", async () => {
  for (const each of cases) {
    const { value, layers } = await lpips(await trunk(), ...pictures(each), [3, ...each.size])
    // The package computes in float32 throughout, here only the trunk does: it leaves 1e-7 of a channel vector's length.
    near(value, each.lpips, 1e-6 * each.lpips + 2e-9)
    near(value, each.float64, 1e-6 * each.float64 + 2e-9)
    layers.forEach((layer, k) => near(layer, each.layers[k], 1e-6 * each.lpips + 2e-9))
  }
})

test('equal pictures: exactly zero; and it does not matter which comes first', async () => {
  const [a, b] = pictures(cases[0])
  assert.is((await lpips(await trunk(), a, a, [3, 64, 64])).value, 0)
  const forth = await lpips(await trunk(), a, b, [3, 64, 64])
  near((await lpips(await trunk(), b, a, [3, 64, 64])).value, forth.value, 1e-12)
})

test('wrong shapes are named', async () => {
  const rejects = async (length: number, shape: [number, number, number], pattern: RegExp): Promise<void> => {
    const picture = new Float32Array(length)
    const message = await lpips(await trunk(), picture, picture, shape).then(
      () => 'resolved',
      (error: Error) => error.message,
    )
    assert.match(message, pattern)
  }
  await rejects(3 * 30 * 40, [3, 30, 40], /at least 31 pixels each way, received 40×30/)
  await rejects(1 * 40 * 40, [1, 40, 40], /3 channels, received 1/)
  await rejects(7, [3, 40, 40], /"a" to be 4800 values/)
})

test.after(() => networks.dispose())

test.run()
