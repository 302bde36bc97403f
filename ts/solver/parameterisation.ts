import type { PredictionType } from '../schedule/config.ts'
import type { Frame, NoiseLevel } from '../schedule/schedule.ts'
import { plus, times, type Row } from './row.ts'

/** Factor that makes α·x0 + σ·n, which the network is given, out of the solver's state. */
export function inputScale({ alpha }: NoiseLevel, frame: Frame): number {
  return frame === 'scaled' ? alpha : 1
}

/**
 * The clean sample as a row over `x` (the solver's state) and `output` (the network's, after guidance).
 * With s = α·x0 + σ·n: ε: (s − σε)/α; v = αε − σx0: (αs − σv)/(α² + σ²); flow u = n − x0: (s − σu)/(α + σ).
 * The denominators are 1 in the frame that a prediction belongs to; a prediction may be used in another one.
 */
export function denoised(prediction: PredictionType, level: NoiseLevel, frame: Frame): Row {
  const { alpha, sigma } = level
  const sample: Row = { x: inputScale(level, frame) }
  switch (prediction) {
    case 'sample':
      return { output: 1 }
    case 'epsilon':
      return frame === 'scaled' ? { x: 1, output: -sigma / alpha } : scaledDown(sample, sigma, alpha)
    case 'v_prediction':
      return scaledDown(times(alpha, sample), sigma, alpha * alpha + sigma * sigma)
    case 'flow_prediction':
      return scaledDown(sample, sigma, alpha + sigma)
  }
}

/** (sample − weight·output) / divisor */
function scaledDown(sample: Row, weight: number, divisor: number): Row {
  return plus(times(1 / divisor, sample), { output: -weight / divisor })
}

/** The noise n of the solver's state as a row over `x` and `x0`: (s − α·x0)/σ. */
export function noiseOf(level: NoiseLevel, frame: Frame): Row {
  const { alpha, sigma } = level
  return { x: inputScale(level, frame) / sigma, x0: -alpha / sigma }
}

/** The solver's state as a row over `x0` and `n`: α·x0 + σ·n, or x0 + (σ/α)·n in the scaled frame. */
export function stateOf({ alpha, sigma }: NoiseLevel, frame: Frame): Row {
  return frame === 'scaled' ? { x0: 1, n: sigma / alpha } : { x0: alpha, n: sigma }
}
