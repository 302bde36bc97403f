import type { PolicyDefinition } from './definition.ts'
import { run } from './policy.ts'

/** The baseline: every step runs the network. */
export const none: PolicyDefinition<object> = {
  name: 'none',
  about: 'Runs the network at every step: the baseline.',
  source: 'the plain solver',
  options: {},
  begin: (_, { members }) =>
    Array.from({ length: members }, () => ({
      capacity: 0,
      before: () => run,
      observe: () => ({}),
      after: () => ({}),
      keeps: () => [],
    })),
}
