import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadFamily } from '../../ts/families/index.ts'
import { loadAddon } from '../../ts/native/load.ts'
import { createPolicy } from '../../ts/policy/index.ts'
import { run, type Policy } from '../../ts/policy/policy.ts'
import { DenoisingLoop } from '../../ts/sampler/loop.ts'
import type { Network, NetworkOutput } from '../../ts/sampler/network.ts'
import { familyFolder } from '../support/families.ts'
import { pruning } from '../support/pruning.ts'

// A pass that left something out and is not finite is made again as a whole one. Here one is spoilt: its answer times infinity.

const AT = 4
const STEPS = 8

const leavesOut = ({ keptTokens, done }: NetworkOutput): boolean => keptTokens !== undefined || done?.kind === 'partial'

/** The network, whose passes of that step are spoilt: those that leave something out, or all. */
function spoilt(network: Network, which: (output: NetworkOutput) => boolean): Network {
  const evaluate: Network['evaluate'] = async (call) => {
    const outputs = await network.evaluate(call)
    const spoil = (output: NetworkOutput): NetworkOutput => {
      const row = Object.fromEntries(Object.keys(output.row).map((name) => [name, Infinity]))
      return call.step === AT && which(output) ? { ...output, row } : output
    }
    return outputs.map(spoil)
  }
  return new Proxy(network, {
    get(target, key: keyof Network) {
      const value = target[key]
      return key === 'evaluate' ? evaluate : typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** The policy, with that step a whole pass. */
function whole(policy: Policy): Policy {
  const begin: Policy['begin'] = (context) => {
    const begun = policy.begin(context)
    for (const member of begun.members) {
      const { before, midway } = member
      member.before = (step) => ((decision) => (step === AT ? run : decision))(before.call(member, step))
      if (midway) member.midway = (step, ...found) => (step === AT ? run : midway.call(member, step, ...found))
    }
    return begun
  }
  return { ...policy, begin }
}

const anything = (): boolean => true
const nothing = (): boolean => false

async function sampled(policy: Policy, which: (output: NetworkOutput) => boolean, name = 'flux') {
  const family = await loadFamily(familyFolder(name), { threads: 1 })
  const workspace = new (loadAddon().Workspace)()
  try {
    const more = { width: 32, height: 32, ...(name === 'flux' && { maxSequenceLength: 16 }) }
    const request = {
      ...{ ...more, guidance: 1, steps: STEPS, scheduler: family.defaults.scheduler },
      ...{ prompts: ['a photo of the cat', 'the dog on the road'], seed: [1, 2] },
    }
    const { signal } = new AbortController()
    const { solver, network, latents } = await family.begin(request, workspace, signal)
    return await new DenoisingLoop({ solver, network: spoilt(network, which), policy, workspace, latents, signal }).run()
  } finally {
    workspace.dispose()
    await family.engine.dispose()
  }
}

const policies: [string, string, Policy][] = [
  ['flux', 'a pruned pass', pruning({ maxKept: 8, window: [2, 2], seed: 0, fullAbove: 1 })],
  ['sd2', 'a pruned pass', pruning({ maxKept: 8, window: [2, 2], seed: 0, fullAbove: 1 })],
  ['flux', 'a pass without stages, by a schedule', createPolicy({ name: 'deepcache' })],
  ['sd2', 'a pass without stages, by a schedule', createPolicy({ name: 'deepcache' })],
  ['flux', 'a pass without stages, found midway', createPolicy({ name: 'first-block-cache', threshold: 3 })],
]
for (const [name, what, policy] of policies) {
  test(`${name}: ${what}, that is not finite, is made again as a whole one`, async () => {
    const untouched = await sampled(policy, nothing, name)
    for (const { steps } of untouched.trace.members) assert.not.equal(steps[AT].action, 'run')
    const [again, wanted] = [await sampled(policy, leavesOut, name), await sampled(whole(policy), nothing, name)]
    assert.equal(again.latents, wanted.latents)
    for (const [b, { steps, nfe }] of again.trace.members.entries()) {
      assert.is(steps[AT].action, 'run')
      assert.is(nfe, wanted.trace.members[b].nfe + 1)
    }
  })

  test(`${name}: ${what}: where the whole one is not finite either, that is an error`, async () => {
    const error = await sampled(policy, anything, name).catch((e: unknown) => e as { code?: string; step?: number })
    assert.is((error as { code?: string }).code, 'NON_FINITE')
    assert.is((error as { step?: number }).step, AT)
  })
}

test.run()
