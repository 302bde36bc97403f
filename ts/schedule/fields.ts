import { SadaError, show } from '../errors.ts'

export const SCHEDULER_FILE = 'scheduler_config.json'

/** Of a scheduler's configuration that cannot be sampled; `field`: the one of its fields that is at fault. */
export const invalidSchedule = (message: string, field?: string): SadaError =>
  new SadaError('INVALID_SCHEDULE', message, { argument: field === undefined ? 'scheduler' : `scheduler.${field}` })

/** Reads typed values out of a parsed `scheduler_config.json`. A missing field and Python's None both mean the default. */
export class Fields {
  readonly values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values
  }

  has(name: string): boolean {
    return Object.hasOwn(this.values, name) && this.values[name] !== null && this.values[name] !== undefined
  }

  flag(name: string, missing = false): boolean {
    if (!this.has(name)) return missing
    const value = this.values[name]
    if (typeof value !== 'boolean') throw this.invalid(name, 'true or false')
    return value
  }

  /** A finite number accepted by `fits`. */
  number(
    name: string,
    missing: number,
    expected = 'a finite number',
    fits: (value: number) => boolean = Number.isFinite,
  ): number {
    if (!this.has(name)) return missing
    const value = this.values[name]
    if (typeof value !== 'number' || !fits(value)) throw this.invalid(name, expected)
    return value
  }

  optional(name: string, expected: string, fits: (value: number) => boolean): number | undefined {
    return this.has(name) ? this.number(name, NaN, expected, fits) : undefined
  }

  integer(name: string, missing: number, least: number, most: number): number {
    const fits = (value: number): boolean => Number.isInteger(value) && value >= least && value <= most
    return this.number(name, missing, `an integer from ${least} to ${most}`, fits)
  }

  /** One of the values of `known`, whose keys are what a configuration may say and whose values are what that means here. */
  choice<T>(name: string, missing: string, known: Readonly<Record<string, T>>, hint = ''): T {
    const value = this.has(name) ? this.values[name] : missing
    if (typeof value === 'string' && Object.hasOwn(known, value)) return known[value]
    if (typeof value === 'number' && Object.hasOwn(known, String(value))) return known[String(value)]
    throw this.unsupported(
      name,
      Object.keys(known)
        .map((key) => (typeof value === 'number' ? key : JSON.stringify(key)))
        .join(', '),
      hint,
    )
  }

  /** Refuses options that are switched on and that this package does not implement. */
  refuseFlags(names: readonly string[]): void {
    for (const name of names) {
      if (this.flag(name)) throw this.unsupported(name, 'false')
    }
  }

  unsupported(name: string, supported: string, hint = ''): SadaError {
    const message = `${SCHEDULER_FILE}: "${name}" is ${show(this.values[name])}, which is not supported. Supported: ${supported}.`
    return invalidSchedule(hint ? `${message} ${hint}` : message, name)
  }

  invalid(name: string, expected: string): SadaError {
    return invalidSchedule(`${SCHEDULER_FILE}: expected "${name}" to be ${expected}, received ${show(this.values[name])}.`, name)
  }
}
