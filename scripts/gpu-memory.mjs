// What runs take on this machine's GPU against what they are quoted, and what happens when it is full; for verify-gpu.mjs.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
const require = createRequire(import.meta.url)
const { load } = require(join(dist, 'index.js'))
const { loadAddon } = require(join(dist, 'native', 'load.js'))
const { inspectGpus } = require(join(dist, 'native', 'gpu.js'))

const addon = loadAddon()
const expect = (holds, what) => {
  if (!holds) throw new Error(what)
}
/** Bytes that the driver says are free. */
export const freeOf = async (gpu) => (await inspectGpus(gpu.index)).report.gpus[0].freeBytes

/** What a run has allocated in its middle, what the driver says is gone then, and what is gone after it. */
async function takenBy(gpu, pipeline, options) {
  const free = () => freeOf(gpu)
  const counted = () => addon.counters().bytes + addon.counters().scratchBytes
  const before = { free: await free(), counted: counted() }
  let now
  await pipeline.generate({
    ...options,
    onStep: ({ step }) => {
      if (step === 4) now = { counted: counted(), free: free() }
    },
  })
  const measured = before.free - (await now.free)
  return { allocated: now.counted - before.counted, measured, left: before.free - (await free()) }
}

/** The plan of a run's memory against what the addon counts and against what the driver says is gone, in the middle of the run. */
export async function measureMemory(gpu, settings, { pictures, repeats }) {
  const pipeline = await load('avatar', settings)
  const cases = []
  for (const policy of ['sada', 'first-block-cache']) {
    const options = { prompt: Array(pictures).fill('a teal robot with round eyes'), seed: 7, steps: 6, policy }
    await pipeline.generate(options) // the driver's own allocations on first use
    const quote = await pipeline.memory(options)
    const runs = []
    for (let k = 0; k < repeats; k++) runs.push(await takenBy(gpu, pipeline, options))
    for (const { allocated } of runs)
      expect(allocated === quote.bytes, `${policy}: ${allocated} bytes allocated, ${quote.bytes} quoted`)
    // The least: other programs on the GPU, and the driver by itself, take memory meanwhile.
    const [measured, left] = ['measured', 'left'].map((what) => Math.min(...runs.map((each) => each[what])))
    // Drivers hand out memory in pages of 2 MiB; two allocations are made, for tensors and for scratch.
    expect(measured <= quote.bytes + 2 * 2 ** 21, `${policy}: ${measured} bytes are gone, ${quote.bytes} were quoted`)
    expect(left <= 2 ** 21, `${policy}: ${left} bytes stay on the GPU`)
    cases.push({ policy, quoted: quote.bytes, parts: quote.parts, measured, left })
  }
  await pipeline.dispose()
  return cases
}

/** Takes memory in ever smaller blocks until not even one of a kilobyte is left; how many bytes that was. */
function fill(workspace) {
  let taken = 0
  for (let floats = 2 ** 30; floats >= 256;) {
    try {
      workspace.allocate(floats)
      taken += 4 * floats
    } catch (error) {
      expect(error.code === 'OUT_OF_MEMORY', `expected OUT_OF_MEMORY, received ${error.code}: ${error.message}`)
      floats /= 2
    }
  }
  return taken
}

/** A GPU that is really full: what is asked of it then is OUT_OF_MEMORY, and when there is room again it works. */
export async function recoverFromFull(gpu, settings) {
  const options = { prompt: 'a robot', steps: 4 }
  const pipeline = await load('avatar', settings)
  const expected = (await pipeline.generate(options)).latents
  const workspace = new addon.Workspace(gpu)
  const filled = fill(workspace)
  const code = await pipeline.generate(options).then(
    () => 'no failure',
    (error) => error.code,
  )
  workspace.dispose()
  expect(code === 'OUT_OF_MEMORY', `a run on a full GPU: expected OUT_OF_MEMORY, received ${code}`)
  const { latents } = await pipeline.generate(options)
  await pipeline.dispose()
  expect(Buffer.from(latents.buffer).equals(Buffer.from(expected.buffer)), 'the run after it differs')
  return { filled, after_out_of_memory: 'the next run works' }
}
