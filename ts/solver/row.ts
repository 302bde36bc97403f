/**
 * A weighted sum of named full-size buffers: buffer name → float64 weight.
 *
 * Every full-tensor formula of this package (guidance, clean-sample estimate, velocity, solver update,
 * extrapolation, interpolation) is a `Row`; the arithmetic on the buffers themselves happens once, in `native/math`.
 */
export type Row = Readonly<Record<string, number>>

/** The sum of rows. Weights of the same buffer add up; exact zeros are kept out. */
export function plus(...rows: readonly Row[]): Row {
  const sum: Record<string, number> = {}
  for (const row of rows) {
    for (const name in row) sum[name] = (sum[name] ?? 0) + row[name]
  }
  for (const name in sum) if (sum[name] === 0) delete sum[name]
  return sum
}

/** `factor · row` */
export function times(factor: number, row: Row): Row {
  const product: Record<string, number> = {}
  if (factor !== 0) for (const name in row) product[name] = factor * row[name]
  return product
}

/** `a − b` */
export function minus(a: Row, b: Row): Row {
  return plus(a, times(-1, b))
}

/** `row` with each buffer that `definitions` names replaced by its definition. */
export function substitute(row: Row, definitions: Readonly<Record<string, Row>>): Row {
  return plus(...Object.entries(row).map(([name, weight]) => (name in definitions ? times(weight, definitions[name]) : { [name]: weight })))
}
