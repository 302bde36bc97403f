import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Preview } from '../../ts/cli/preview.ts'
import type { Autoencoder } from '../../ts/families/autoencoder.ts'
import { LatentPreview } from '../../ts/families/latent-preview.ts'
import { load, type GenerateOptions, type GenerateStep } from '../../ts/index.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { Picture } from '../../ts/pipeline/image.ts'
import { familyFolder, relativeError } from '../support/families.ts'

const { signal } = new AbortController()

/** An autoencoder that decodes each latent by itself: value (o, y, x) of its patch is a product of its channels with weights, and an offset. */
function linear(channels: number, outputs: number, scale: number) {
  const weights = new TorchGenerator(3).randn(outputs * scale * scale * (channels + 1))
  let decoded = 0
  const decode = (latents: Float32Array, [height, width]: readonly [number, number]): Promise<Float32Array> => {
    decoded++
    const row = width * scale
    const made = Float32Array.from({ length: outputs * height * scale * row }, (_, k) => {
      const [output, y, x] = [Math.floor(k / (height * scale * row)), Math.floor(k / row) % (height * scale), k % row]
      const place = Math.floor(y / scale) * width + Math.floor(x / scale)
      const at = ((output * scale + (y % scale)) * scale + (x % scale)) * (channels + 1)
      let value = weights[at + channels]
      for (let c = 0; c < channels; c++) value += weights[at + c] * latents[c * height * width + place]
      return value
    })
    return Promise.resolve(made)
  }
  return { autoencoder: { channels, outputs, scale, decode } as unknown as Autoencoder, decode, count: () => decoded }
}

test('the fit is that of least squares, damped by a ten-thousandth of the latents’ mean square but for what is added', async () => {
  // A pixel is 2·latent + 1. Of the latents 1 and −1 the sums are Σx² = 2, Σx = 0, Σxy = 4, Σy = 2, so that the weights are 4 / 2.0002 and 1.
  const decode = (latents: Float32Array): Promise<Float32Array> => Promise.resolve(latents.map((value) => 2 * value + 1))
  const preview = new LatentPreview({ channels: 1, outputs: 1, scale: 1, decode } as unknown as Autoencoder)
  const [drawn] = await preview.draw([Float32Array.of(1, -1)], [1, 2], signal)
  const weight = 4 / 2.0002
  assert.equal(drawn, Float32Array.of(1 + weight, 1 - weight))
  // Latents that say nothing give what is added.
  const dark = await new LatentPreview(linear(2, 1, 1).autoencoder).draw([new Float32Array(8)], [2, 2], signal)
  assert.ok(dark[0].every((value) => Number.isFinite(value) && Math.abs(value - dark[0][0]) < 1e-6))
})

test('every channel is damped by the same, whatever it has of the mean square itself', async () => {
  // A pixel is the sum of channels 1, −1, 1, −1 and 10, 10, −10, −10, whose mean square is 4·(1 + 100) / 2 = 202.
  const decode = (latents: Float32Array): Promise<Float32Array> =>
    Promise.resolve(Float32Array.from({ length: 4 }, (_, p) => latents[p] + latents[4 + p]))
  const preview = new LatentPreview({ channels: 2, outputs: 1, scale: 1, decode } as unknown as Autoencoder)
  const [drawn] = await preview.draw([Float32Array.of(1, -1, 1, -1, 10, 10, -10, -10)], [2, 2], signal)
  const [weak, strong] = [4 / 4.0202, 4000 / 400.0202]
  const expected = [weak + strong, strong - weak, weak - strong, -weak - strong]
  assert.ok(relativeError(drawn, expected) < 1e-6, drawn.join())
})

test('what is decoded for a fit ends with the run', async () => {
  const given: unknown[] = []
  const decode = (latents: Float32Array, _: unknown, until: unknown): Promise<Float32Array> => (
    given.push(until),
    Promise.resolve(latents)
  )
  const preview = new LatentPreview({ channels: 1, outputs: 1, scale: 1, decode } as unknown as Autoencoder)
  await preview.draw([Float32Array.of(1, -1)], [1, 2], signal)
  assert.is(given.length, 1)
  assert.is(given[0], signal)
})

