import { invalidArgument, SadaError } from '../errors.ts'
import type * as Policies from '../policy/index.ts'
import type { PolicySpec } from '../policy/index.ts'

/** Parser of an option that takes an integer. */
export function integer(option: string, min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN
    if (value >= min && value <= max) return value
    const isOpen = max === Number.MAX_SAFE_INTEGER
    const range = isOpen && value > max ? `at most 2⁵³ − 1 = ${max}` : isOpen ? `at least ${min}` : `from ${min} to ${max}`
    throw invalidArgument(option, `an integer ${range}`, text)
  }
}

/** Parser of a seed; those that a number cannot hold are bigints. */
export function seed(option: string): (text: string) => number | bigint {
  return (text) => {
    const value = /^\+?\d+$/.test(text) ? BigInt(text) : -1n
    if (value >= 0n && value <= HIGHEST_SEED) return numberOf(value)
    throw invalidArgument(option, `an integer from 0 to 2⁶⁴ − 1 = ${HIGHEST_SEED}`, text)
  }
}

const HIGHEST_SEED = 2n ** 64n - 1n
const numberOf = (value: bigint): number | bigint => (value <= Number.MAX_SAFE_INTEGER ? Number(value) : value)

/** So many seeds that follow each other. Throws INVALID_ARGUMENT. */
export function seedsFrom(first: number | bigint, count: number): (number | bigint)[] {
  if (BigInt(first) + BigInt(count - 1) > HIGHEST_SEED)
    throw invalidArgument('--seed', `at most 2⁶⁴ − ${count}, so that ${count} follow each other`, String(first))
  return Array.from({ length: count }, (_, k) => numberOf(BigInt(first) + BigInt(k)))
}

/** Refuses a first seed after which so many do not fit into numbers. Throws INVALID_ARGUMENT. */
export function checkSeeds(first: number, count: number): void {
  if (first + (count - 1) > Number.MAX_SAFE_INTEGER)
    throw invalidArgument('--seed', `at most 2⁵³ − ${count}, so that ${count} follow each other`, first)
}

/** Parser of an option that takes a number. `isOpen`: the least is not one of them. */
export function decimal(option: string, min: number, max: number, isOpen = false): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text)
    if ((isOpen ? value > min : value >= min) && value <= max) return value
    throw invalidArgument(option, isOpen ? `a number above ${min}, at most ${max}` : `a number from ${min} to ${max}`, text)
  }
}

/** Parser of an option that takes a size: bytes, or with K, M, G or T so many times 1024, 1024² … of them. */
export function size(option: string): (text: string) => number {
  return (text) => {
    const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text.trim()) ?? []
    const bytes = Math.floor(Number(number) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' '))
    if (Number.isSafeInteger(bytes)) return bytes
    throw invalidArgument(option, 'a number of bytes, like 512M or 6G', text)
  }
}

/** A comma-separated list without its empty entries and repetitions. */
function list(text: string): string[] {
  return [
    ...new Set(
      text
        .split(',')
        .map((each) => each.trim())
        .filter(Boolean),
    ),
  ]
}

/** Parser of an option that takes a list with at least one entry, and more where it is given again. */
export function entries(option: string, what = 'a name'): (text: string, before?: readonly string[]) => string[] {
  return (text, before = []) => {
    const all = list(text)
    if (all.length === 0) throw invalidArgument(option, `${what}, or several separated by commas`, text)
    return [...new Set([...before, ...all])]
  }
}

/**
 * Policies as they are written on a command line: `sada`, `sada/poster:warmup=8`, `every-n:n=3,order=1`; several separated by
 * commas, or the option given again. A comma before `option=` continues the options of the policy before it. Throws UNKNOWN_NAME or
 * INVALID_ARGUMENT.
 */
export function parsePolicies(text: string, before: readonly PolicySpec[] = []): PolicySpec[] {
  const written: string[] = []
  for (const part of text.split(',').map((each) => each.trim())) {
    if (/^[A-Za-z]+=/.test(part) && written.at(-1)?.includes(':')) written[written.length - 1] += `,${part}`
    else if (part !== '') written.push(part)
  }
  if (written.length === 0) throw invalidArgument('policy', 'a policy, or several separated by commas', text)
  return [...before, ...written.map(parsePolicy)]
}

/** One policy as it is written on a command line. Throws UNKNOWN_NAME or INVALID_ARGUMENT. */
export function parsePolicy(text: string): PolicySpec {
  const colon = text.indexOf(':')
  const spec = colon < 0 ? text : { name: text.slice(0, colon), ...parseOptions(text, text.slice(colon + 1)) }
  checkWritten(text, typeof spec === 'string' ? { name: spec } : spec)
  // Where one is given: help and most commands need none of the policies. By `require`, as parsers of options do not wait.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { createPolicy } = require('../policy/index.js') as typeof Policies
  createPolicy(spec)
  return spec as PolicySpec
}

/** What a command line cannot say, or says otherwise than the library, in its own words. Throws INVALID_ARGUMENT. */
function checkWritten(text: string, { name, ...options }: Readonly<Record<string, unknown>>): void {
  if (name === 'replay') throw new SadaError('INVALID_ARGUMENT', REPLAY, { argument: 'policy' })
  if (name !== 'auto') return
  const targets = TARGETS.filter((target) => Number(options[target]) > 0)
  const isOther = Object.keys(options).some((option) => option !== 'target' && !TARGETS.includes(option))
  // What else is wrong with it is said by the policy's own check.
  if ('target' in options || (targets.length !== 1 && !isOther))
    throw invalidArgument('policy', 'auto with one target above 0: auto:speedup=2, auto:psnrDb=40 or auto:ms=800', text, TARGET)
}

const TARGETS = ['speedup', 'psnrDb', 'ms']
const TARGET = 'They are how many times faster, how many decibels of PSNR against the full run, and the milliseconds it may take.'
const REPLAY =
  '"replay" repeats a recorded run, and needs its recording, which a command line can neither make nor give: it is for programs, by generate({ …, record: true }) and then generate({ …, policy: { name: "replay", recording } }).'

function parseOptions(policy: string, text: string): Record<string, unknown> {
  const options = text.split(',').map((part): [string, unknown] => {
    const [, name, value] = /^\s*([A-Za-z]+)=(.+?)\s*$/.exec(part) ?? []
    if (name === undefined) throw invalidArgument('policy', 'options as name=value, like every-n:n=3,order=1', policy)
    return [name, parseValue(value)]
  })
  const names = options.map(([name]) => name)
  if (names.includes('name') || new Set(names).size < names.length)
    throw invalidArgument('policy', 'options of the policy, each of them once', policy)
  return Object.fromEntries(options)
}

/** `true`, `12`, `0.5`, or `3x3` for a pair and `1x0.9x1e-3` for a list; anything else stays text, which the policy's own check refuses by name. */
function parseValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  const numbers = text.split('x').map((part) => (/^[-+]?[.\d]/.test(part) ? Number(part) : NaN))
  if (numbers.some(Number.isNaN)) return text
  return numbers.length === 1 ? numbers[0] : numbers
}

/** An option that can be given several times. */
export const collect = (each: string, all: readonly string[] | undefined): readonly string[] => [...(all ?? []), each]
