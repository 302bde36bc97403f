import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Autoencoder, LatentDistribution } from '../../ts/families/autoencoder.ts'
import { Folder } from '../../ts/families/folder.ts'
import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import { TorchGenerator } from '../../ts/noise.ts'
import { familyFolder } from '../support/families.ts'

// What diffusers' autoencoders make of pictures and latents is in recorded.test.ts.

test('latents are drawn with the deviation that the logarithm of a variance says, from e⁻¹⁵ to e¹⁰ as in diffusers', () => {
  const logVariance = Float32Array.of(0, 2, -2, -30, -90, 20, 90, -Infinity)
  const deviations = [1, Math.E, 1 / Math.E, Math.exp(-15), Math.exp(-15), Math.exp(10), Math.exp(10), Math.exp(-15)]
  const noise = new TorchGenerator(3).randn(8)
  const drawn = new LatentDistribution(new Float32Array(8), logVariance, 2, 0).draw(new TorchGenerator(3))
  drawn.forEach((value, k) => assert.is(value, Math.fround(2 * deviations[k] * noise[k]), `${logVariance[k]}`))
})

test('the shift is taken off before the scale is changed; without variances the mean is drawn, and no noise', () => {
  const generator = new TorchGenerator(3)
  const latents = new LatentDistribution(Float32Array.of(1, -0.5), undefined, 4, 0.25).draw(generator)
  assert.equal([...latents], [3, -3])
  assert.equal(generator.randn(2), new TorchGenerator(3).randn(2))
})

test('without a scaling factor latents are those of Stable Diffusion 1 and 2, 0.18215 of what is decoded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-autoencoder-'))
  cpSync(join(__dirname, '../fixtures/layouts/diffusers-onnx'), folder, { recursive: true })
  const path = join(folder, 'vae_decoder/config.json')
  const own = JSON.parse(readFileSync(path, 'utf8')) as object
  writeFileSync(path, JSON.stringify({ ...own, scaling_factor: undefined }))
  const engine = new (loadAddon().Engine)({ library: findOnnxRuntime() })
  const autoencoder = await Autoencoder.load({ folder: await Folder.open(folder), engine, threads: 1 }, 3)
  // Of a latent its first three channels, each as 2 × 2 pixels.
  const picture = await autoencoder.decode(Float32Array.of(0.1, -0.2, 0.3, 9), [1, 1], new AbortController().signal)
  const levels = [0.1, -0.2, 0.3].map((value) => Math.fround(Math.fround(value) / 0.18215))
  assert.equal(
    [...picture],
    levels.flatMap((level) => [level, level, level, level]),
  )
  await engine.dispose()
  rmSync(folder, { recursive: true })
})

test('up to 2¹⁵ latents are worked on at once, where nothing else is asked', async () => {
  const engine = new (loadAddon().Engine)({ library: findOnnxRuntime() })
  let runs = 0
  const counting = new Proxy(engine, {
    get: (own, name) => {
      if (name === 'run') runs++
      const value: unknown = Reflect.get(own, name)
      return typeof value === 'function' ? (value.bind(own) as unknown) : value
    },
  })
  // A model of formulas, without the attention that would take 4 GiB.
  const folder = await Folder.open(join(__dirname, '../fixtures/layouts/diffusers-onnx'))
  const autoencoder = await Autoencoder.load({ folder, engine: counting, threads: 1 }, 3)
  const { signal } = new AbortController()
  for (const [width, count] of [
    [8192, 1],
    // Tiles of 512 pixels, of which a quarter overlaps: 192 latents further each time.
    [8193, Math.ceil(8193 / 192)],
  ]) {
    const [height, before] = [4, runs]
    await autoencoder.decode(new Float32Array(4 * height * width), [height, width], signal)
    assert.is(runs - before, count)
    await autoencoder.encode(new Float32Array(3 * 2 * height * 2 * width), [height, width], signal)
    assert.is(runs - before, 2 * count)
  }
  await engine.dispose()
})

test('where there are many latents, tiles have the size that the autoencoder was made for, in whole quarters', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sada-autoencoder-'))
  const engine = new (loadAddon().Engine)({ library: findOnnxRuntime() })
  try {
    cpSync(familyFolder('sd2'), folder, { recursive: true })
    const path = join(folder, 'vae_decoder/config.json')
    const own = JSON.parse(readFileSync(path, 'utf8')) as object
    const { signal } = new AbortController()
    // More than 2¹⁵ latents; a latent is 2 × 2 pixels, so that tiles are of 8, 16, 24 … pixels.
    const size = [4, 8193] as const
    const latents = new TorchGenerator(1).randn(4 * size[0] * size[1])
    for (const [sample_size, side] of [
      [32, 32],
      [47, 40],
      [7, 8],
      [undefined, 512],
    ]) {
      writeFileSync(path, JSON.stringify({ ...own, sample_size }))
      const autoencoder = await Autoencoder.load({ folder: await Folder.open(folder), engine, threads: 1 }, 3)
      const unasked = await autoencoder.decode(latents, size, signal)
      assert.equal(unasked, await autoencoder.decode(latents, size, signal, side), String(sample_size))
    }
  } finally {
    await engine.dispose()
    rmSync(folder, { recursive: true })
  }
})

test.run()
