import { readFile } from 'node:fs/promises'
import { whyUnread } from '../bench/file-errors.ts'
import { invalidArgument } from '../errors.ts'
import { policies } from '../policy/index.ts'
import { parsePolicy } from './arguments.ts'
import { isRecord, printable, promptOf, quoted } from './command-line.ts'
import { pictureSize } from './sheet.ts'

/** What a PNG file of `sada` says about itself. */
export interface Info {
  readonly width: number
  readonly height: number
  readonly prompt: string
  readonly software: string
  /** Text where a number would be rounded. */
  readonly seeds: readonly (number | string)[]
  readonly settings: Readonly<Record<string, unknown>>
  /** The arguments of `sada` that make it again. */
  readonly command: readonly string[]
}

/** Reads a file's own account and formats it. Throws INVALID_ARGUMENT where there is none. */
export async function info(path: string, json: boolean): Promise<string> {
  const told = await readInfo(path)
  if (json) return JSON.stringify(told) + '\n'
  const { prompt, software, seeds, settings, command } = told
  const lines = [
    ['prompt', prompt],
    ['size', sizeOf(told)],
    ['seeds', seeds.join(', ')],
    ...linesOf(settings, command),
    ['made by', software],
  ]
  const column = Math.max(...lines.map(([name]) => name.length)) + 2
  return [...lines.map(([name, value]) => printable(name.padEnd(column) + value)), '', `sada ${quoted(command)}`, ''].join('\n')
}

/** `64×64`, or `64×64, 4 on a sheet of 130×130`. */
function sizeOf({ width, height, seeds }: Info): string {
  const whole = `${width}×${height}`
  const size = seeds.length > 1 ? pictureSize({ width, height }, seeds.length) : undefined
  return size === undefined ? whole : `${size.join('×')}, ${seeds.length} on a sheet of ${whole}`
}

/** Below the policy's name those of its options that are not as usual: they may be called as other settings are. */
function linesOf({ options, ...settings }: Info['settings'], command: Info['command']): string[][] {
  const lines = (of: object, indent: string): string[][] =>
    Object.entries(of).map(([name, value]) => [indent + name, typeof value === 'string' ? value : JSON.stringify(value)])
  return [...lines(settings, ''), ...lines(unusual(String(settings.policy), options ?? {}, command), '  ')]
}

/** Options that differ from their defaults; where a default follows from the run, those that the command gives. */
function unusual(policy: string, options: object, command: Info['command']): object {
  if (!Object.hasOwn(policies, policy)) return options
  const { options: table } = policies[policy] as { options: Readonly<Record<string, { default: unknown }>> }
  const given = givenBy(command)
  const isUnusual = ([name, value]: [string, unknown]): boolean => {
    const preset = Object.hasOwn(table, name) ? table[name].default : undefined
    return typeof preset === 'function' ? Object.hasOwn(given, name) : JSON.stringify(value) !== JSON.stringify(preset)
  }
  return Object.fromEntries(Object.entries(options).filter(isUnusual))
}

/** The policy's options as the command has them; none where that is no policy of this version. */
function givenBy(command: Info['command']): object {
  const [option] = command.filter((each) => each.startsWith('--policy='))
  try {
    const policy = parsePolicy((option ?? '').slice('--policy='.length))
    return typeof policy === 'string' ? {} : policy
  } catch {
    return {}
  }
}

const exact = (seed: string): number | string => (Number.isSafeInteger(Number(seed)) ? Number(seed) : seed)

async function readInfo(path: string): Promise<Info> {
  const fail = (why: string): never => {
    throw invalidArgument('file', `a PNG file that sada has written (${why})`, path)
  }
  const bytes = await readFile(path).catch((error: unknown) => fail(whyUnread(error)))
  if (bytes.toString('latin1', 8, 12) === 'WAVE') return fail('sounds carry no record of how they were made')
  if (!bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return fail('that is none')
  const { width, height, text } = (await decoded(bytes)) ?? fail('it is damaged')
  if (text.Command === undefined || text.Settings === undefined) return fail('it says nothing about how it was made')
  const [command, settings] = [text.Command, text.Settings].map(parsed)
  const isList = Array.isArray(command) && command.every((each) => typeof each === 'string')
  if (!isList || !isRecord(command) || typeof settings !== 'object' || settings === null)
    return fail("this picture's record is not one that sada writes")
  return {
    width,
    height,
    prompt: promptOf(command),
    software: text.Software ?? '',
    seeds: (text.Seed ?? '').split(' ').filter(Boolean).map(exact),
    settings: settings as Record<string, unknown>,
    command,
  }
}

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')

/** Undefined where it is damaged: the decoder's words for that are about its own state. */
async function decoded(bytes: Uint8Array) {
  const { decode } = await import('fast-png')
  try {
    return decode(bytes, { checkCrc: true })
  } catch {
    return undefined
  }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
