import { invalidArgument, unknownOption } from '../errors.ts'
import type { RunContext } from './policy.ts'

/** One number (or pair of numbers) that a policy can be told, with its default and range. */
export interface OptionSpec<V = number | readonly [number, number] | boolean> {
  readonly about: string
  /** A value, or what it follows from (number of steps, solver). */
  readonly default: V | ((context: RunContext) => V)
  /** What the default is, in words, where it is computed. */
  readonly defaultText?: string
  readonly min: number
  readonly max: number
  readonly integer?: boolean
  /** A value outside the range, or at its end and no part of it, that stands for nothing asked; the default. */
  readonly off?: number
  /** Of a number of remembered steps: how few a memory budget may make of it. */
  readonly fewest?: number
  /** A list of 1 to 1000 such numbers. */
  readonly list?: boolean
}

export type OptionTable<O> = { readonly [K in keyof O]: OptionSpec<O[K]> }

/** Checks given options against the table: unknown names and values out of range are errors that say so. `within`: where the caller wrote them. */
export function checkOptions<O>(
  policy: string,
  table: OptionTable<O>,
  given: Readonly<Record<string, unknown>>,
  within = 'policy',
): void {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(table, name)) {
      throw unknownOption(`Policy "${policy}"`, name, Object.keys(table), `${within}.${name}`)
    }
    const spec = table[name as keyof O] as OptionSpec
    if (spec.off === undefined || value !== spec.off) checkOption(`${within}.${name}`, spec, value)
  }
}

/** Throws INVALID_ARGUMENT for a value out of range. */
export function checkOption(argument: string, spec: OptionSpec, value: unknown): void {
  const { min, max, integer, off } = spec
  const example = typeof spec.default === 'function' ? undefined : spec.default
  const range = max === Infinity ? `at least ${min}` : min === off ? `above ${min}, at most ${max}` : `from ${min} to ${max}`
  if (spec.list) {
    const fits = Array.isArray(value) && value.length >= 1 && value.length <= 1000 && value.every((v) => fitsRange(v, spec))
    if (!fits) throw invalidArgument(argument, `a list of 1 to 1000 numbers ${range}`, value)
  } else if (typeof example === 'boolean') {
    if (typeof value !== 'boolean') throw invalidArgument(argument, 'true or false', value)
  } else if (Array.isArray(example)) {
    const fits = Array.isArray(value) && value.length === 2 && value.every((v) => fitsRange(v, spec))
    if (!fits) throw invalidArgument(argument, `a pair of integers ${range}`, value)
  } else if (!fitsRange(value, spec)) {
    throw invalidArgument(argument, `${integer ? 'an integer' : 'a number'} ${range}`, value)
  }
}

function fitsRange(value: unknown, { min, max, integer, off }: OptionSpec): boolean {
  return typeof value === 'number' && value !== off && value >= min && value <= max && (!integer || Number.isInteger(value))
}

/** The options in force for a run: what was given, and the defaults for the rest. */
export function resolveOptions<O>(table: OptionTable<O>, given: Readonly<Record<string, unknown>>, context: RunContext): O {
  const resolved: Record<string, unknown> = {}
  for (const name in table) {
    const preset = table[name].default
    resolved[name] =
      given[name] ?? (typeof preset === 'function' ? (preset as (context: RunContext) => unknown)(context) : preset)
  }
  return resolved as O
}
