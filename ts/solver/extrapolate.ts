/**
 * The state one step ahead from the last three velocities, and their curvature.
 * `h` is the step to take, `h1` and `h2` the gaps between the newest velocity and the two before it, all positive and in
 * the solver's own time. With h = h1 = h2 these are the method's 5/6, 5/6, −2/3 (SADA, approximation a) and 1, −2, 1.
 * Some grids repeat a time: h2 is 0 then, and velocities at the same time say nothing of a slope; it is taken as 0.
 */

/**
 * Weights (w0, w1, w2) of x̂ = x − h·(w0·y0 + w1·y1 + w2·y2). On unequal gaps w0 stays 5/6 and the other two follow from
 * what makes x̂ second-order: Σw = 1 and w1·h1 + w2·(h1 + h2) = −h/2. Local error O(h³).
 */
export function extrapolationWeights(h: number, h1: number, h2: number): readonly [number, number, number] {
  const w2 = h2 === 0 ? 0 : -(h / 2 + h1 / 6) / h2
  return [5 / 6, 1 / 6 - w2, w2]
}

/** Weights of Δ²y = y0 − (line through y1 and y2, at y0's time): proportional to the second derivative on any gaps. */
export function curvatureWeights(h1: number, h2: number): readonly [number, number, number] {
  const slope = h2 === 0 ? 0 : h1 / h2
  return [1, -(1 + slope), slope]
}
