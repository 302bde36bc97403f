import { invalidSchedule } from './fields.ts'
import { linspace32 } from './grid.ts'
import type { TrainingConfig } from './config.ts'

/** The noise schedule that a network was trained on, one entry for each of its `numTrainTimesteps` timesteps. */
export interface TrainingTable {
  /** β_n, float32 as diffusers holds them. */
  readonly betas: Float32Array
  /** ᾱ_n = Π(1 − β), float32; the last one is 2⁻²⁴ under zero-SNR rescaling. */
  readonly alphasCumprod: Float32Array
  /** S_n = σ/α = √((1−ᾱ)/ᾱ), float32, increasing; the last one may fall short of its neighbour under zero-SNR rescaling. */
  readonly sigmas: Float32Array
  /** ln S_n, float32. */
  readonly logSigmas: Float32Array
}

/**
 * Betas, ᾱ and levels in the precision of diffusers: every entry is a float32 and products accumulate in float64, as
 * torch.cumprod does. Exact arithmetic would differ by up to 3e-4 in the lowest levels, where 1 − ᾱ cancels.
 */
export function trainingTable(config: TrainingConfig): TrainingTable {
  const plain = trainedOrScheduledBetas(config)
  const betas = config.rescaleBetasZeroSnr ? rescaledToZeroSnr(plain) : plain
  const alphasCumprod = cumulativeAlphas(betas)
  // Close to 0 but not 0, so that the first level stays finite: float16's smallest number, as in diffusers.
  if (config.rescaleBetasZeroSnr) alphasCumprod[alphasCumprod.length - 1] = 2 ** -24
  const sigmas = alphasCumprod.map((bar) => Math.sqrt(Math.fround(Math.fround(1 - bar) / bar)))
  if (!sigmas.every((sigma) => Number.isFinite(sigma) && sigma > 0)) {
    throw invalidSchedule(
      'The betas of this scheduler configuration do not give finite noise levels above 0 ' +
        `(beta_schedule "${config.betaSchedule}", ${betas.length} training timesteps).`,
      'beta_schedule',
    )
  }
  return { betas, alphasCumprod, sigmas, logSigmas: sigmas.map(Math.log) }
}

function trainedOrScheduledBetas(config: TrainingConfig): Float32Array {
  const { trainedBetas, betaStart, betaEnd, betaSchedule, numTrainTimesteps } = config
  if (trainedBetas) return Float32Array.from(trainedBetas)
  switch (betaSchedule) {
    case 'linear':
      return linspace32(betaStart, betaEnd, numTrainTimesteps)
    case 'scaled_linear':
      return linspace32(betaStart ** 0.5, betaEnd ** 0.5, numTrainTimesteps).map((root) => root * root)
    case 'squaredcos_cap_v2':
      return cosineBetas(numTrainTimesteps)
  }
}

/** Nichol and Dhariwal's cosine schedule, β capped at 0.999 ("squaredcos_cap_v2"). */
function cosineBetas(count: number): Float32Array {
  const bar = (t: number): number => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2
  return Float32Array.from({ length: count }, (_, n) => Math.min(1 - bar((n + 1) / count) / bar(n / count), 0.999))
}

function cumulativeAlphas(betas: Float32Array): Float32Array {
  let product = 1
  return betas.map((beta) => (product *= Math.fround(1 - beta)))
}

/** Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1, in float32. */
function rescaledToZeroSnr(betas: Float32Array): Float32Array {
  const roots = cumulativeAlphas(betas).map(Math.sqrt)
  const [first, last] = [roots[0], roots[roots.length - 1]]
  const stretch = Math.fround(first / Math.fround(first - last))
  const bars = roots.map((root) => Math.fround(Math.fround(root - last) * stretch) ** 2)
  return bars.map((bar, n) => 1 - (n === 0 ? bar : Math.fround(bar / bars[n - 1])))
}

/**
 * The fractional training timestep of a level, linear in ln S and clamped to the table (diffusers' `_sigma_to_t`).
 * `logSigma` carries the caller's precision: ln of a float64, or a float32.
 */
export function timestepOf(logSigma: number, { logSigmas }: TrainingTable): number {
  const last = logSigmas.length - 1
  let nearest = last
  while (nearest > 0 && logSigmas[nearest] > logSigma) nearest--
  const low = Math.min(nearest, last - 1)
  const gap = Math.fround(logSigmas[low] - logSigmas[low + 1])
  const weight = gap === 0 ? 0 : (logSigmas[low] - logSigma) / gap
  const clamped = Math.min(1, Math.max(0, weight))
  return (1 - clamped) * low + clamped * (low + 1)
}
