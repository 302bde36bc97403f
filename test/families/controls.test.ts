import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type GenerateOptions } from '../../ts/index.ts'
import { familyFolder } from '../support/families.ts'

// What diffusers makes of ControlNets is in recorded.test.ts, whom they lead and when in policies.test.ts.

const image = { width: 32, height: 32, data: Uint8Array.from({ length: 1024 }, (_, k) => (k * 37) % 256) }

for (const stages of [true, false]) {
  test(`${stages ? 'in stages' : 'whole'}: without a picture the network is as it is with ones that count nothing`, async () => {
    const pipeline = await load(familyFolder('sd2-controlnet'), { threads: 1, stages })
    const latentsOf = async (options: Partial<GenerateOptions>): Promise<Float32Array> => {
      const call = { prompt: 'a cat', seed: 3, steps: 3, width: 32, height: 32, policy: 'none' } as const
      return (await pipeline.generate({ ...call, ...options })).latents
    }
    const none = await latentsOf({})
    assert.equal(await latentsOf({ control: { image, strength: 0 } }), none)
    assert.not.equal(await latentsOf({ control: { image } }), none)
    await pipeline.dispose()
  })
}

test.run()
