import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../ts/pipeline/load.ts'
import { sample } from '../../ts/sampler/sample.ts'

const scheduler = {
  _class_name: 'EulerDiscreteScheduler',
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
}
const longest = 20

/** The longest time for which a 1 ms timer was not called while `work` went on. */
async function longestGap(work: () => Promise<unknown>): Promise<number> {
  let last = performance.now()
  let gap = 0
  const tick = (): void => {
    const now = performance.now()
    gap = Math.max(gap, now - last)
    last = now
  }
  const timer = setInterval(tick, 1)
  await work()
  tick()
  clearInterval(timer)
  return gap
}

/** The best of five tries: another process may take the processor at any time. */
async function hasShortGaps(work: () => Promise<unknown>): Promise<void> {
  await work()
  const gaps: number[] = []
  while (gaps.length < 5 && !(Math.min(...gaps) < longest)) gaps.push(await longestGap(work))
  console.log(`longest gaps in ms: ${gaps.map((gap) => gap.toFixed(1)).join(', ')}`)
  assert.ok(Math.min(...gaps) < longest, gaps.join())
}

test('sampling SDXL-sized latents with a network elsewhere', async () => {
  const answer = new Float32Array(4 * 128 * 128).fill(0.1)
  const network = async (): Promise<Float32Array> => new Promise((resolve) => setTimeout(() => resolve(answer), 3))
  const options = { scheduler, steps: 30, shape: [1, 4, 128, 128], seed: 1, network }
  await hasShortGaps(() => sample(options))
})

test('the bundled model', async () => {
  const pipeline = await load('avatar')
  await hasShortGaps(() => pipeline.generate({ prompt: 'a smiling face', steps: 20, seed: 1 }))
  await pipeline.dispose()
})

test('loading the bundled model', async () => {
  await hasShortGaps(async () => (await load('avatar')).dispose())
})

test.run()
