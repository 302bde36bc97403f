// Proves the GPU path on a machine that has one: the built package alone, no network, no root. Exits with 3 and one line where there is
// no GPU. Writes bench/results/gpu-<name>.json.
//
//   npm run verify:gpu                      all of it
//   node scripts/verify-gpu.mjs kernels     one part, its result as JSON: kernels, cases, steps, pictures, engines, concurrency, lifecycle, memory,
//                                           recovery, sanitizers, speed
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findCases, runCases, runUnderCheckers, SECTIONS } from './cuda-cases.mjs'
import { measureEngines } from './gpu-engines.mjs'
import { measureLifecycle } from './gpu-lifecycle.mjs'
import { measureMemory, recoverFromFull } from './gpu-memory.mjs'
import { measureSpeed } from './gpu-speed.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const { load } = require(join(root, 'dist', 'index.js'))
const { loadAddon } = require(join(root, 'dist', 'native', 'load.js'))
const { findGpu, gpuLibraryPaths, inspectGpus } = require(join(root, 'dist', 'native', 'gpu.js'))

if (process.env.SADA_CUDA_PATH === undefined && !gpuLibraryPaths().some(({ exists }) => exists)) {
  console.error(
    'Nothing was verified: the library of CUDA kernels is not built. "npm run build:cuda" builds it (nvcc 13, CMake 3.24); then this says what GPU there is.',
  )
  process.exit(3)
}
const found = await findGpu()
if (found.gpu === undefined) {
  console.error(`No GPU to verify: ${found.reason}.`)
  process.exit(3)
}
const { gpu, info } = found
const { report } = await inspectGpus(gpu.index)
const addon = loadAddon()

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]
const spread = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { p05: at(0.05), p50: at(0.5), p95: at(0.95) }
}
const expect = (holds, what) => {
  if (!holds) throw new Error(what)
}
/** Numbers of both signs and many magnitudes, the same everywhere. */
const numbers = (length, seed) => {
  let state = seed >>> 0 || 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return ((state >>> 8) / 2 ** 23 - 1) * 2 ** ((state & 15) - 8)
  })
}

/** The fused step through the addon, on the CPU and on the GPU: every bit of what it stores and sums, on sizes that sit on edges. */
async function kernels() {
  const sizes = [1, 31, 32, 33, 255, 1023, 1024, 1025, 16384, 65537, 1 << 20, (1 << 20) + 1]
  let compared = 0
  for (const length of sizes) {
    const outcomes = []
    for (const device of [undefined, gpu]) {
      const workspace = new addon.Workspace(device)
      const tensors = [1, 2, 3, 4].map((seed) => {
        const tensor = workspace.allocate(length)
        workspace.write(tensor, 0, numbers(length, seed))
        return tensor
      })
      const [next, scores] = [workspace.allocate(length), workspace.allocate(length)]
      const slice = (tensor) => ({ tensor, offset: 0 })
      const member = {
        inputs: tensors.map(slice),
        rows: [
          { inputs: [0, 1, 2], weights: [0.7, -0.2, 1e-3], store: slice(next) },
          { inputs: [3, 0], weights: [1, -1], store: slice(tensors[3]) }, // in place
          { inputs: [1, 2, 3, 0], weights: [1, -2, 1, 1 / 3] },
        ],
        sums: [{ a: 0 }, { a: 0, b: 2 }, { a: 1, signed: true }],
        // A grid has at most 2^20 tokens.
        ...(length <= 1 << 20 && {
          tokens: { sum: 1, layout: { order: 'tokens', channels: 1, grid: [length, 1], patch: [1, 1] }, store: slice(scores) },
        }),
      }
      const sums = await workspace.step(length, [member])
      const read = (tensor) => {
        const values = new Float32Array(length)
        workspace.read(tensor, 0, values)
        return Buffer.from(values.buffer)
      }
      outcomes.push([Buffer.from(Float64Array.from(sums).buffer), read(next), read(tensors[3]), read(scores)])
      workspace.dispose()
    }
    for (const [k, bytes] of outcomes[0].entries())
      expect(bytes.equals(outcomes[1][k]), `${length} elements: result ${k} differs from the CPU's`)
    compared += length
  }
  return { sizes, elements: compared, equal: 'every bit' }
}

