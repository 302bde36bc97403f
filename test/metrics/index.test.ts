import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SadaError } from '../../ts/errors.ts'
import {
  InceptionMemory,
  METRICS,
  MetricNetworks,
  type MetricContext,
  type MetricName,
  type MetricValue,
  type NetworkName,
} from '../../ts/metrics/index.ts'
import { psnr } from '../../ts/metrics/psnr.ts'
import { ssim } from '../../ts/metrics/ssim.ts'
import { hashed, hashedPicture, near, NETWORKS } from '../support/metrics.ts'

const networks = new MetricNetworks({ folder: NETWORKS, allowUnpublished: true, threads: 1 })
const [height, width] = [33, 40]
const LENGTH = 3 * height * width
const set = (from: number, other?: number): Float32Array[] =>
  Array.from({ length: 9 }, (_, k) => hashedPicture(LENGTH, from + k, 0.2, other === undefined ? undefined : other + k))
const baseline = set(1)
const accelerated = set(500_000, 1)
const captions = baseline.map((_, k) => `a photo of the cat ${'and the dog '.repeat(k)}`)
const form = { kind: 'pictures', shape: [3, height, width] } as const
const pictures: MetricContext = { form, networks, captions, inception: new InceptionMemory() }
const sounds: MetricContext = { form: { kind: 'sounds', sampleRate: 16_000 }, networks }

async function valueOf(
  name: MetricName,
  context = pictures,
  pair: [readonly Float32Array[], readonly Float32Array[]] = [baseline, accelerated],
): Promise<MetricValue> {
  const answer = await METRICS[name].evaluate(...pair, context)
  if ('unavailable' in answer) throw new Error(`${name}: ${answer.unavailable.reason}`)
  return answer
}
async function refusalOf(name: MetricName, context: MetricContext, samples = baseline): Promise<string> {
  const answer = await METRICS[name].evaluate(samples, samples, context)
  if (!('unavailable' in answer)) throw new Error(`${name} has a value`)
  assert.ok(answer.unavailable.reason.length > 20)
  return answer.unavailable.code
}

const OF_PICTURES = (Object.keys(METRICS) as MetricName[]).filter((name) => METRICS[name].needs.kind !== 'sounds')
const OF_NETWORKS = OF_PICTURES.filter((name) => METRICS[name].needs.network !== undefined)
const WITH_FIXTURE = OF_PICTURES.filter((name) => name !== 'clip-score-torchmetrics')

test('every metric says its unit, direction, needs, and whose definition it is', () => {
  assert.equal(Object.keys(METRICS), [
    'psnr',
    'ssim',
    'lpips',
    'fid',
    'fid-clean',
    'kid',
    'clip-score',
    'clip-score-torchmetrics',
    'spectrogram-lpips',
  ])
  for (const [name, { unit, direction, needs, about }] of Object.entries(METRICS)) {
    assert.is(unit, name === 'psnr' ? 'dB' : '')
    assert.ok(['higher', 'lower'].includes(direction) && needs.samples >= 1)
    assert.match(about, /^[A-Zt].{40,}\.$/)
  }
})

test('every metric of pictures has a value; those of networks say whether the weights are published', async () => {
  for (const name of WITH_FIXTURE) {
    const value = await valueOf(name)
    assert.ok(Number.isFinite(value.mean), name)
    assert.is(value.samples, 9)
    assert.is(value.publishedWeights, OF_NETWORKS.includes(name) ? false : undefined, name)
    assert.ok(Object.keys(value.settings).length > 0, name)
    if (value.perSample === undefined) continue
    const each = value.perSample as number[]
    near(value.mean!, each.reduce((sum, one) => sum + one) / 9, 1e-12)
    assert.equal([value.min, value.max], [Math.min(...each), Math.max(...each)])
  }
})

test('values are those of the formulas', async () => {
  const [first] = (await valueOf('psnr')).perSample!
  assert.is(first, psnr(baseline[0], accelerated[0]))
  assert.is((await valueOf('ssim')).perSample![8], ssim(baseline[8], accelerated[8], [3, height, width]))
  const { mean, std, settings } = await valueOf('kid')
  assert.ok(mean !== null && std! > 0)
  assert.is(settings.subsetSize, 4)
  const { mean: value, bias } = await valueOf('fid')
  assert.is(value, bias!.points[4].fid)
  assert.is(bias!.points[4].count, 9)
})

