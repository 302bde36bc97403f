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