/** Those of an emulation are tested at length by test:cuda, which takes minutes. */
const sections = () => SECTIONS.filter((section) => !isEmulated || !['step', 'select'].includes(section))

/** Every kernel against the CPU's bits: steps, moved tokens, selections, conversions, decisions; memory, graphs and failures of the device. */
async function cases() {
  const { program, reason } = findCases(root)
  return program ? runCases(program, gpu.library, sections()) : `not measured: ${reason}`
}

/** The network stays on the CPU, also where a build of ONNX Runtime for GPUs is installed: this folder has none. */
const networkOnCpu = { device: `cuda:${gpu.index}`, onnxruntime: join(root, 'scripts') }

/** Pictures of the bundled model: the same bits as the CPU's with the same network, and how long they take. */
async function pictures() {
  const cases = []
  const pipelines = { cpu: await load('avatar', { device: 'cpu' }), cuda: await load('avatar', networkOnCpu) }
  for (const scheduler of ['flow-euler', 'dpm++', 'euler']) {
    for (const policy of ['none', 'sada']) {
      const options = { prompt: 'a teal robot with round eyes', seed: 7, scheduler, policy }
      const times = { cpu: [], cuda: [] }
      const overheads = { cpu: [], cuda: [] }
      let latents
      for (let round = 0; round < 3; round++) {
        for (const device of ['cpu', 'cuda']) {
          const result = await pipelines[device].generate(options)
          latents ??= result.latents
          expect(
            Buffer.from(result.latents.buffer).equals(Buffer.from(latents.buffer)),
            `${scheduler}, ${policy}: ${device} differs`,
          )
          times[device].push(result.trace.ms)
          overheads[device].push((1000 * result.trace.overheadMs) / result.trace.steps)
        }
      }
      cases.push({
        scheduler,
        policy,
        ms: { cpu: median(times.cpu), cuda: median(times.cuda) },
        sampler_us_per_step: { cpu: median(overheads.cpu), cuda: median(overheads.cuda) },
      })
    }
  }
  for (const pipeline of Object.values(pipelines)) await pipeline.dispose()
  return { note: 'tensors and sampler on the device, network on the CPU: what is measured is the sampler', cases }
}

/** What a step of SDXL's and Flux's latents costs, from the call to its sums in JavaScript. */
async function steps() {
  const results = []
  for (const [name, length] of [
    ['SDXL 1×4×128×128', 65536],
    ['Flux 1×4096×64', 262144],
    ['16 MiB', 4194304],
  ]) {
    const workspace = new addon.Workspace(gpu)
    const tensors = [1, 2, 3, 4, 5].map(() => workspace.allocate(length))
    const slice = (tensor) => ({ tensor, offset: 0 })
    const member = {
      inputs: tensors.slice(0, 4).map(slice),
      rows: [
        { inputs: [0, 1, 2], weights: [1, 0.1, -0.1], store: slice(tensors[4]) },
        { inputs: [1, 2, 3], weights: [1, -2, 1] },
      ],
      sums: [{ a: 0 }, { a: 0, b: 1 }],
    }
    const times = []
    for (let k = 0; k < 220; k++) {
      const from = performance.now()
      await workspace.step(length, [member])
      if (k >= 20) times.push(1000 * (performance.now() - from))
    }
    workspace.dispose()
    results.push({ name, elements: length, us: spread(times) })
  }
  return results
}