test('equal sets: the best value there is', async () => {
  const best: Record<string, (value: MetricValue) => void> = {
    psnr: ({ mean, min, identical, perSample }) => {
      assert.equal([mean, min, identical], [null, null, 9])
      assert.equal(perSample, Array(9).fill(null))
    },
    ssim: ({ mean }) => near(mean!, 1, 1e-12),
    lpips: ({ mean, max }) => assert.equal([mean, max], [0, 0]),
    fid: ({ mean }) => near(mean!, 0, 1e-10),
    'fid-clean': ({ mean }) => near(mean!, 0, 1e-10),
    kid: ({ mean }) => assert.ok(mean! < 0.01),
    'clip-score': ({ mean, baseline: before }) => assert.is(mean, before),
  }
  for (const name of WITH_FIXTURE) best[name](await valueOf(name, pictures, [baseline, baseline]))
})

test('samples are clipped like the pictures they become', async () => {
  const beyond = accelerated.map((sample) => sample.map((value) => (value > 0.9 ? value + 5 : value)))
  const clipped = beyond.map((sample) => sample.map((value) => Math.min(1, value)))
  for (const name of WITH_FIXTURE)
    assert.is(
      (await valueOf(name, pictures, [baseline, beyond])).mean,
      (await valueOf(name, pictures, [baseline, clipped])).mean,
      name,
    )
})

test('sounds are clipped like the files they become', async () => {
  const loud = Float32Array.from(hashed(5000, 3), (x, k) => (k === 7 ? Infinity : 3 * x))
  const clipped = loud.map((value) => Math.min(1, Math.max(-1, value)))
  const other = [Float32Array.from(hashed(5000, 4))]
  for (const name of ['psnr', 'spectrogram-lpips'] as const)
    for (const swap of [false, true]) {
      const mean = async (sound: Float32Array): Promise<number | null> =>
        (await valueOf(name, sounds, swap ? [other, [sound]] : [[sound], other])).mean
      assert.is(await mean(loud), await mean(clipped), name)
    }
})

test('what is missing is said by a code and in words', async () => {
  const without = { ...pictures, networks: new MetricNetworks() }
  for (const name of OF_NETWORKS) assert.is(await refusalOf(name, without), 'no-weights', name)
  assert.is(await refusalOf('clip-score-torchmetrics', pictures), 'no-weights')
  const published = new MetricNetworks({ folder: NETWORKS })
  assert.is(await refusalOf('lpips', { ...pictures, networks: published }), 'unpublished-weights')
  assert.is(await refusalOf('clip-score', { ...pictures, captions: undefined }), 'no-captions')
  assert.is(await refusalOf('fid', { ...pictures, captions: undefined }, baseline.slice(0, 7)), 'too-few')
  assert.is(await refusalOf('ssim', sounds), 'wrong-kind')
  assert.is(await refusalOf('spectrogram-lpips', pictures), 'wrong-kind')
  const small: MetricContext = { form: { kind: 'pictures', shape: [3, 10, 40] }, networks }
  for (const name of ['ssim', 'lpips'] as const) assert.is(await refusalOf(name, small, [new Float32Array(1200)]), 'too-small')
})

test('sounds: PSNR and spectrogram LPIPS; another rate, a short one and silence are said', async () => {
  const noise = hashed(5000, 1)
  const tone = (hertz: number): Float32Array =>
    Float32Array.from(noise, (x, k) => 0.5 * Math.sin((2 * Math.PI * hertz * k) / 16_000) + x / 100)
  const [a, b] = [[tone(440)], [tone(450)]]
  assert.ok((await valueOf('psnr', sounds, [a, b])).mean! < 15) // unrelated tones of this size: 12 dB
  const value = await valueOf('spectrogram-lpips', sounds, [a, b])
  assert.ok(value.mean! > 0)
  assert.is(value.settings.mels, 64)
  assert.is(await refusalOf('spectrogram-lpips', { ...sounds, form: { kind: 'sounds', sampleRate: 44_100 } }, a), 'wrong-kind')
  assert.is(await refusalOf('spectrogram-lpips', sounds, [a[0].subarray(0, 4799)]), 'too-small')
  assert.is(await refusalOf('spectrogram-lpips', sounds, [a[0], new Float32Array(5000)]), 'silent')
})

test('a memory of features is asked once per set and way of resizing', async () => {
  const inception = new InceptionMemory()
  const context = { ...pictures, inception }
  const fresh = await valueOf('fid-clean', { ...pictures, inception: undefined })
  assert.equal(await valueOf('fid-clean', context), fresh)
  // From here on the network is not needed: the sets are known.
  const run = () => Promise.reject(new Error('it ran'))
  const open = async (name: NetworkName) => ({ ...(await networks.open(name)), run })
  const broken = { ...context, networks: { open } as unknown as MetricNetworks }
  assert.equal(await valueOf('fid-clean', broken), fresh)
  assert.ok((await valueOf('kid', broken)).std! > 0)
  assert.is(await valueOf('fid', broken).catch(({ message }: Error) => message), 'it ran')
  // A KID is itself so long that it hears the signal.
  const signal = AbortSignal.abort()
  assert.is(await valueOf('kid', { ...broken, signal }).catch((reason: unknown) => reason), signal.reason)
})

