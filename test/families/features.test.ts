import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions, type Pipeline, type PolicySpec } from '../../ts/index.ts'
import { leavingRange } from '../../ts/plan/features.ts'
import { familyFolder } from '../support/families.ts'

// Policies that leave stages out, on the families' small random networks: Stable Diffusion 2 (a UNet with skip connections) and Flux (a chain of blocks).

interface Stage {
  readonly name: string
  readonly kind: 'dense' | 'tokens'
  readonly inputs: string[]
  readonly outputs: string[]
  readonly flops: { readonly fixed: number; readonly per_token: number; readonly per_token_pair: number }
}
interface Plan {
  readonly stages: readonly Stage[]
  readonly reuse: readonly { readonly from: string; readonly to: string; readonly remembers: readonly string[] }[]
}
const families = join(__dirname, '../fixtures/families')
const plans = (readdirSync(families, { recursive: true }) as string[]).filter((file) => file.endsWith('plan.json'))
const planOf = (file: string): Plan => JSON.parse(readFileSync(join(families, file), 'utf8')) as Plan

test('what leaves a range is what the exporter says it remembers', () => {
  assert.ok(plans.length >= 5, `${plans.length} plans`)
  for (const file of plans) {
    const { stages, reuse } = planOf(file)
    assert.ok(reuse.length > 0, file)
    const indexOf = (stage: string): number => stages.findIndex(({ name }) => name === stage)
    for (const { from, to, remembers } of reuse)
      assert.equal(leavingRange(stages, indexOf(from), indexOf(to) + 1), remembers, `${file}: ${from} to ${to}`)
  }
})

const sd2: GenerateOptions = { prompt: 'a photo of the cat', width: 32, height: 32, guidanceScale: 5, steps: 8, seed: [1] }
const flux: GenerateOptions = { prompt: 'a photo of the cat', width: 32, height: 32, maxSequenceLength: 16, steps: 8, seed: [1] }
const sd3: GenerateOptions = { ...flux, guidanceScale: 5 }
const CALLS = { sd2, sd3, pixart: sd3, flux }
const pipelines = new Map<string, Pipeline>()
test.before(async () => {
  for (const family of Object.keys(CALLS)) pipelines.set(family, await load(familyFolder(family), { threads: 1 }))
})
test.after(async () => {
  for (const pipeline of pipelines.values()) await pipeline.dispose()
})

const generate = (family: keyof typeof CALLS, options: Partial<GenerateOptions>) =>
  pipelines.get(family)!.generate({ ...CALLS[family], ...options })

const active: [keyof typeof CALLS, PolicySpec][] = [
  ['sd2', { name: 'deepcache' }],
  ['sd2', { name: 'deepcache', branch: 2 }],
  ['sd3', { name: 'deepcache' }],
  ['sd3', { name: 'first-block-cache', threshold: 3 }],
  ['pixart', { name: 'deepcache' }],
  ['pixart', { name: 'first-block-cache', threshold: 3 }],
  ['flux', { name: 'deepcache' }],
  ['flux', { name: 'first-block-cache', threshold: 3 }],
  ['flux', { name: 'dbcache', threshold: 3, warmup: 2, order: 1 }],
  ['flux', { name: 'teacache', threshold: 3 }],
  ['flux', { name: 'dicache', threshold: 3 }],
  ['sd3', { name: 'dicache', threshold: 3 }],
  ['pixart', { name: 'dicache', threshold: 3 }],
]
for (const [family, policy] of active) {
  test(`${family}, ${JSON.stringify(policy)}: stages are left out, and a member of a batch is what it is alone`, async () => {
    const prompt = ['a photo of the cat', 'the dog on the road', 'an old house at night']
    const batch = await generate(family, { policy, prompt, seed: [1, 2, 3] })
    const length = batch.latents.length / 3
    for (const [b, { steps }] of batch.trace.members.entries()) {
      assert.ok(
        steps.some(({ action }) => action === 'partial'),
        JSON.stringify(steps),
      )
      const alone = await generate(family, { policy, prompt: prompt[b], seed: [1 + b] })
      assert.equal(alone.latents, batch.latents.slice(b * length, (b + 1) * length))
    }
    const plain = await generate(family, { policy: 'none', prompt, seed: [1, 2, 3] })
    assert.not.equal(plain.latents, batch.latents)
  })
}

test('in a UNet DeepCache runs the first convolution, the last layer and the head; an inner branch more of it', async () => {
  const { stages } = planOf('sd2/unet/plan.json')
  // 32 × 32 pixels with an autoencoder of one halving: 16 × 16 tokens at the highest attention resolution.
  const cost = (names: readonly string[], n: number): number =>
    stages
      .filter(({ name }) => names.includes(name))
      .reduce((sum, { flops: f }) => sum + f.fixed + f.per_token * n + f.per_token_pair * n * n, 0)
  const all = stages.map(({ name }) => name)
  const shares: number[] = []
  for (const branch of [0, 1, 2]) {
    const { trace } = await generate('sd2', { policy: { name: 'deepcache', branch } })
    shares.push(trace.members[0].steps.find(({ action }) => action === 'partial')!.flopShare!)
  }
  assert.ok(shares[0] < shares[1] && shares[1] < shares[2] && shares[2] < 1, shares.join())
  const tokens = [16, 64, 256].find(
    (n) => Math.abs(cost(['embed', 'up_1_1', 'up_1_1_tokens', 'head'], n) / cost(all, n) - shares[0]) < 1e-9,
  )
  assert.ok(tokens !== undefined, String(shares[0]))
})

test('what may be left out of a network may be left out where its guidance is rescaled', async () => {
  const { trace } = await generate('sd2', { policy: 'deepcache', guidanceRescale: 0.7 })
  assert.ok(trace.members[0].steps.some(({ action }) => action === 'partial'))
})

test('what a network lacks is said before it runs', async () => {
  const { trace } = await generate('flux', { policy: { name: 'deepcache', branch: 1 } })
  assert.equal(trace.warnings, ['Branch 1 has no effect: this network has no skip connections.'])
  const code = (family: keyof typeof CALLS, policy: PolicySpec) =>
    generate(family, { policy }).then(
      () => 'ran',
      (error: { code: string; message: string }) => `${error.code} ${error.message}`,
    )
  assert.match(await code('sd2', 'first-block-cache'), /^UNSUPPORTED .*at least 2 of kind "tokens" and only dense ones around/)
  assert.match(await code('sd2', 'teacache'), /^UNSUPPORTED/)
  assert.match(await code('sd2', 'dicache'), /^UNSUPPORTED .*at least 2 of kind "tokens" and only dense ones around/)
  assert.match(await code('sd2', { name: 'deepcache', branch: 3 }), /^UNSUPPORTED .*a branch 3, where the innermost is 2/)
})

test.run()
