import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { NoiseLevel } from '../../ts/schedule/schedule.ts'
import type { PredictionType } from '../../ts/schedule/config.ts'

/** Little-endian float32, base64. */
export function floats(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64')
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}

const recorded = JSON.parse(readFileSync(join(__dirname, '../fixtures/sada/gmm.json'), 'utf8')) as {
  means: string
  s: number
  K: number
}
const means = floats(recorded.means)
const DIMENSIONS = means.length / recorded.K

/** E[x0 | x] for a mixture of `components` isotropic Gaussians: the exact denoiser that the recorded traces were made with. */
export function denoise(x: Float64Array, { alpha, sigma }: NoiseLevel, components: number): Float64Array {
  const s2 = recorded.s ** 2
  const w = alpha ** 2 * s2 + sigma ** 2
  const distances = Array.from({ length: components }, (_, k) => {
    let sum = 0
    for (let d = 0; d < DIMENSIONS; d++) sum += (x[d] - alpha * means[k * DIMENSIONS + d]) ** 2
    return -sum / (2 * w)
  })
  const top = Math.max(...distances)
  const scores = distances.map((distance) => Math.exp(distance - top))
  const total = scores.reduce((a, b) => a + b)
  return x.map((value, d) =>
    scores.reduce((sum, score, k) => {
      const m = means[k * DIMENSIONS + d]
      return sum + (score / total) * (m + ((alpha * s2) / w) * (value - alpha * m))
    }, 0),
  )
}

export interface MixtureOptions {
  readonly prediction: PredictionType
  readonly guidance?: number
  readonly rough?: boolean
}

/** The recorded runs' network: one member's guided output, float32 in and out, float64 between. */
export function mixtureOutput(sample: Float32Array, level: NoiseLevel, timestep: number, options: MixtureOptions): Float32Array {
  const { guidance = 1, prediction, rough } = options
  const x = Float64Array.from(sample)
  const predict = (components: number): Float32Array => {
    const x0 = denoise(x, level, components)
    const { alpha, sigma } = level
    const output = x.map((value, d) => {
      const noise = (value - alpha * x0[d]) / sigma
      if (prediction === 'epsilon') return noise
      if (prediction === 'v_prediction') return alpha * noise - sigma * x0[d]
      return prediction === 'sample' ? x0[d] : noise - x0[d]
    })
    if (rough) for (let d = 0; d < x.length; d++) output[d] += 0.02 * Math.sin(37 * x[d] + (11 * timestep) / 1000)
    return Float32Array.from(output)
  }
  if (guidance === 1) return predict(recorded.K)
  const [cond, uncond] = [predict(3), predict(recorded.K)]
  return uncond.map((value, d) => value + Math.fround(guidance * Math.fround(cond[d] - value)))
}
