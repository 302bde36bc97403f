// What remains on a GPU of runs that end early and of pipelines that come and go; for verify-gpu.mjs. The network is on the GPU where it can be.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { freeOf } from './gpu-memory.mjs'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
const require = createRequire(import.meta.url)
const { load } = require(join(dist, 'index.js'))
const { loadAddon } = require(join(dist, 'native', 'load.js'))

const addon = loadAddon()
const OPTIONS = { prompt: 'a smiling kid with ginger bun hair', seed: 7, policy: 'sada' }
const expect = (holds, what) => {
  if (!holds) throw new Error(what)
}
const equal = (a, b) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer))
const outcome = (run) =>
  run.then(
    ({ latents }) => ({ latents }),
    (error) => ({ error }),
  )

/** Runs that are aborted at another step each, beside some that are not: those give what they give alone. */
async function abortSome(pipeline, { runs, steps, alone }) {
  const reason = new Error('not wanted any more')
  const calls = Array.from({ length: runs }, (_, k) => {
    const abort = new AbortController()
    const isAborted = k % 2 === 1
    const onStep = ({ step }) => isAborted && step === k % steps && abort.abort(reason)
    return outcome(pipeline.generate({ ...OPTIONS, steps, signal: abort.signal, onStep }))
  })
  const ends = await Promise.all(calls)
  const aborted = ends.filter(({ error }) => error === reason).length
  for (const { latents, error } of ends) {
    expect(error === undefined || error === reason, `a run beside aborted ones: ${error}`)
    expect(latents === undefined || equal(latents, alone), 'a run beside aborted ones differs')
  }
  return { runs, aborted }
}

/** Loads a pipeline and disposes of it in the middle of a run, which ends as DISPOSED. */
async function disposeOfRunning(settings, { steps }) {
  const pipeline = await load('avatar', settings)
  let disposed
  const onStep = ({ step }) => {
    if (step === steps >> 1) disposed = pipeline.dispose()
  }
  const { error } = await outcome(pipeline.generate({ ...OPTIONS, steps, onStep }))
  await disposed
  expect(error?.code === 'DISPOSED', `a run whose pipeline is disposed of: ${error}`)
}

/** A thread of its own with a pipeline of its own, ended while it runs where `isEnded`. Gives the latents of its first run once it is gone. */
function runInWorker(settings, { steps, isEnded }) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { gpuLifecycle: { settings, steps } } })
  return new Promise((resolve, reject) => {
    let latents
    worker.once('error', reject)
    worker.once('message', (first) => {
      latents = first
      if (isEnded) void worker.terminate()
    })
    worker.once('exit', () => resolve(latents))
  })
}

if (!isMainThread && workerData?.gpuLifecycle) {
  const { settings, steps } = workerData.gpuLifecycle
  const pipeline = await load('avatar', settings)
  const { latents } = await pipeline.generate({ ...OPTIONS, steps })
  await pipeline.generate({ ...OPTIONS, steps, onStep: ({ step }) => step === 1 && parentPort.postMessage(latents) })
  await pipeline.dispose()
}

const isNothingLeft = () => Object.values(addon.counters()).every((count) => count === 0)

/** What is left when all of it is over, as the addon counts it and as the driver says. */
export async function measureLifecycle(gpu, settings, { runs, cycles, steps }) {
  // The driver's and the provider's own allocations on first use stay for the life of the process.
  const first = await load('avatar', settings)
  const alone = (await first.generate({ ...OPTIONS, steps })).latents
  await first.dispose()
  await disposeOfRunning(settings, { steps })
  const before = await freeOf(gpu)

  const pipeline = await load('avatar', settings)
  const aborts = await abortSome(pipeline, { runs, steps, alone })
  await pipeline.dispose()
  for (let k = 0; k < cycles; k++) await disposeOfRunning(settings, { steps })
  const workers = await Promise.all([false, true, false].map((isEnded) => runInWorker(settings, { steps, isEnded })))
  for (const latents of workers) expect(latents && equal(latents, alone), 'a run in a worker differs')

  // Jobs of what has ended let go of their memory in threads of their own.
  const until = performance.now() + 10_000
  while (!isNothingLeft() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(isNothingLeft(), `something is left: ${JSON.stringify(addon.counters())}`)
  const left = before - (await freeOf(gpu))
  // What one pipeline takes is more than that.
  expect(left <= cycles * 2 ** 21, `${left} bytes stay on the GPU after ${cycles} pipelines`)
  return { ...aborts, disposed_while_running: cycles, workers: workers.length, left }
}