test('no more than 16 × 16 latents are decoded for a fit', async () => {
  for (const [size, few] of [
    [
      [17, 40],
      [16, 16],
    ],
    [
      [16, 3],
      [16, 3],
    ],
  ]) {
    const sizes: (readonly number[])[] = []
    const decode = (latents: Float32Array, of: readonly number[]): Promise<Float32Array> => (
      sizes.push(of),
      Promise.resolve(latents)
    )
    const preview = new LatentPreview({ channels: 1, outputs: 1, scale: 1, decode } as unknown as Autoencoder)
    await preview.draw([new Float32Array(size[0] * size[1])], [size[0], size[1]], signal)
    assert.equal(sizes, [few])
  }
})

test('what is decoded of more latents is the average of those that fall on a place', async () => {
  let given: readonly number[] = []
  const decode = (latents: Float32Array): Promise<Float32Array> => ((given = [...latents]), Promise.resolve(latents))
  const preview = new LatentPreview({ channels: 1, outputs: 1, scale: 1, decode } as unknown as Autoencoder)
  await preview.draw([Float32Array.from({ length: 17 }, (_, k) => k)], [1, 17], signal)
  // Of 17 the first two fall on the first of 16.
  assert.equal(given, [0.5, ...Array.from({ length: 15 }, (_, k) => k + 2)])
})

/** Averages over so many rows and columns. */
function averages(values: Float32Array, width: number, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: values.length / rows / columns }, (_, k) => {
    const [line, column] = [Math.floor((k * columns) / width), k % (width / columns)]
    let sum = 0
    for (let p = 0; p < rows * columns; p++)
      sum += values[(line * rows + Math.floor(p / columns)) * width + column * columns + (p % columns)]
    return sum / rows / columns
  })
}

for (const [channels, outputs, scale, columns, size] of [
  [4, 3, 8, 1, [8, 12]],
  [16, 3, 8, 1, [40, 24]],
  [8, 1, 4, 4, [50, 4]],
  [4, 2, 6, 3, [8, 5]],
] as const) {
  test(`${channels} channels, ${size.join('×')}: where the decoder is linear, its own picture reduced`, async () => {
    const { autoencoder, decode } = linear(channels, outputs, scale)
    const latents = new TorchGenerator(5).randn(channels * size[0] * size[1])
    const [preview] = await new LatentPreview(autoencoder, columns).draw([latents], size, signal)
    const picture = averages(await decode(latents, size), size[1] * scale, scale, scale / columns)
    // The fit is damped by a ten-thousandth of the latents' mean square; averaged ones have less of it, 1 of 9 at 40 × 24.
    assert.ok(relativeError(preview, picture) < 2e-3, String(relativeError(preview, picture)))
  })
}

test('latents that do not vary, also such of 0, have the colour that the decoder gives them', async () => {
  const { autoencoder, decode } = linear(4, 3, 8)
  for (const value of [0, 0.5]) {
    const latents = new Float32Array(4 * 36).fill(value)
    const [preview] = await new LatentPreview(autoencoder).draw([latents], [6, 6], signal)
    assert.ok(relativeError(preview, averages(await decode(latents, [6, 6]), 48, 8, 8)) < 1e-4)
  }
})

test('fifty pictures decode six times', async () => {
  const { autoencoder, count } = linear(4, 3, 8)
  const drawing = new LatentPreview(autoencoder)
  const latents = new TorchGenerator(5).randn(4 * 64)
  for (let k = 0; k < 50; k++) await drawing.draw([latents, latents], [8, 8], signal)
  assert.is(count(), 6)
})

test('what is decoded is of one member after the other', async () => {
  const decoded: number[] = []
  const decode = (latents: Float32Array): Promise<Float32Array> => (decoded.push(latents[0]), Promise.resolve(latents))
  const drawing = new LatentPreview({ channels: 1, outputs: 1, scale: 1, decode } as unknown as Autoencoder)
  for (let k = 0; k < 16; k++) await drawing.draw([Float32Array.of(0), Float32Array.of(1), Float32Array.of(2)], [1, 1], signal)
  assert.equal(decoded, [0, 1, 2, 0, 1])
})

