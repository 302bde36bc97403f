import { run, type Decision, type MemberPolicy, type Policy, type TokenSelection } from '../../ts/policy/policy.ts'

/** Prunes every pass after the first, by a score that has both signs. */
export function pruning(selection: TokenSelection): Policy {
  const member = (): MemberPolicy => ({
    capacity: 0,
    before: (step): Decision => (step === 0 ? run : { kind: 'prune', selection: { ...selection, seed: step } }),
    observe: () => ({ means: [{ a: { x0: 1 }, b: { x: 1, x0: -1 } }], tokenScores: 0 }),
    after: () => ({}),
    keeps: () => [],
  })
  return { name: 'pruning', begin: ({ members }) => ({ options: {}, members: Array.from({ length: members }, member) }) }
}
