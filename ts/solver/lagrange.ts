/** Weights w_a = Π_{b≠a} (t − t_b)/(t_a − t_b) of the polynomial through nodes at `times`, evaluated at `t` (SADA, approximation b). */
export function lagrangeWeights(times: readonly number[], t: number): number[] {
  return times.map((ta, a) => times.reduce((weight, tb, b) => (b === a ? weight : (weight * (t - tb)) / (ta - tb)), 1))
}

/**
 * Weights of the largest set of newest nodes for which they stay bounded: Σ|w| is the factor by which errors of the nodes are
 * amplified, so the order drops until it is at most `maxAmplification`. `times` newest first; at least one is returned.
 */
export function boundedLagrange(times: readonly number[], t: number, maxAmplification: number): readonly number[] {
  for (let count = times.length; count > 1; count--) {
    const weights = lagrangeWeights(times.slice(0, count), t)
    const amplification = weights.reduce((sum, w) => sum + Math.abs(w), 0)
    // Equal nodes give ±∞ or NaN: too much for any bound, also for none.
    if (amplification < Infinity && amplification <= maxAmplification) return weights
  }
  return [1]
}
