// What whole pictures of the bundled model take with the network on the GPU, by every engine that is here; for verify-gpu.mjs.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
const require = createRequire(import.meta.url)
const { load } = require(join(dist, 'index.js'))
const { openTensorRt } = require(join(dist, 'engines', 'library.js'))
const { findOnnxRuntimeForGpu } = require(join(dist, 'engines', 'onnxruntime.js'))

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]

/** What runs networks on a GPU: the settings of `load`, and what it is; or why it is not here. */
function enginesPresent(device) {
  const provider = findOnnxRuntimeForGpu()
  const onnxruntime = provider.library ? { settings: { device }, what: provider.library } : { reason: provider.reason }
  try {
    const { flavour, version } = openTensorRt()
    return { onnxruntime, tensorrt: { settings: { device, engine: 'tensorrt' }, what: `${flavour} ${version}` } }
  } catch (error) {
    return { onnxruntime, tensorrt: { reason: error.message } }
  }
}

/** Pictures with the network on the GPU too, by every engine that is here: what the full run and `sada` take, and how far `sada` is from it. */
export async function measureEngines(device, { rounds, steps }) {
  const results = {}
  for (const [name, { settings, what, reason }] of Object.entries(enginesPresent(device))) {
    if (reason !== undefined) {
      results[name] = `not measured: ${reason}`
      console.log(`  ${name}: not measured: ${reason.split('\n')[0]}`)
      continue
    }
    const from = performance.now()
    const pipeline = await load('avatar', settings)
    const load_ms = performance.now() - from
    const cases = []
    for (const scheduler of ['flow-euler', 'dpm++', 'euler']) {
      const runs = { none: [], sada: [] }
      for (let round = 0; round <= rounds; round++)
        for (const policy of ['none', 'sada'])
          runs[policy].push(
            await pipeline.generate({ prompt: 'a teal robot with round eyes', seed: 7, steps, scheduler, policy }),
          )
      // The first round is for the drivers' allocations and the recording of graphs.
      const ms = (policy) => median(runs[policy].slice(1).map(({ trace }) => trace.ms))
      const [{ latents: full }, { latents: skipped, trace }] = [runs.none[0], runs.sada[0]]
      if (!full.every(Number.isFinite)) throw new Error(`${name}, ${scheduler}: not finite`)
      const largest = full.reduce((most, value, k) => Math.max(most, Math.abs(value - skipped[k])), 0)
      const network_runs = trace.members[0].nfe
      console.log(`  ${name}: none ${ms('none').toFixed(0)} ms, sada ${ms('sada').toFixed(0)} ms (${scheduler})`)
      cases.push({ scheduler, steps, network_runs, ms: { none: ms('none'), sada: ms('sada') }, largest_difference: largest })
    }
    await pipeline.dispose()
    results[name] = { what, load_ms, cases }
  }
  return results
}
