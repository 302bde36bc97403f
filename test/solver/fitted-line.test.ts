import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fittedLineWeights } from '../../ts/solver/fitted-line.ts'
import { lagrangeWeights } from '../../ts/solver/lagrange.ts'

const levels = [0.3, 0.42, 0.5, 0.77]
const at = (weights: readonly number[], values: readonly number[]): number =>
  weights.reduce((sum, weight, k) => sum + weight * values[k], 0)

test('a line is continued exactly, its slope by the share', () => {
  const line = levels.map((s) => 2 - 3 * s)
  const mean = levels.reduce((sum, s) => sum + s, 0) / levels.length
  for (const share of [0, 0.4, 1]) {
    const expected = 2 - 3 * mean - 3 * share * (0.1 - mean)
    assert.ok(Math.abs(at(fittedLineWeights(levels, 0.1, share), line) - expected) < 1e-12)
  }
})

test('through two nodes it is the line between them', () => {
  const [a, b] = [fittedLineWeights([0.5, 0.8], 0.3, 1), lagrangeWeights([0.5, 0.8], 0.3)]
  a.forEach((weight, k) => assert.ok(Math.abs(weight - b[k]) < 1e-12))
})

test('what is the same at every node stays the same; no fit follows one node as far as the line through the newest two', () => {
  const weights = fittedLineWeights(levels, 0.1, 1)
  assert.ok(Math.abs(at(weights, [1, 1, 1, 1]) - 1) < 1e-12)
  const largest = (all: readonly number[]): number => Math.max(...all.map(Math.abs))
  assert.ok(largest(weights) < largest(lagrangeWeights(levels.slice(0, 2), 0.1)))
})

test('one node, or nodes at one level, give their mean', () => {
  assert.equal(fittedLineWeights([0.4], 0.1, 1), [1])
  assert.equal(fittedLineWeights([0.4, 0.4], 0.1, 1), [0.5, 0.5])
})

test.run()