async function concurrency() {
  const pipeline = await load('avatar', networkOnCpu)
  const calls = Array.from({ length: 8 }, (_, seed) => ({ prompt: 'a kid', seed, steps: 12 }))
  const serial = []
  for (const call of calls) serial.push((await pipeline.generate(call)).latents)
  const together = await Promise.all(calls.map((call) => pipeline.generate(call)))
  for (const [k, { latents }] of together.entries())
    expect(Buffer.from(latents.buffer).equals(Buffer.from(serial[k].buffer)), `run ${k} differs`)
  await pipeline.dispose()
  return { runs: calls.length, equal: 'every bit' }
}

/** NVIDIA's own checkers over all kernels, and over the addon's use of the step. */
async function sanitizers() {
  return runUnderCheckers(findCases(root), gpu.library, sections(), [process.execPath, fileURLToPath(import.meta.url), 'kernels'])
}

/** Kernels against a copy, an empty launch and PyTorch. A target that is missed is told, and no failure of what is verified. */
function speed() {
  const measured = measureSpeed(root, gpu.library)
  for (const { target, wanted, measured: found, met } of measured.targets) {
    const value = typeof found === 'number' ? found.toFixed(1) : found
    console.log(`  ${met === false ? 'missed' : met ? 'met' : '–'}  ${target}: ${value} (${wanted})`)
  }
  return measured
}

/** The network on the GPU, too, where its provider is here. */
const lifecycle = () =>
  isEmulated
    ? measureLifecycle(gpu, networkOnCpu, { runs: 4, cycles: 2, steps: 8 })
    : measureLifecycle(gpu, { device: `cuda:${gpu.index}` }, { runs: 16, cycles: 12, steps: 20 })

const memory = () => measureMemory(gpu, networkOnCpu, isEmulated ? { pictures: 2, repeats: 1 } : { pictures: 64, repeats: 5 })
const recovery = () => recoverFromFull(gpu, networkOnCpu)

/** The network on the GPU, too; on an emulated one briefly. */
const engines = () =>
  measureEngines(
    `cuda:${gpu.index}`,
    isEmulated ? { rounds: 1, steps: 8, batches: [1] } : { rounds: 5, steps: 50, batches: [1, 8] },
  )

const parts = { kernels, cases, steps, pictures, engines, concurrency, lifecycle, memory, recovery, sanitizers, speed }
const wanted = process.argv.slice(2)
const isEmulated = report.backend !== 'cuda'
const results = {}
let failed = 0
for (const [name, part] of Object.entries(parts)) {
  if (wanted.length > 0 ? !wanted.includes(name) : isEmulated && ['sanitizers', 'speed'].includes(name)) continue
  const from = performance.now()
  try {
    results[name] = await part()
    const broken = Object.entries(results[name]).filter(([, each]) => each?.failed !== undefined)
    if (broken.length > 0) {
      failed++
      console.log(`✘ ${name}  ${broken.map(([part, { failed: why }]) => `${part}: ${why}`).join('; ')}`)
      continue
    }
    const isMeasured = typeof results[name] !== 'string'
    console.log(isMeasured ? `✔ ${name}  ${((performance.now() - from) / 1000).toFixed(1)} s` : `– ${name}  ${results[name]}`)
  } catch (error) {
    failed++
    results[name] = { failed: error.message }
    console.log(`✘ ${name}  ${error.message}`)
  }
}
const commit = process.env.SADA_COMMIT ?? spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout?.trim()
const all = {
  gpu: info,
  driver: report.driverVersion,
  cuda: report.runtimeVersion,
  versions: { sada: require(join(root, 'package.json')).version, node: process.versions.node, addon: addon.version },
  commit,
  cpu: cpus()[0]?.model,
  date: new Date().toISOString(),
  results,
}
if (wanted.length === 0) {
  const name = info.name.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  const folder = join(root, ...(isEmulated ? ['build'] : ['bench', 'results']))
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `gpu-${name}.json`), JSON.stringify(all, undefined, 1) + '\n')
  console.log(`${join(folder, `gpu-${name}.json`)} is written`)
}
if (wanted.length > 0) console.log(JSON.stringify(results))
process.exitCode = failed > 0 ? 1 : 0
