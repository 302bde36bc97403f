import { psnr } from '../metrics/psnr.ts'
import type { Fidelity } from './result.ts'
import { ssim, SSIM_SMALLEST } from '../metrics/ssim.ts'
import { least, mean } from './statistics.ts'

/** How close one picture is to the baseline's. */
export interface Closeness {
  /** dB; Infinity: identical. */
  readonly psnr: number
  readonly ssim: number
}

export type PictureShape = readonly [channels: number, height: number, width: number]

export function closeness(samples: readonly Float32Array[], baseline: readonly Float32Array[], shape: PictureShape): Closeness[] {
  // Pictures smaller than the window have no SSIM of their own; equality is then all that can be said.
  const measurable = Math.min(shape[1], shape[2]) >= SSIM_SMALLEST
  return samples.map((sample, k) => {
    const decibels = psnr(sample, baseline[k])
    return { psnr: decibels, ssim: measurable ? ssim(sample, baseline[k], shape) : Number(decibels === Infinity) }
  })
}

export function summarise(all: readonly Closeness[]): Fidelity {
  const finite = all.map(({ psnr }) => psnr).filter(Number.isFinite)
  const similar = all.map(({ ssim }) => ssim)
  return {
    psnr_db: finite.length > 0 ? { mean: mean(finite), min: least(finite) } : { mean: null, min: null },
    ssim: { mean: mean(similar), min: least(similar) },
    identical: all.length - finite.length,
  }
}

export const finiteOrNull = (decibels: number): number | null => (Number.isFinite(decibels) ? decibels : null)
