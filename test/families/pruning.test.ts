import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadFamily } from '../../ts/families/index.ts'
import type { Family, Request } from '../../ts/families/family.ts'
import { loadAddon } from '../../ts/native/load.ts'
import type { Policy } from '../../ts/policy/policy.ts'
import { DenoisingLoop } from '../../ts/sampler/loop.ts'
import { familyFolder } from '../support/families.ts'
import { pruning } from '../support/pruning.ts'

// Token pruning on the families' networks in stages, under a policy that prunes every pass after the first: the criterion calls
// random networks stable, so the policies themselves would not.

const CALLS: Record<string, Partial<Request>> = {
  sd2: { width: 32, height: 48, guidance: 5 },
  sdxl: { width: 32, height: 48, guidance: 5 },
  'sdxl-controlnet': { width: 32, height: 48, guidance: 1 },
  sd3: { width: 32, height: 48, maxSequenceLength: 16, guidance: 5 },
  pixart: { width: 32, height: 48, maxSequenceLength: 16, guidance: 5 },
  flux: { width: 32, height: 48, maxSequenceLength: 16 },
  musicldm: { seconds: 0.032, guidance: 2 },
}
const STEPS = 5

const never: Policy = pruning({ maxKept: 0, window: [0, 0], seed: 0, fullAbove: -1 })

for (const [name, given] of Object.entries(CALLS)) {
  let family: Family
  const sampled = async (policy: Policy, prompts: readonly string[], seed: readonly number[]) => {
    family ??= await loadFamily(familyFolder(name), { threads: 1 })
    const workspace = new (loadAddon().Workspace)()
    try {
      const request: Request = { guidance: 1, ...given, prompts, seed, steps: STEPS, scheduler: family.defaults.scheduler }
      const signal = new AbortController().signal
      const { solver, network, latents } = await family.begin(request, workspace, signal)
      assert.ok(network.canPrune)
      const { grid } = network.tokens!.layout
      const result = await new DenoisingLoop({ solver, network, policy, workspace, latents, signal }).run()
      return {
        ...result,
        tokens: grid[0] * grid[1],
        kept: result.trace.members.map(({ steps }) => steps.map((step) => step.keptTokens)),
      }
    } finally {
      workspace.dispose()
    }
  }

  test(`${name}: a pruned pass that keeps all tokens is the full pass, bit for bit`, async () => {
    const full = await sampled(never, ['a cat', 'the dog'], [1, 2])
    assert.equal(new Set(full.kept.flat()), new Set([undefined]))
    // A window of one token keeps every one: gathered, computed and scattered all the same.
    const all = await sampled(
      pruning({ maxKept: full.tokens, window: [1, 1], seed: 0, fullAbove: 1 }),
      ['a cat', 'the dog'],
      [1, 2],
    )
    const after = Array<number>(STEPS - 1).fill(full.tokens)
    assert.equal(all.kept, [
      [undefined, ...after],
      [undefined, ...after],
    ])
    assert.equal(all.latents, full.latents)
  })

  test(`${name}: pruned to some tokens, a member of a batch is what it is alone, and not what the full pass gives`, async () => {
    const some = pruning({ maxKept: 12, window: [0, 0], seed: 0, fullAbove: 1 })
    const prompts = ['a cat', 'the dog', 'a cat']
    const batch = await sampled(some, prompts, [1, 2, 3])
    const length = batch.latents.length / 3
    for (const [b, prompt] of prompts.entries()) {
      const alone = await sampled(some, [prompt], [1 + b])
      assert.equal(batch.latents.subarray(b * length, (b + 1) * length), alone.latents)
      assert.equal(batch.kept[b], alone.kept[0])
    }
    const counts = batch.kept.flat().filter((count) => count !== undefined)
    assert.is(counts.length, 3 * (STEPS - 1))
    assert.ok(
      counts.every((count) => count > 0 && count < batch.tokens),
      counts.join(),
    )
    assert.not.equal(batch.latents, (await sampled(never, prompts, [1, 2, 3])).latents)
  })

  test.after(() => family.engine.dispose())
}

// Of 32 × 48 pixels, each latent 2 × 2 of them.
const PER_LATENT = { order: 'channels-first', channels: 4, grid: [24, 16], patch: [1, 1] }
const PER_PATCH = { ...PER_LATENT, grid: [12, 8], patch: [2, 2] }
const LAYOUTS: Record<string, object> = {
  sd2: PER_LATENT,
  sdxl: PER_PATCH,
  sd3: { ...PER_PATCH, channels: 16 },
  pixart: PER_PATCH,
  // What it is given is tokens already, four latents of each of 4 channels.
  flux: { order: 'tokens', channels: 16, grid: [12, 8], patch: [1, 1] },
}
for (const [name, layout] of Object.entries(LAYOUTS)) {
  test(`${name}: where in a state the values of a token lie`, async () => {
    const family = await loadFamily(familyFolder(name), { threads: 1 })
    const workspace = new (loadAddon().Workspace)()
    const request = { guidance: 1, ...CALLS[name], prompts: ['a'], seed: 1, steps: 2, scheduler: family.defaults.scheduler }
    const { network } = await family.begin(request, workspace, new AbortController().signal)
    assert.equal(network.tokens?.layout, layout)
    workspace.dispose()
    await family.engine.dispose()
  })
}

test('a size that the tokens do not divide runs whole', async () => {
  const family = await loadFamily(familyFolder('sdxl'), { threads: 1 })
  const signal = new AbortController().signal
  for (const size of [
    { width: 30, height: 32 },
    { width: 32, height: 30 },
  ]) {
    const workspace = new (loadAddon().Workspace)()
    const request = { prompts: ['a cat'], seed: 1, steps: 2, guidance: 1, scheduler: 'euler', ...size }
    const { solver, network, latents } = await family.begin(request, workspace, signal)
    assert.equal([network.canPrune, network.tokens], [false, undefined])
    const { trace } = await new DenoisingLoop({ solver, network, policy: never, workspace, latents, signal }).run()
    assert.is(trace.members[0].nfe, 2)
    workspace.dispose()
  }
  await family.engine.dispose()
})

test.run()
