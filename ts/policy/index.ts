import { invalidArgument, unknownName } from '../errors.ts'
import type { PolicyDefinition } from './definition.ts'
import { adaptiveDiffusion } from './adaptive-diffusion.ts'
import { easyCache } from './easycache.ts'
import { everyN } from './every-n.ts'
import { magCache } from './magcache.ts'
import { none } from './none.ts'
import { checkOptions, resolveOptions } from './options.ts'
import type { Policy } from './policy.ts'
import { poster } from './poster.ts'
import { reference } from './reference.ts'
import { resilPhase } from './resilphase.ts'
import { sada } from './sada.ts'
import { taylorSeer } from './taylorseer.ts'

export type { Policy }

/** A policy by name, or by name with options: `'sada'`, `{ name: 'every-n', n: 3, order: 1 }`. */
export type PolicySpec = string | { readonly name: string; readonly preset?: string; readonly [option: string]: unknown }

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each definition has an option type of its own
type AnyDefinition = PolicyDefinition<any>

/** Every policy there is, by the name that users write; a preset stands behind a slash. */
export const policies: Readonly<Record<string, AnyDefinition>> = {
  none,
  sada,
  'sada/poster': poster,
  'sada-reference': reference,
  'every-n': everyN,
  'adaptive-diffusion': adaptiveDiffusion,
  easycache: easyCache,
  taylorseer: taylorSeer,
  resilphase: resilPhase,
  magcache: magCache,
}

/** Checks a policy's name and options. Throws UNKNOWN_NAME or INVALID_ARGUMENT. */
export function createPolicy(spec: PolicySpec): Policy {
  const { name, given } = parse(spec)
  const names = Object.keys(policies)
  if (!Object.hasOwn(policies, name)) throw unknownName('policy', name, names)
  const definition = policies[name]
  checkOptions(name, definition.options, given)
  return {
    name,
    begin(context) {
      const options = resolveOptions(definition.options, given, context) as Readonly<Record<string, unknown>>
      const warnings = definition.preflight?.(options, context) ?? []
      return { options, members: definition.begin(options, context), warnings }
    },
  }
}

function parse(spec: PolicySpec): { name: string; given: Record<string, unknown> } {
  if (typeof spec === 'string') return { name: spec, given: {} }
  if (typeof spec !== 'object' || spec === null || typeof spec.name !== 'string') {
    throw invalidArgument('policy', "a policy's name or an object { name, …options }", spec)
  }
  const { name, preset, ...options } = spec
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  return { name: preset === undefined ? name : `${name}/${preset}`, given }
}
