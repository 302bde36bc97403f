import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../ts/index.ts'

// Of the options beside them options.test.ts, of pictures that are given families/controls.test.ts.

test('one prompt with several seeds is the batch of that prompt so many times, as a call, a stream, a quote and audited', async () => {
  const pipeline = await load('avatar', { threads: 1 })
  const options = { seed: [5, 2n ** 60n, 7], steps: 12, policy: 'every-n', audit: 1 } as const
  const once = { ...options, prompt: 'a kid' }
  const thrice = { ...options, prompt: ['a kid', 'a kid', 'a kid'] }
  const [a, b] = [await pipeline.generate(once), await pipeline.generate(thrice)]
  assert.equal(a.latents, b.latents)
  assert.is(a.images.length, 3)
  assert.equal(a.droppedTokens, [0, 0, 0])
  const audits = ({ trace }: typeof a) => trace.members.map(({ audit }) => audit)
  assert.ok(audits(a).every((audit) => audit !== undefined))
  assert.equal(audits(a), audits(b))
  assert.equal(await pipeline.memory(once), await pipeline.memory(thrice))
  for await (const event of pipeline.stream(once)) {
    if (event.type === 'step') assert.is(event.members.length, 3)
    else assert.equal(event.latents, b.latents)
  }
  await pipeline.dispose()
})

test.run()
