/** A level of noise: x = α·x0 + σ·n. Variance preserving: α² + σ² = 1. Flow matching: α + σ = 1. */
export interface NoiseLevel {
  readonly alpha: number
  readonly sigma: number
}

/** (α, σ) of S = σ/α where α² + σ² = 1. */
export function vpLevel(ratio: number): NoiseLevel {
  const alpha = 1 / Math.sqrt(ratio * ratio + 1)
  return { alpha, sigma: ratio * alpha }
}

/** (α, σ) where α + σ = 1. */
export function flowLevel(sigma: number): NoiseLevel {
  return { alpha: 1 - sigma, sigma }
}

/** σ/(α+σ) ∈ [0, 1]: one measure of noise for every solver, in which trajectories are smoothest (flow matching's own σ). */
export function noiseShare({ alpha, sigma }: NoiseLevel): number {
  return sigma / (alpha + sigma)
}

/** How much of x0 a step mixes into the state, of the noise shares that it goes between. */
export function mixedShare(now: number, next: number): number {
  return 1 - next / now
}
