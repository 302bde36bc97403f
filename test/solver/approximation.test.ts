import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { curvatureWeights, extrapolationWeights } from '../../ts/solver/extrapolate.ts'
import { boundedLagrange, lagrangeWeights } from '../../ts/solver/lagrange.ts'

// The trajectory x(t) = exp(−2t), known exactly; no derivative of it vanishes.
const x = (t: number): number => Math.exp(-2 * t)
const y = (t: number): number => -2 * Math.exp(-2 * t)

/** log2 of how much the error falls when the step is halved. */
function observedOrder(error: (h: number) => number): number {
  const [coarse, fine] = [error(1 / 128), error(1 / 256)]
  return Math.log2(Math.abs(coarse) / Math.abs(fine))
}

test("on equal gaps the weights are the method's 5/6, 5/6, −2/3 and 1, −2, 1", () => {
  for (const h of [1e-3, 0.02, 1, 17]) {
    extrapolationWeights(h, h, h).forEach((w, k) => assert.ok(Math.abs(w - [5 / 6, 5 / 6, -2 / 3][k]) < 1e-15))
    assert.equal(curvatureWeights(h, h), [1, -2, 1])
  }
})

test('two velocities at the same time say nothing of a slope: x̂ and Δ²y are those of a slope of 0', () => {
  assert.equal(curvatureWeights(0.1, 0), [1, -1, 0])
  assert.equal(extrapolationWeights(0.1, 0.2, 0), [5 / 6, 1 / 6, 0])
})

for (const [name, gaps] of [
  ['equal', [1, 1]],
  ['shrinking', [1.7, 2.3]],
  ['growing', [0.6, 0.4]],
] as const) {
  test(`x̂ has a local error of order 3 on ${name} gaps: the poster's bounded error`, () => {
    const error = (h: number): number => {
      const [h1, h2] = gaps.map((gap) => gap * h)
      const t = 0.5 // time runs down: older velocities lie at larger t
      const w = extrapolationWeights(h, h1, h2)
      return x(t) - h * (w[0] * y(t) + w[1] * y(t + h1) + w[2] * y(t + h1 + h2)) - x(t - h)
    }
    assert.ok(Math.abs(observedOrder(error) - 3) < 0.1, String(observedOrder(error)))
  })

  test(`Δ²y vanishes on straight velocities and is of order 2 on ${name} gaps`, () => {
    const curvature = (f: (t: number) => number, h: number): number => {
      const [h1, h2] = gaps.map((gap) => gap * h)
      const w = curvatureWeights(h1, h2)
      return w[0] * f(0.5) + w[1] * f(0.5 + h1) + w[2] * f(0.5 + h1 + h2)
    }
    assert.ok(Math.abs(curvature((t) => 3 - 5 * t, 1 / 64)) < 1e-14)
    assert.ok(Math.abs(observedOrder((h) => curvature(y, h)) - 2) < 0.1)
  })
}

for (const nodes of [1, 2, 3, 4]) {
  test(`Lagrange over ${nodes} nodes: exact on degree ${nodes - 1}, error of order ${nodes}`, () => {
    const times = (h: number): number[] => [0, 1, 2, 3].slice(0, nodes).map((k) => 0.5 + k * h * 1.3)
    const at = (f: (t: number) => number, h: number): number =>
      lagrangeWeights(times(h), 0.5 - h).reduce((sum, w, k) => sum + w * f(times(h)[k]), 0)
    const polynomial = (t: number): number => [4, -3, 2, 1].slice(0, nodes).reduce((sum, c, k) => sum + c * t ** k, 0)
    assert.ok(Math.abs(at(polynomial, 0.1) - polynomial(0.4)) < 1e-12)
    assert.ok(Math.abs(observedOrder((h) => at(x, h) - x(0.5 - h)) - nodes) < 0.15)
  })
}

test('Lagrange at a node is that node', () => {
  assert.equal(lagrangeWeights([0.2, 0.5, 0.9], 0.5), [0, 1, 0])
})

test("the order drops until the nodes' errors are amplified at most ten times", () => {
  // Four adjacent nodes used three steps ahead: Σ|w| = 111; spaced as far as they are used: 31 … algorithm notes, §4b.
  const amplification = (weights: readonly number[]): number => weights.reduce((sum, w) => sum + Math.abs(w), 0)
  assert.is(Math.round(amplification(lagrangeWeights([3, 2, 1, 0], 6))), 111)
  const bounded = boundedLagrange([3, 2, 1, 0], 6, 10)
  assert.is(bounded.length, 2)
  assert.ok(amplification(bounded) <= 10)
  assert.is(boundedLagrange([12, 8, 4, 0], 15, 10).length, 4)
})

test('equal and nearly equal nodes drop the order, and the weights stay finite', () => {
  for (const bound of [10, Infinity]) assert.equal(boundedLagrange([1, 1, 2], 0.5, bound), [1])
  assert.equal(boundedLagrange([1, 1 + 1e-12, 2], 0.5, 10), [1])
  assert.is(boundedLagrange([1, 2, 2], 0.5, 10).length, 2)
})

test.run()
