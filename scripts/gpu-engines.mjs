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

const equal = (a, b) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer))

/**
 * A run without pruning, which the GPU decides where the engine lets it, against the loop's decisions: `record` wants a look at every step.
 * Where the network's own answers differ from run to run there is nothing to compare.
 */
async function compareDecisions(pipeline, { steps }) {
  const options = { prompt: PROMPTS[0], seed: 7, steps, policy: { name: 'sada', prune: false } }
  const own = await pipeline.generate(options)
  const [loop, again] = [
    await pipeline.generate({ ...options, record: true }),
    await pipeline.generate({ ...options, record: true }),
  ]
  const actions = ({ trace }) => JSON.stringify(trace.members.map((member) => member.steps.map(({ action }) => action)))
  const decided_on = own.trace.decidedOn ?? 'host'
  if (!equal(loop.latents, again.latents)) return { decided_on, equal: 'not comparable: two runs of the loop differ' }
  if (actions(own) !== actions(loop)) throw new Error(`other decisions, made on the ${decided_on}`)
  if (!equal(own.latents, loop.latents)) throw new Error(`other latents by the same decisions, made on the ${decided_on}`)
  return { decided_on, equal: 'every bit', network_runs: own.trace.members[0].nfe }
}

/** What the full run and `sada` take, and how far `sada` is from it. */
async function measureCase(pipeline, { pictures, scheduler, rounds, steps }) {
  const prompt = Array.from({ length: pictures }, (_, k) => PROMPTS[k % PROMPTS.length])
  const runs = { none: [], sada: [] }
  for (let round = 0; round <= rounds; round++)
    for (const policy of ['none', 'sada'])
      runs[policy].push(await pipeline.generate({ prompt, seed: 7, steps, scheduler, policy }))
  // The first round is for the drivers' allocations, the recording of graphs and the planning of convolutions.
  const ms = (policy) => median(runs[policy].slice(1).map(({ trace }) => trace.ms))
  const [{ latents: full }, { latents: skipped, trace }] = [runs.none[0], runs.sada[0]]
  if (!full.every(Number.isFinite)) throw new Error(`${scheduler}: not finite`)
  const sizeOfOne = full.length / pictures
  const decibels = Array.from({ length: pictures }, (_, k) =>
    psnr(...[skipped, full].map((all) => all.subarray(k * sizeOfOne, (k + 1) * sizeOfOne))),
  )
  const psnr_db = { mean: decibels.reduce((sum, value) => sum + value, 0) / pictures, min: Math.min(...decibels) }
  const network_runs = trace.members.reduce((sum, { nfe }) => sum + nfe, 0) / pictures
  const sampler_us_per_step = (1000 * trace.overheadMs) / steps
  return { scheduler, pictures, steps, network_runs, ms: { none: ms('none'), sada: ms('sada') }, sampler_us_per_step, psnr_db }
}

/** A pipeline, and what it and its first picture take: what libraries compile where they run is a part of that. */
async function open(settings, steps) {
  const from = performance.now()
  const pipeline = await load('avatar', settings)
  const loaded = performance.now()
  await pipeline.generate({ prompt: PROMPTS[0], seed: 7, steps, policy: 'none' })
  return { pipeline, load_ms: loaded - from, first_picture_ms: performance.now() - loaded }
}

/** The same of another one, which finds what the first one has kept. */
async function openAgain(settings, steps) {
  const { pipeline, load_ms, first_picture_ms } = await open(settings, steps)
  await pipeline.dispose()
  return { load_ms, first_picture_ms }
}

async function measureEngine(name, { settings, what }, { rounds, steps, batches }) {
  const { pipeline, load_ms, first_picture_ms } = await open(settings, steps)
  try {
    const cases = []
    for (const pictures of batches) {
      for (const scheduler of ['flow-euler', 'dpm++', 'euler']) {
        const measured = await measureCase(pipeline, { pictures, scheduler, rounds, steps })
        cases.push(measured)
        const { none, sada } = measured.ms
        const size = pictures > 1 ? `, ${pictures} pictures` : ''
        console.log(`  ${name}: none ${none.toFixed(0)} ms, sada ${sada.toFixed(0)} ms (${scheduler}${size})`)
      }
    }
    const decisions = await compareDecisions(pipeline, { steps })
    console.log(`  ${name}: decided on the ${decisions.decided_on}, against the loop: ${decisions.equal}`)
    const again = await openAgain(settings, steps)
    console.log(
      `  ${name}: first picture ${first_picture_ms.toFixed(0)} ms, of a pipeline after it ${again.first_picture_ms.toFixed(0)} ms`,
    )
    return { what, load_ms, first_picture_ms, again, cases, decisions }
  } finally {
    await pipeline.dispose()
  }
}

/** Pictures with the network on the GPU too, by every engine that is here; one that fails is `{ failed }`, and the others go on. */
export async function measureEngines(device, sizes) {
  const results = {}
  for (const [name, engine] of Object.entries(enginesPresent(device))) {
    if (engine.reason !== undefined) {
      results[name] = `not measured: ${engine.reason}`
      console.log(`  ${name}: not measured: ${engine.reason.split('\n')[0]}`)
      continue
    }
    try {
      results[name] = await measureEngine(name, engine, sizes)
    } catch (error) {
      results[name] = { failed: error.message }
      console.log(`  ${name}: failed: ${error.message}`)
    }
  }
  return results
}
