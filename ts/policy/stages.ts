import { SadaError } from '../errors.ts'
import type { RunContext } from './policy.ts'

/** Consecutive stages of a network, by the names of the first and the last. */
export interface StageRange {
  readonly from: string
  readonly to: string
}

/** Names of the token stages: a transformer's blocks, in order. Throws UNSUPPORTED where there are fewer than `least`. */
export function blocks(policy: string, { stages }: RunContext, least: number): string[] {
  const names = stages.filter(({ kind }) => kind === 'tokens').map(({ name }) => name)
  if (names.length >= least) return names
  throw unsupported(policy, `at least ${least} of kind "tokens"`, stages)
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
