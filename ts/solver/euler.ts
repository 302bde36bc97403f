import type { Row } from './row.ts'

/**
 * One Euler step of dx/dt = (x − x0)/t from time t = `now` to `next`: x + (next − now)·(x − x0)/now, as a row over `x` and `x0`.
 * It serves the scaled frame (X = x/α, t = σ/α; Karras et al. 2022, algorithm 1) and flow matching (t = σ) alike; at 0 it is x0.
 */
export function euler(now: number, next: number): Row {
  return { x: next / now, x0: (now - next) / now }
}