const MODELS: [folder: string, options: Partial<GenerateOptions>, size: [number, number]][] = [
  ['avatar', {}, [64, 64]],
  [familyFolder('sd2'), { width: 48, height: 32 }, [24, 16]],
  [familyFolder('sdxl'), { width: 48, height: 32 }, [24, 16]],
  [familyFolder('sd3'), { width: 48, height: 32, maxSequenceLength: 16 }, [24, 16]],
  [familyFolder('pixart'), { width: 48, height: 32, maxSequenceLength: 16 }, [24, 16]],
  [familyFolder('flux'), { width: 48, height: 32, maxSequenceLength: 16 }, [24, 16]],
  [familyFolder('musicldm'), { seconds: 0.03 }, [30, 16]],
]

for (const [folder, options, size] of MODELS) {
  test(`${folder.split('/').at(-1)}: previews at the steps asked for and the last, for each prompt; the result stays the same`, async () => {
    const pipeline = await load(folder, { threads: 1 })
    const call: GenerateOptions = { prompt: ['a cat', 'a dog'], seed: [1, 2], steps: 6, policy: 'every-n', ...options }
    const plain = await pipeline.generate({ ...call, onStep: ({ preview }: GenerateStep) => assert.is(preview, undefined) })
    const seen = new Map<number, readonly Picture[]>()
    let latents: Float32Array | undefined
    for await (const event of pipeline.stream({ ...call, preview: 4 })) {
      if (event.type === 'result') latents = event.latents
      else if (event.preview) seen.set(event.step, event.preview)
    }
    await pipeline.dispose()
    assert.equal([...seen.keys()], [0, 4, 5])
    for (const pictures of seen.values())
      assert.equal(
        pictures.map(({ width, height, data }) => [width, height, data.length]),
        [0, 1].map(() => [...size, size[0] * size[1] * 3]),
      )
    assert.ok(new Set(seen.get(5)![0].data).size > 10)
    assert.equal(latents, plain.latents)
  })
}

test('a model whose decoder is linear: the last preview is the picture made smaller', async () => {
  const pipeline = await load(join(__dirname, '../fixtures/layouts/diffusers-onnx'), { threads: 1 })
  let last: Picture | undefined
  const call = { prompt: 'a', width: 64, height: 32, steps: 4, policy: 'none', preview: 1 } as const
  const { images } = await pipeline.generate({ ...call, onStep: ({ preview }) => (last = preview![0]) })
  await pipeline.dispose()
  const [{ data, width }] = images
  last!.data.forEach((value, k) => {
    const [y, x, c] = [Math.floor(k / 96), Math.floor(k / 3) % 32, k % 3]
    assert.ok(Math.abs(value - data[(y * 2 * width + x * 2) * 3 + c]) <= 2, `${value} at ${k}`)
  })
})

test('previews are every 1 to 1000 steps', async () => {
  const pipeline = await load('avatar', { threads: 1 })
  for (const preview of [0, -1, 1.5, 1001, true as unknown as number])
    assert.match(String(await pipeline.generate({ prompt: 'a kid', preview }).catch((e: unknown) => e)), /"preview"/)
  await pipeline.dispose()
})

test('a terminal shows two pixels in each character, and draws over what it drew', () => {
  const written: string[] = []
  const stream = { columns: 5, rows: 24, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
  const drawing = new Preview(stream)
  const picture = new Picture(
    2,
    4,
    Uint8Array.from({ length: 24 }, (_, k) => k),
  )
  const event = { steps: 9, preview: [picture, picture] } as unknown as GenerateStep
  drawing.show({ ...event, step: 0 })
  drawing.show({ ...event, step: 1, preview: undefined })
  drawing.show({ ...event, step: 3 })
  assert.is(written.length, 2)
  const row = '\x1b[38;2;0;1;2;48;2;6;7;8m▀\x1b[38;2;3;4;5;48;2;9;10;11m▀\x1b[0m'
  assert.ok(written[0].startsWith(`\x1b[2K${row} ${row}\n`))
  assert.ok(written[0].endsWith('step 1 of 9\n'))
  assert.ok(written[1].startsWith('\x1b[3A'))
})

test.run()
