import { curvatureWeights, extrapolationWeights } from '../solver/extrapolate.ts'
import { minus, plus, substitute, times, type Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'
import { noiseAt, stateAt, velocityAt, x0At } from './history.ts'
import type { Mean } from './policy.ts'

/**
 * The stability criterion at a computed step (SADA): c = (x_{i+1} − x̂_{i+1})·Δ²y_i, with x̂ extrapolated from the velocities of
 * this step (`y`) and of the two computed steps before it, at their true gaps. Its mean is negative where the trajectory is stable.
 *
 * A stochastic solver's fresh noise moves the state, and with it the velocity, by more than the trajectory does. There the velocities before
 * are those that their clean samples imply at the present state, and x_{i+1} is the step without noise: what is left is how the clean sample bends.
 */
export function stabilityCriterion(solver: Solver, step: number, before: readonly [number, number]): Mean {
  const { times: t } = solver.schedule
  const [h, h1, h2] = [t[step] - t[step + 1], t[before[0]] - t[step], t[before[1]] - t[before[0]]]
  const then = (c: number): Row =>
    solver.isStochastic ? substitute(solver.velocity(step), { x0: { [x0At(c)]: 1 } }) : { [velocityAt(c)]: 1 }
  const next: Row = solver.isStochastic ? { x: 1, y: -h } : { next: 1 }
  const velocities = [{ y: 1 }, then(before[0]), then(before[1])]
  const weigh = (weights: readonly number[]): Row => plus(...velocities.map((row, k) => times(weights[k], row)))
  const predicted = plus({ x: 1 }, times(-h, weigh(extrapolationWeights(h, h1, h2))))
  return { a: minus(next, predicted), b: weigh(curvatureWeights(h1, h2)) }
}

/** The state x̂ at `step`, extrapolated from three remembered computed steps, newest first (SADA, approximation a). */
export function extrapolatedState(solver: Solver, step: number, computed: readonly [number, number, number]): Row {
  const { times: t } = solver.schedule
  const [c, c1, c2] = computed
  const h = t[c] - t[step]
  const weights = extrapolationWeights(h, t[c1] - t[c], t[c2] - t[c1])
  const moved = plus(...computed.map((i, k) => ({ [velocityAt(i)]: weights[k] })))
  return plus(stateAt(solver, c), times(-h, moved))
}

/** The clean sample at `step` from an extrapolated state and the noise (flow: velocity) of the newest computed step. */
export function denoisedFrom(solver: Solver, step: number, state: Row, newest: number): Row {
  const { solver: kind, levels } = solver.schedule
  const { alpha, sigma } = levels[step]
  if (kind === 'flow-euler') return plus(state, { [velocityAt(newest)]: -sigma })
  const noise = noiseAt(solver, newest)
  // Euler's state is x/α.
  return kind === 'euler' ? plus(state, times(-sigma / alpha, noise)) : times(1 / alpha, plus(state, times(-sigma, noise)))
}

/** Names that the functions above read for a remembered step. */
export const namesOf = (step: number): string[] => [x0At(step), velocityAt(step)]
