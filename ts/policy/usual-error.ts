/**
 * How errors usually change along a run: ln(error per step of gap / mean |x0|) is about Σ weight·level^k in the level σ/(α+σ). Fitted by
 * `bench/calibrate-auto.ts` on the bundled model, 16 pictures for each scheduler; a member's own measurements set the height, this the shape.
 */
const USUAL_ERROR = [-4.373, -10.06, 21.79, -9.81]

/** Error of a prediction per step of its gap, relative to the clean sample's magnitude, at a level σ/(α+σ). */
export function usualError(level: number): number {
  return Math.exp(USUAL_ERROR.reduce((sum, weight, k) => sum + weight * level ** k, 0))
}
