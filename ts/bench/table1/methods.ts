import { isDeepStrictEqual } from 'node:util'
import { policies, type PolicySpec } from '../../policy/index.ts'
import type { OptionSpec } from '../../policy/options.ts'
import type { WrittenPolicy } from '../../policy/spec.ts'

/** One row's way to make pictures. */
export interface Method {
  /** The policy's registered name, with its preset. */
  readonly policy: string
  /** Name and what is set: `every-n:n=4`; the command line takes the same. */
  readonly label: string
  readonly spec: PolicySpec
  /** Whether these are the policy's published settings. */
  readonly isDefault: boolean
}

/** What a policy cannot do without; it is part of the default. */
const REQUIRED: Readonly<Record<string, Readonly<Record<string, number>>>> = { auto: { speedup: 2 } }

/**
 * The option that trades quality for speed in each policy, with its values from careful to fast. Those of rivals lie around the published
 * ones: half and twice the default, and what their authors name.
 */
export const SWEEPS: Readonly<Record<string, { readonly option: string; readonly values: readonly number[] }>> = {
  sada: { option: 'tolerance', values: [2e-3, 5e-3, 9e-3, 0.02, 0.03] },
  'sada/poster': { option: 'warmup', values: [4, 6, 8, 12, 16] },
  'sada-reference': { option: 'warmup', values: [4, 6, 8, 12, 16] },
  auto: { option: 'speedup', values: [1.5, 1.75, 2.25, 2.5, 3] },
  'every-n': { option: 'n', values: [2, 4, 5, 6, 8] },
  'adaptive-diffusion': { option: 'threshold', values: [0.0025, 0.005, 0.02, 0.04, 0.08] },
  easycache: { option: 'threshold', values: [0.0125, 0.025, 0.1, 0.2, 0.3] },
  deepcache: { option: 'interval', values: [2, 4, 5, 7, 10] },
  'first-block-cache': { option: 'threshold', values: [0.02, 0.08, 0.12, 0.2, 0.3] },
  dbcache: { option: 'threshold', values: [0.02, 0.04, 0.12, 0.16, 0.24] },
  dicache: { option: 'threshold', values: [0.08, 0.1, 0.2, 0.8, 1.2] },
  teacache: { option: 'threshold', values: [0.05, 0.1, 0.25, 0.4, 0.6] },
  taylorseer: { option: 'interval', values: [2, 3, 4, 5, 8] },
  hicache: { option: 'interval', values: [2, 3, 4, 5, 8] },
  resilphase: { option: 'interval', values: [2, 3, 4, 5, 8] },
  magcache: { option: 'threshold', values: [0.03, 0.06, 0.12, 0.36, 0.48] },
  spectrum: { option: 'growth', values: [0, 0.25, 0.75, 1, 1.5] },
  seacache: { option: 'threshold', values: [0.1, 0.15, 0.3, 0.6, 0.9] },
}

/** Policies of the registry for a model, each at its default; presets that were published for another model are left to be named. */
export function defaultMethods(model: string): Method[] {
  return Object.keys(policies)
    .filter((name) => name !== 'none' && !isForeignPreset(name, model))
    .map((name) => methodFor(REQUIRED[name] === undefined ? name : { name, ...REQUIRED[name] }))
}

/** `teacache/flux` on anything but `flux`: its numbers are that model's. `sada/poster` is no model's. */
function isForeignPreset(name: string, model: string): boolean {
  const [family, preset] = name.split('/')
  return preset !== undefined && family !== 'sada' && preset !== model
}

/** A policy as it was asked for. */
export function methodFor(spec: WrittenPolicy): Method {
  const { name, preset, ...options } = typeof spec === 'string' ? { name: spec, preset: undefined } : spec
  const policy = preset === undefined ? name : `${name}/${preset}`
  const required = REQUIRED[policy] ?? {}
  const given = Object.entries<unknown>(options).filter(([, value]) => value !== undefined)
  const written = given.map(([option, value]) => `${option}=${Array.isArray(value) ? value.join('x') : String(value)}`)
  return {
    policy,
    label: written.length === 0 ? policy : `${policy}:${written.join(',')}`,
    spec: (given.length === 0 ? policy : { name: policy, ...options }) as PolicySpec,
    isDefault: given.every(([option, value]) => isUsual(value, required[option] ?? defaultOf(policy, option))),
  }
}

const defaultOf = (policy: string, option: string): unknown =>
  Object.hasOwn(policies, policy) ? (policies[policy].options as Record<string, OptionSpec>)[option]?.default : undefined

/** Whether a value says what would be so without it; of a default that follows from the run none is known to. Numbers, and lists of them. */
const isUsual = (value: unknown, usual: unknown): boolean =>
  usual !== undefined && typeof usual !== 'function' && isDeepStrictEqual(value, usual)

/** The methods, each followed by its other settings. A policy without a sweep stands alone. */
export function withSweeps(methods: readonly Method[]): Method[] {
  const all = methods.flatMap((method) => {
    const sweep = SWEEPS[method.policy]
    if (!method.isDefault || sweep === undefined) return [method]
    return [
      method,
      ...sweep.values.map((value) => ({ ...methodFor({ name: method.policy, [sweep.option]: value }), isDefault: false })),
    ]
  })
  return [...new Map(all.map((method) => [method.label, method])).values()]
}
