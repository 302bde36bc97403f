import { SadaError } from '../errors.ts'
import type { RunContext } from './policy.ts'

/** Names of the token stages where they are one chain: a transformer's blocks, in order. Undefined for a UNet, which has them here and there. */
export function chainOf(stages: RunContext['stages']): string[] | undefined {
  const kinds = stages.map(({ kind }) => kind[0]).join('')
  return /^d*t+d*$/.test(kinds) ? stages.filter(({ kind }) => kind === 'tokens').map(({ name }) => name) : undefined
}

/** The blocks of a transformer. Throws UNSUPPORTED where there is no chain of them, or fewer than `least`. */
export function blocks(policy: string, { stages }: RunContext, least: number): string[] {
  const names = chainOf(stages)
  if (names && names.length >= least) return names
  throw unsupported(policy, `at least ${least} of kind "tokens" and only dense ones around them`, stages)
}

/** The stage before a given one. Throws UNSUPPORTED where the network begins with it. */
export function stageBefore(policy: string, { stages }: RunContext, name: string): string {
  const index = stages.findIndex((stage) => stage.name === name)
  if (index > 0) return stages[index - 1].name
  throw unsupported(policy, `one before "${name}"`, stages)
}

export function unsupported(policy: string, missing: string, stages: RunContext['stages']): SadaError {
  const has = stages.map(({ name, kind }) => `${name} (${kind})`).join(', ')
  const found = stages.length === 0 ? 'this network is one piece' : `this one has ${has}`
  return new SadaError('UNSUPPORTED', `Policy "${policy}" needs a network in stages, ${missing}; ${found}.`, {
    argument: 'policy',
  })
}
