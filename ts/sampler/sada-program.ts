import type { SadaOptions } from '../policy/sada.ts'
import { usualError } from '../policy/usual-error.ts'
import { noiseShare } from '../schedule/noise-level.ts'
import type { Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'

/** The names of native/math/named_row.h, in its order; those remembered of a computed step stand for `x0[i]` and `y[i]`. */
export const NAMES = [
  'x',
  'estimate',
  'x0',
  'x0Prev',
  'y',
  'next',
  'output',
  'cond',
  'uncond',
  'x0Newest',
  'x0Older',
  'yNewest',
  'yOlder',
] as const

/** The options that the decisions on the device go by. */
export type SadaNumbers = Omit<SadaOptions, 'prune' | 'maxKept' | 'pruneWindow' | 'fullAbove' | 'maxPruned' | 'seed'>

/** What the network is given at a step: the state times `scale`, at this level. */
export interface DeviceInput {
  readonly scale: number
  readonly level: number
}

/**
 * A run's schedule and policy as numbers, for decisions on the device; `native/sada_program.h` reads them in this order.
 *
 *   program := tolerance unstable slope memory damping warmup tail maxConsecutive · output:row · steps · (level)×(steps + 1)
 *   level   := σ/(α+σ) usualError time signal · denoised:row update:row velocity:row · scale level       of the last one rows are empty
 *   row     := terms (name weight)*
 */
export function encodeSadaProgram(
  options: SadaNumbers,
  solver: Solver,
  output: Row,
  input: (step: number) => DeviceInput,
): Float64Array {
  const { steps, levels, times } = solver.schedule
  const { tolerance, unstable, slope, memory, damping, warmup, tail, maxConsecutive } = options
  const level = (step: number): number[] => {
    const at = [noiseShare(levels[step]), usualError(noiseShare(levels[step])), times[step]]
    if (step === steps) return [...at, 0, 0, 0, 0, 0, 0]
    const { scale, level: inputLevel } = input(step)
    const rows = [solver.denoised(step), solver.update(step), solver.velocity(step)]
    return [...at, solver.signal(step), ...rows.flatMap(encodeRow), scale, inputLevel]
  }
  return Float64Array.from([
    ...[tolerance, unstable, slope, memory, damping, warmup, tail, maxConsecutive],
    ...encodeRow(output),
    steps,
    ...Array.from({ length: steps + 1 }, (_, step) => level(step)).flat(),
  ])
}

function encodeRow(row: Row): number[] {
  const names = Object.keys(row)
  return [names.length, ...names.flatMap((name) => [(NAMES as readonly string[]).indexOf(name), row[name]])]
}
