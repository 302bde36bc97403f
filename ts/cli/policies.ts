import { unknownName } from '../errors.ts'
import { policies as known } from '../policy/index.ts'
import type { OptionSpec } from '../policy/options.ts'
import { POLICY_GROUPS } from './policy-groups.ts'
import { beside, coloursFor, wrapped } from './terminal.ts'

/** What `sada policies` prints: a line for each, or those of these names with their options; as JSON always with those. Throws UNKNOWN_NAME. */
export function policies(names: readonly string[], json: boolean): string {
  const unknown = names.find((name) => !Object.hasOwn(known, name))
  if (unknown !== undefined) throw unknownName('policy', unknown, Object.keys(known), 'names')
  if (!json && names.length === 0) return overview()
  const described = (names.length === 0 ? Object.keys(known) : [...new Set(names)]).map(describe)
  return json ? JSON.stringify(described, undefined, 2) + '\n' : described.map(asText).join('\n')
}

function overview(): string {
  const { bold, cyan } = coloursFor(process.stdout)
  const groups = Object.entries(POLICY_GROUPS).map(([title, briefly]) => {
    const lines = Object.entries(briefly).map(([name, words]) =>
      beside(`  ${cyan(name)}${' '.repeat(Math.max(0, COLUMN - name.length))}`, COLUMN + 2, words),
    )
    return [bold(title), ...lines, ''].join('\n')
  })
  return [...groups, AFTERWARDS].join('\n')
}

const COLUMN = 24

const AFTERWARDS = `"replay", which repeats a recorded run, is for programs alone.

Options of one, with defaults and ranges:  sada policies every-n
One with its options on a command line:    --policy every-n:n=3,order=1
`

interface Described {
  name: string
  about: string
  source: string
  options: {
    name: string
    about: string
    default: unknown
    min: number
    max: number | null
    integer: boolean
    off?: number
  }[]
}

function describe(name: string): Described {
  const { about, source, options } = known[name]
  return {
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
      ...(spec.off !== undefined && { off: spec.off }),
    })),
  }
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
          : `${isOutside(option) ? `${option.off} or ` : ''}${option.min} … ${option.max}`
    return beside(`${head} `, head.length + 1, `${option.about} (${range})`)
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

/** Whether a value that stands for nothing asked is none of the range. */
const isOutside = ({ off, min }: Described['options'][number]): boolean => off !== undefined && off < min
