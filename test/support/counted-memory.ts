import * as assert from 'uvu/assert'
import { loadAddon } from '../../ts/native/load.ts'
import type { GenerateOptions, MemoryQuote, Pipeline } from '../../ts/index.ts'

/** Bytes of tensors and of GPUs' scratch memory that the addon has allocated, and of page-locked host memory. */
export function countedMemory(): { bytes: number; pinned: number } {
  const { bytes, scratchBytes, pinnedBytes } = loadAddon().counters()
  return { bytes: bytes + scratchBytes, pinned: pinnedBytes }
}

/** Waits until jobs of calls that are over have let go of their workspaces. */
async function settled(): Promise<ReturnType<typeof countedMemory>> {
  for (let k = 0; k < 1000 && loadAddon().counters().jobs > 0; k++) await new Promise((resolve) => setImmediate(resolve))
  return countedMemory()
}

/** Runs a call; asserts that quoting allocates nothing, and that what is quoted is what is allocated after every step, to the byte. */
export async function expectQuoted(pipeline: Pipeline, options: GenerateOptions) {
  const before = await settled()
  const quote: MemoryQuote = await pipeline.memory(options)
  assert.equal(countedMemory(), before)
  assert.is(
    Object.values(quote.parts).reduce((sum, part) => sum + part),
    quote.bytes,
  )
  let steps = 0
  const onStep = (): void => {
    const now = countedMemory()
    assert.is(now.bytes - before.bytes, quote.bytes, `after step ${steps}`)
    assert.is(now.pinned - before.pinned, quote.host.pinned, `page-locked, after step ${steps++}`)
  }
  const result = await pipeline.generate({ ...options, onStep })
  assert.is(steps, result.trace.steps)
  assert.equal(await settled(), before)
  return { quote, result }
}
