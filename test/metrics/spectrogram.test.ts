import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { MetricNetworks, type Network } from '../../ts/metrics/networks.ts'
import { spectrogramLpips } from '../../ts/metrics/spectrogram-lpips.ts'
import { decibels, loudestOf, melSpectrogram, SPECTROGRAM } from '../../ts/metrics/spectrogram.ts'
import { hashed, near, NETWORKS, recorded } from '../support/metrics.ts'

type Made = [length: number, hertz: number, noise: number, seed: number]
interface Case {
  readonly a: Made
  readonly b: Made
  readonly frames: number
  readonly power: readonly number[]
  readonly picture: readonly number[]
  readonly lpips: number
}
const { every, cases } = recorded('spectrogram.json') as { every: number; cases: Case[] }

/** The sounds of record_spectrogram.py. */
function sound([length, hertz, noise, seed]: Made): Float32Array {
  const random = hashed(length, seed)
  return Float32Array.from(random, (x, k) => (1 - k / length) * 0.5 * Math.sin((2 * Math.PI * hertz * k) / 16_000) + noise * x)
}

const networks = new MetricNetworks({ folder: NETWORKS, allowUnpublished: true, threads: 1 })
const trunk = async (): Promise<Network<'lpips-alex'>> => {
  const network = await networks.open('lpips-alex')
  if ('unavailable' in network) throw new Error(network.unavailable.reason)
  return network
}

for (const { a, b, frames, power, picture, lpips } of cases) {
  test(`${a[0]} samples at ${a[1]} Hz: the spectrogram is librosa's, its LPIPS the package's`, async () => {
    const first = melSpectrogram(sound(a))
    assert.is(first.frames, frames)
    // A float32 sample may differ in its last bit where sin() does: 6e-8 of a window's 512, squared.
    power.forEach((value, k) => near(first.power[k * every], value, 1e-9 * value + 1e-13 * loudestOf(first)))
    const second = decibels(melSpectrogram(sound(b)), loudestOf(first))
    picture.forEach((value, k) => near(second[k * every], value, 1e-6)) // float32
    const { value } = await spectrogramLpips(await trunk(), sound(a), sound(b))
    near(value, lpips, 1e-6 * lpips) // the trunk in float32 here
  })
}

test('a tone lies in the band of its frequency, with the square of its amplitude', () => {
  // 1 kHz is mel 15 of 45.25 at 8 kHz; bands are centred on multiples of 45.25/65, the first on one: 15 lies between the 21st and 22nd.
  const tone = (amplitude: number): Float64Array =>
    Float64Array.from({ length: 4096 }, (_, k) => amplitude * Math.cos((2 * Math.PI * k) / 16))
  const middle = (amplitude: number): number[] => {
    const { power, frames } = melSpectrogram(tone(amplitude))
    return Array.from({ length: 64 }, (_, mel) => power[mel * frames + 12])
  }
  const powers = middle(1)
  const loudest = powers.indexOf(Math.max(...powers))
  assert.ok(loudest === 20 || loudest === 21, String(loudest))
  for (const far of [loudest - 4, loudest + 4]) assert.ok(powers[far] < 1e-20 * powers[loudest], String(powers[far]))
  middle(0.5).forEach((power, k) => near(power, powers[k] / 4, 1e-12 * powers[loudest]))
})

test('levels are counted from the reference, and clipped to its range', () => {
  const spectrogram = { mels: 1, frames: 5, power: Float64Array.of(2, 1, 1e-4, 1e-8, 0) }
  const expected = [1, 1, 0, -1, -1]
  decibels(spectrogram, 1).forEach((value, k) => near(value, expected[k], 1e-6))
  assert.equal(SPECTROGRAM, { sampleRate: 16000, window: 1024, hop: 160, mels: 64, range: 80 })
})

test('equal sounds: zero. A silent reference, short and unequal sounds are named', async () => {
  const tone = sound(cases[0].a)
  assert.is((await spectrogramLpips(await trunk(), tone, tone)).value, 0)
  const reason = async (a: Float32Array, b: Float32Array): Promise<string> =>
    spectrogramLpips(await trunk(), a, b).then(
      () => 'resolved',
      (error: Error) => error.message,
    )
  assert.match(await reason(new Float32Array(8000), tone), /"reference" to be a sound/)
  assert.match(await reason(tone.subarray(0, 4799), tone), /at least 4800 samples/)
  assert.match(await reason(tone, tone.subarray(1)), /8000 samples, as the reference/)
  assert.match(
    await reason(
      tone.map((x, k) => (k === 9 ? NaN : x)),
      tone,
    ),
    /"sound\[9\]" to be finite/,
  )
})

test.after(() => networks.dispose())

test.run()
