import { policies as known } from '../policy/index.ts'
import type { OptionSpec } from '../policy/options.ts'
import { coloursFor, wrapped } from './terminal.ts'

/** What `sada policies` prints: every policy with its options. */
export function policies(json: boolean): string {
  const described = Object.entries(known).map(([name, { about, source, options }]) => ({
    name,
    about,
    source,
    options: Object.entries(options as Record<string, OptionSpec>).map(([option, spec]) => ({
      name: option,
      about: spec.about,
      default: defaultOf(spec),
      min: spec.min,
      max: Number.isFinite(spec.max) ? spec.max : null,
      integer: spec.integer ?? false,
    })),
  }))
  return json ? JSON.stringify(described, undefined, 2) + '\n' : described.map(asText).join('\n')
}

interface Described {
  name: string
  about: string
  source: string
  options: { name: string; about: string; default: unknown; min: number; max: number | null }[]
}

function asText({ name, about, source, options }: Described): string {
  const { bold, dim } = coloursFor(process.stdout)
  const lines = options.map((option) => {
    const head = `  ${option.name.padEnd(17)}${show(option.default).padEnd(22)}`
    const range =
      typeof option.default === 'boolean'
        ? 'true or false'
        : option.max === null
          ? `≥ ${option.min}`
          : `${option.min} … ${option.max}`
    return `${head} ${wrapped(`${option.about} (${range})`, head.length + 1)}`
  })
  return [bold(name), `  ${wrapped(about, 2)}`, `  ${dim(wrapped(`source: ${source}`, 2))}`, ...lines, ''].join('\n')
}

/** A default that follows from the run is given in words. */
const defaultOf = ({ default: value, defaultText }: OptionSpec): unknown =>
  typeof value === 'function' ? (defaultText ?? 'computed') : value

/** Longer lists are in the JSON. */
const show = (value: unknown): string => {
  if (!Array.isArray(value)) return String(value)
  return value.length > 3 ? `${value.length} numbers` : value.join('x')
}
