import { substitute, type Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'

/** Names of one kind for every step; made once, because building strings at every step would cost as much as the algebra. */
function names(kind: string): (step: number) => string {
  const made: string[] = []
  return (step) => (made[step] ??= `${kind}[${step}]`)
}

/** Name of the stored clean-sample estimate of a step. */
export const x0At = names('x0')
/** Name of the stored velocity of a step. */
export const velocityAt = names('y')

/** Rows that keep a computed step's estimate and velocity under the names above. */
export function remember(step: number): Record<string, Row> {
  return { [x0At(step)]: { x0: 1 }, [velocityAt(step)]: { y: 1 } }
}

/** The state at a remembered step. */
export function stateAt(solver: Solver, step: number): Row {
  return overRemembered(solver.state(step), step)
}

/** The noise estimate of a remembered step. */
export function noiseAt(solver: Solver, step: number): Row {
  return overRemembered(solver.noise(step), step)
}

function overRemembered(row: Row, step: number): Row {
  return substitute(row, { x0: { [x0At(step)]: 1 }, y: { [velocityAt(step)]: 1 } })
}