test('an aborted evaluation throws the reason', async () => {
  const signal = AbortSignal.abort(new Error('enough'))
  for (const name of WITH_FIXTURE.filter((each) => OF_NETWORKS.includes(each))) {
    const message = await valueOf(name, { ...pictures, inception: undefined, signal }).then(
      () => 'resolved',
      (error: Error) => error.message,
    )
    assert.is(message, 'enough', name)
  }
})

test('what is no pair of sets is named', async () => {
  const message = async (a: Float32Array[], b: Float32Array[], context = pictures): Promise<string> =>
    METRICS.psnr.evaluate(a, b, context).then(
      () => 'resolved',
      (error: Error) => error.message,
    )
  const bare = { ...pictures, captions: undefined }
  assert.match(await message([], [], bare), /"baseline" to be at least one sample/)
  assert.match(await message(baseline, accelerated.slice(1), bare), /"accelerated" to be 9 samples/)
  assert.match(
    await message(baseline, [...accelerated.slice(1), new Float32Array(2)], bare),
    /"accelerated\[8\]" to be 3960 values/,
  )
  assert.match(await message(baseline, accelerated, { ...pictures, captions: ['one'] }), /"context.captions" to be 9/)
  const bytes = baseline.map((sample) => new Uint8Array(sample.length))
  assert.match(await message(baseline, bytes as never), /"accelerated\[0\]" to be values in \[−1, 1\], received a Uint8Array/)
  assert.match(await message(baseline, accelerated, null as never), /"context" to be \{ form, networks \}/)
  const images = { ...pictures, form: { kind: 'images', shape: [3, 8, 8] } as never }
  assert.match(
    await message(baseline, accelerated, images),
    /"context.form.kind" to be "pictures" or "sounds", received "images"/,
  )
  assert.match(await message(undefined as never, accelerated), /"baseline" to be an array of Float32Array, received undefined/)
  assert.match(await message(baseline, null as never), /"accelerated" to be an array of Float32Array, received null/)
  assert.match(await message(baseline, accelerated, { ...pictures, form: null as never }), /"context" to be \{ form, networks \}/)
  for (const shape of [undefined, [3, height], [3, height, 0.5]])
    assert.match(
      await message(baseline, accelerated, { ...pictures, form: { kind: 'pictures', shape } as never }),
      /"context.form.shape" to be \[channels, height, width\]/,
    )
  const lists = baseline.map((sample) => [...sample])
  assert.match(await message(lists as never, accelerated), /"baseline\[0\]" to be a Float32Array, received an array/)
  for (const wrong of [null, 'a caption'])
    assert.match(await message(baseline, accelerated, { ...pictures, captions: wrong as never }), /"context.captions" to be 9/)
  const untold = captions.map((caption, k) => (k === 4 ? undefined : caption)) as string[]
  assert.match(await message(baseline, accelerated, { ...pictures, captions: untold }), /"context.captions\[4\]" to be a text/)
  const alone = { form, captions } as never
  assert.is(await message(baseline, accelerated, alone), 'resolved')
  const error = await valueOf('lpips', alone).then(String, (reason: SadaError) => [reason.code, reason.argument])
  assert.equal(error, ['INVALID_ARGUMENT', 'context.networks'])
})

test('a sample with a value that is no number is named, and does not pass for an equal one', async () => {
  const broken = accelerated.map((sample, k) => (k === 3 ? sample.map((value, p) => (p === 7 ? NaN : value)) : sample))
  for (const name of WITH_FIXTURE) {
    const message = await valueOf(name, pictures, [baseline, broken]).then(JSON.stringify, (error: Error) => error.message)
    assert.match(message, /"accelerated\[3\]\[7\]" to be a number, received NaN/, name)
  }
})

test('PSNR and SSIM of what is no pair are refused with a code', () => {
  const [a, shape] = [baseline[0], [3, height, width] as const]
  for (const [argument, evaluate] of [
    ['a', () => psnr([], [])],
    ['b', () => psnr(a, a.subarray(1))],
    ['b', () => ssim(a, a.subarray(1), shape)],
    ['shape', () => ssim(a, a, [3, 10, 132])],
  ] as const) {
    try {
      evaluate()
      assert.unreachable()
    } catch (error) {
      assert.equal([(error as SadaError).code, (error as SadaError).argument], ['INVALID_ARGUMENT', argument])
    }
  }
})

test.after(() => networks.dispose())

test.run()
