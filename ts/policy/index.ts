import { invalidArgument, SadaError, show, unknownName, unknownOption } from '../errors.ts'
import type { PolicyDefinition } from './definition.ts'
import { adaptiveDiffusion } from './adaptive-diffusion.ts'
import { dbCache } from './dbcache.ts'
import { deepCache } from './deepcache.ts'
import { diCache } from './dicache.ts'
import { easyCache } from './easycache.ts'
import { auto, checkTarget } from './auto.ts'
import { everyN } from './every-n.ts'
import { magCache } from './magcache.ts'
import { firstBlockCache } from './first-block-cache.ts'
import { hiCache } from './hicache.ts'
import { none } from './none.ts'
import { checkOptions, resolveOptions } from './options.ts'
import type { Policy, RunContext } from './policy.ts'
import { poster } from './poster.ts'
import { checkRecording, replayed } from './recording.ts'
import { reference } from './reference.ts'
import { resilPhase } from './resilphase.ts'
import { sada } from './sada.ts'
import { seaCache } from './seacache.ts'
import type { PolicySpec, WrittenPolicy } from './spec.ts'
import { spectrum } from './spectrum.ts'
import { taylorSeer } from './taylorseer.ts'
import { teaCache, teaCachePresets } from './teacache.ts'

export type { Policy, PolicySpec }

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each definition has an option type of its own
type AnyDefinition = PolicyDefinition<any>

const table = {
  none,
  sada,
  'sada/poster': poster,
  'sada-reference': reference,
  auto,
  'every-n': everyN,
  'adaptive-diffusion': adaptiveDiffusion,
  easycache: easyCache,
  deepcache: deepCache,
  'first-block-cache': firstBlockCache,
  dbcache: dbCache,
  dicache: diCache,
  teacache: teaCache,
  ...teaCachePresets,
  taylorseer: taylorSeer,
  hicache: hiCache,
  resilphase: resilPhase,
  magcache: magCache,
  spectrum,
  seacache: seaCache,
}

export type PolicyTable = typeof table

/** Every policy there is, by the name that users write; a preset stands behind a slash. */
export const policies: Readonly<Record<string, AnyDefinition>> = table

/** Checks a policy's name and options. Throws UNKNOWN_NAME or INVALID_ARGUMENT. */
export function createPolicy(spec: WrittenPolicy): Policy {
  const { name, given: written } = parse(spec)
  if (name === 'replay') return replay(written)
  const names = [...Object.keys(policies), 'replay']
  if (!Object.hasOwn(policies, name)) throw fromTerminal(name) ?? unknownName('policy', name, names)
  const definition = policies[name]
  const given = name === 'auto' ? targetOf(written) : written
  checkOptions(name, definition.options, given)
  return {
    name,
    begin(context) {
      const options = resolveOptions(definition.options, given, context) as Readonly<Record<string, unknown>>
      const warnings = [...noiseWarnings(name, definition, context), ...(definition.preflight?.(options, context) ?? [])]
      const members = definition.begin(options, context)
      const outcome = (ms: number): readonly string[] => definition.outcome?.(options, ms, members) ?? []
      return { options, members, warnings, outcome }
    },
    rememberingLess(options) {
      const counted = Object.entries(definition.options).find(([, { fewest }]) => fewest !== undefined)
      if (counted === undefined) return undefined
      const [option, { fewest }] = counted
      const now = Number(options[option])
      if (!(now > fewest!)) return undefined
      const policy = createPolicy({ name, ...given, [option]: now - 1 })
      return { policy, says: `the policy's "${option}" is ${now - 1} instead of ${now}` }
    },
  }
}

/** What there is to say of a policy that is written as on a command line, `every-n:n=3`, where it is one. */
function fromTerminal(text: string): SadaError | undefined {
  const at = text.indexOf(':')
  const name = text.slice(0, Math.max(0, at))
  if (text.length > 200 || !Object.hasOwn(policies, name)) return undefined
  // One by one: an expression over all of them tries every way to divide a text that is none.
  const options = text.slice(at + 1).split(',')
  if (!options.every((each) => /^\w+=[\w.+-]+$/.test(each))) return undefined
  // `3x3` is a pair there.
  const value = (written: string): string => (/^[\d.]+(x[\d.]+)+$/.test(written) ? `[${written.replaceAll('x', ', ')}]` : written)
  const written = options.map((each) => each.replace('=', ': ').replace(/(?<=: ).*/, value))
  const message = `Unknown policy ${show(text)}. That is a command line's form; here it is { name: '${name}', ${written.join(', ')} }.`
  return new SadaError('UNKNOWN_NAME', message, { argument: 'policy' })
}

/** The options of `auto`, whose target is written as one of them, as on a command line, or as an object. Throws INVALID_ARGUMENT or UNKNOWN_NAME. */
function targetOf({ target, ...flat }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  checkOptions('auto', auto.options, flat)
  if (target !== undefined && (typeof target !== 'object' || target === null))
    throw invalidArgument('policy.target', '{ speedup }, { psnrDb } or { ms }', target)
  const within = writtenOf(target ?? {})
  checkOptions('auto', auto.options, within, 'policy.target')
  const given = { ...flat, ...within }
  checkTarget(given, target === undefined ? 'policy' : 'policy.target')
  return given
}

/** What there is to say of a policy under a solver that adds noise at every step. Throws INVALID_ARGUMENT where it is refused. */
function noiseWarnings(name: string, { freshNoise }: AnyDefinition, { solver }: RunContext): string[] {
  if (!solver.isStochastic || freshNoise === undefined) return []
  if (freshNoise === 'refused')
    throw invalidArgument(
      'policy',
      `one for stochastic schedulers, as "sada", "auto" and "every-n" are`,
      name,
      'It extrapolates the state, which this scheduler adds fresh noise to.',
    )
  return [
    `This scheduler adds fresh noise at every step. "${name}" reuses what the network answered before it, so that skips leave noise behind.`,
  ]
}

/** `{ name: 'replay', recording }`: the recorded policy with its recorded options, told what to do. */
function replay(given: Readonly<Record<string, unknown>>): Policy {
  const unknown = Object.keys(given).find((option) => option !== 'recording')
  if (unknown !== undefined) throw unknownOption('Policy "replay"', unknown, ['recording'], `policy.${unknown}`)
  const recording = checkRecording(given.recording)
  // What `record` notes of a replay is the policy that it repeats.
  if (recording.policy === 'replay') throw invalidArgument('policy.recording.policy', 'a recorded policy', 'replay')
  return replayed(createPolicy({ ...recording.options, name: recording.policy }), recording)
}

function parse(spec: WrittenPolicy): { name: string; given: Record<string, unknown> } {
  if (typeof spec === 'string') return { name: spec, given: {} }
  if (typeof spec !== 'object' || spec === null || typeof spec.name !== 'string') {
    throw invalidArgument('policy', "a policy's name or an object { name, …options }", spec)
  }
  const { name, preset, ...options } = spec
  if (preset !== undefined && typeof preset !== 'string') throw invalidArgument('policy.preset', 'the name of a preset', preset)
  return { name: preset === undefined ? name : `${name}/${preset}`, given: writtenOf(options) }
}

/** Without what was left undefined. */
const writtenOf = (options: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
