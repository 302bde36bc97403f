// What whole pictures of the bundled model take with the network on the GPU, by every engine that is here; for verify-gpu.mjs.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
const require = createRequire(import.meta.url)
const { load } = require(join(dist, 'index.js'))
const { openTensorRt } = require(join(dist, 'engines', 'library.js'))
const { psnr } = require(join(dist, 'metrics', 'psnr.js'))
const { findOnnxRuntimeForGpu } = require(join(dist, 'engines', 'onnxruntime.js'))

/** Prompts of a batch; whose members skip by themselves. */
const PROMPTS = ['a teal robot with round eyes', 'a smiling kid with ginger bun hair', 'a robot', 'a kid']

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
export async function measureEngines(device, { rounds, steps, batches }) {
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
    for (const pictures of batches) {
      const prompt = Array.from({ length: pictures }, (_, k) => PROMPTS[k % PROMPTS.length])
      for (const scheduler of ['flow-euler', 'dpm++', 'euler']) {
        const runs = { none: [], sada: [] }
        for (let round = 0; round <= rounds; round++)
          for (const policy of ['none', 'sada'])
            runs[policy].push(await pipeline.generate({ prompt, seed: 7, steps, scheduler, policy }))
        // The first round is for the drivers' allocations, the recording of graphs and the planning of convolutions.
        const ms = (policy) => median(runs[policy].slice(1).map(({ trace }) => trace.ms))
        const [{ latents: full }, { latents: skipped, trace }] = [runs.none[0], runs.sada[0]]
        if (!full.every(Number.isFinite)) throw new Error(`${name}, ${scheduler}: not finite`)
        const sizeOfOne = full.length / pictures
        const decibels = Array.from({ length: pictures }, (_, k) =>
          psnr(...[skipped, full].map((all) => all.subarray(k * sizeOfOne, (k + 1) * sizeOfOne))),
        )
        const psnr_db = { mean: decibels.reduce((sum, value) => sum + value, 0) / pictures, min: Math.min(...decibels) }
        const network_runs = trace.members.reduce((sum, { nfe }) => sum + nfe, 0) / pictures
        const sampler_us_per_step = (1000 * trace.overheadMs) / steps
        const times = { none: ms('none'), sada: ms('sada') }
        const size = pictures > 1 ? `, ${pictures} pictures` : ''
        console.log(`  ${name}: none ${times.none.toFixed(0)} ms, sada ${times.sada.toFixed(0)} ms (${scheduler}${size})`)
        cases.push({ scheduler, pictures, steps, network_runs, ms: times, sampler_us_per_step, psnr_db })
      }
    }
    await pipeline.dispose()
    results[name] = { what, load_ms, cases }
  }
  return results
}
