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
  for (const row of rows) add(sum, 1, row)
  return withoutZeros(sum)
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
  const sum: Record<string, number> = {}
  for (const name in row) {
    const definition = definitions[name]
    if (definition === undefined) sum[name] = (sum[name] ?? 0) + row[name]
    else add(sum, row[name], definition)
  }
  return withoutZeros(sum)
}

function add(sum: Record<string, number>, factor: number, row: Row): void {
  for (const name in row) sum[name] = (sum[name] ?? 0) + factor * row[name]
}

function withoutZeros(row: Record<string, number>): Row {
  for (const name in row) if (row[name] === 0) return Object.fromEntries(Object.entries(row).filter(([, weight]) => weight !== 0))
  return row
}
