import { execFile } from 'node:child_process'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { asSadaError, findOnnxRuntime, libraryPaths, loadAddon } from '../native/load.ts'
import { parseTarget } from '../engines/build.ts'
import { openTensorRt } from '../engines/library.ts'
import { findOnnxRuntimeForGpu } from '../engines/onnxruntime.ts'
import { findGpu } from '../native/gpu.ts'
import { availableCpus } from '../native/threads.ts'
import { load } from '../pipeline/load.ts'
import { bundledModels } from '../pipeline/model-folder.ts'
import type { NativeAddon } from '../native/types.ts'
import { packageVersion } from '../version.ts'
import { EXIT } from './program.ts'
import { coloursFor } from './terminal.ts'

/** Starting a GPU takes a second; a driver that does not answer is none. */
const PROBE_MS = 30_000

interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

interface Backend {
  readonly name: string
  readonly usable: boolean
  readonly reason: string
}

/** What `sada doctor` prints: versions, backends with reasons, the libraries looked for, and a self-test. */
export async function doctor(json: boolean, signal: AbortSignal): Promise<{ text: string; exitCode: number }> {
  const cpu = findCpuBackend()
  const backends: Backend[] = [
    {
      name: 'cpu',
      usable: cpu.reason === undefined,
      reason: cpu.reason ?? `ONNX Runtime ${cpu.onnxruntime}, kernels for ${cpu.addon?.instructionSet}`,
    },
    await cudaBackend(),
    await tensorRtBackend(),
    onnxRuntimeCudaBackend(),
    await webGpuBackend(),
  ]
  const checks = cpu.addon ? [checkStep(cpu.addon), ...(cpu.reason === undefined ? [await checkGeneration(signal)] : [])] : []
  const ok = backends[0].usable && checks.every((check) => check.ok)
  const found = {
    ok,
    versions: {
      sada: packageVersion(),
      node: process.versions.node,
      addon: cpu.addon?.version ?? null,
      onnxruntime: cpu.onnxruntime ?? null,
    },
    machine: {
      platform: `${process.platform}-${process.arch}`,
      kernel: release(),
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableCpus(),
      instruction_set: cpu.addon?.instructionSet ?? null,
    },
    backends,
    libraries: libraryPaths(),
    checks,
  }
  return { text: json ? JSON.stringify(found, undefined, 2) + '\n' : asText(found), exitCode: ok ? EXIT.ok : EXIT.unavailable }
}

function findCpuBackend(): { addon?: NativeAddon; onnxruntime?: string; reason?: string } {
  let addon: NativeAddon | undefined
  try {
    addon = loadAddon()
    const engine = new addon.Engine({ library: findOnnxRuntime() })
    const { version } = engine
    void engine.dispose()
    return { addon, onnxruntime: version }
  } catch (error) {
    return { addon, reason: (asSadaError(error) as Error).message }
  }
}

/** Its builder, which needs no GPU; where there is one, whether it builds for that. */
async function tensorRtBackend(): Promise<Backend> {
  const name = 'tensorrt'
  try {
    const builder = openTensorRt()
    const library = `${builder.flavour} ${builder.version}`
    const found = await findGpu()
    if (found.gpu && !builder.serves(parseTarget(found.info.computeCapability)))
      return {
        name,
        usable: false,
        reason: `${library} builds engines for other GPUs than one of compute capability ${found.info.computeCapability}`,
      }
    return { name, usable: true, reason: `${library} builds engines ("sada engines build")` }
  } catch (error) {
    return { name, usable: false, reason: (error as Error).message }
  }
}

/** ONNX Runtime's CUDA provider: whether there is a build that has it; whether that works shows when a network is loaded. */
function onnxRuntimeCudaBackend(): Backend {
  const name = 'onnxruntime'
  const found = findOnnxRuntimeForGpu()
  if ('reason' in found) return { name, usable: false, reason: found.reason }
  return { name, usable: true, reason: `${found.library} has the provider ("--device cuda")` }
}

/**
 * ONNX Runtime's WebGPU provider: whether it finds a GPU, which it says when a network is loaded. That is done in a process of its own: the
 * provider and the system's drivers write to stderr, and a fault in one of those would end this process.
 */
async function webGpuBackend(): Promise<Backend> {
  const name = 'webgpu'
  const probe = promisify(execFile)(process.execPath, [join(__dirname, 'webgpu-probe.js')], { timeout: PROBE_MS })
  const done: { stdout: string; signal?: string | null } = await probe.catch((error: unknown) => error as { stdout: string })
  const { stdout, signal } = done
  const [outcome, reason] = stdout.split('\t')
  if (outcome === 'usable' || outcome === 'unusable') return { name, usable: outcome === 'usable', reason }
  return { name, usable: false, reason: `trying it ended with ${signal ?? 'a failure'}, in a driver or in ONNX Runtime` }
}

async function cudaBackend(): Promise<Backend> {
  const found = await findGpu()
  if (found.gpu === undefined) return { name: 'cuda', usable: false, reason: found.reason }
  const { name, computeCapability, freeBytes, totalBytes } = found.info
  const gigabytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(1)
  const memory = `${gigabytes(freeBytes)} of ${gigabytes(totalBytes)} GiB free`
  return { name: 'cuda', usable: true, reason: `${name}, compute capability ${computeCapability}, ${memory}` }
}

/** One pass of the step kernel whose sums are exact in float32. */
function checkStep(addon: NativeAddon): Check {
  const name = 'step kernel'
  const workspace = new addon.Workspace()
  try {
    const length = 257 // whole vectors, and a rest
    const [a, b, sum] = [workspace.allocate(length), workspace.allocate(length), workspace.allocate(length)]
    workspace.write(
      a,
      0,
      Float32Array.from({ length }, (_, k) => k),
    )
    workspace.write(
      b,
      0,
      Float32Array.from({ length }, (_, k) => 2 * k + 1),
    )
    const slice = (tensor: number) => ({ tensor, offset: 0 })
    const rows = [{ inputs: [0, 1], weights: [3, -0.5], store: slice(sum) }]
    void workspace.step(length, [{ inputs: [slice(a), slice(b)], rows, sums: [{ a: 0, signed: true }] }])
    const result = new Float32Array(length)
    workspace.read(sum, 0, result)
    const wrong = result.findIndex((value, k) => value !== 2 * k - 0.5)
    return {
      name,
      ok: wrong < 0,
      detail: wrong < 0 ? `${length} elements exact` : `element ${wrong} is ${result[wrong]}, expected ${2 * wrong - 0.5}`,
    }
  } catch (error) {
    return { name, ok: false, detail: (error as Error).message }
  } finally {
    workspace.dispose()
  }
}

/** Two steps of a bundled model, twice: it runs, and gives the same bytes again. */
async function checkGeneration(signal: AbortSignal): Promise<Check> {
  const [model] = bundledModels()
  const name = 'generation'
  const startedAt = performance.now()
  try {
    const pipeline = await load(model)
    try {
      const loadedAt = performance.now()
      const options = { prompt: 'a robot', steps: 2, policy: 'none', signal } as const
      const [first, second] = [await pipeline.generate(options), await pipeline.generate(options)]
      const same = Buffer.compare(first.images[0].data, second.images[0].data) === 0
      const { bytes } = await pipeline.memory(options)
      const timing = `a run takes ${(bytes / 2 ** 20).toFixed(1)} MiB, loaded in ${ms(loadedAt - startedAt)}, ${ms(second.trace.ms / 2)} a step`
      return { name, ok: same, detail: same ? `${model}: ${timing}` : `${model}: two runs of the same seed differ` }
    } finally {
      await pipeline.dispose()
    }
  } catch (error) {
    signal.throwIfAborted()
    return { name, ok: false, detail: (error as Error).message }
  }
}

interface Found {
  readonly ok: boolean
  readonly versions: Readonly<Record<string, string | null>>
  readonly machine: { readonly platform: string; readonly kernel: string; readonly cpu: string; readonly cores: number }
  readonly backends: readonly Backend[]
  readonly libraries: readonly { readonly path: string; readonly exists: boolean }[]
  readonly checks: readonly Check[]
}

function asText({ ok, versions, machine, backends, libraries, checks }: Found): string {
  const { bold, green, red, dim } = coloursFor(process.stdout)
  const mark = (good: boolean): string => (good ? green('✓') : red('✗'))
  const indented = (text: string): string => text.replace(/\n/g, '\n' + ' '.repeat(16))
  const lines = [
    bold('Versions'),
    ...Object.entries(versions).map(([name, version]) => `  ${name.padEnd(13)} ${version ?? red('not loaded')}`),
    `  ${'machine'.padEnd(13)} ${machine.platform}, ${machine.cpu}, ${machine.cores} cores, kernel ${machine.kernel}`,
    '',
    bold('Backends'),
    ...backends.map(
      ({ name, usable, reason }) =>
        `  ${usable ? mark(true) : name === 'cpu' ? mark(false) : dim('–')} ${name.padEnd(11)} ${indented(reason)}`,
    ),
    '',
    bold('Libraries, in the order they are tried'),
    ...libraries.map(({ path, exists }) => `  ${exists ? green('✓') : dim('–')} ${exists ? path : dim(path)}`),
    '',
    bold('Self-test'),
    ...checks.map(({ name, ok: good, detail }) => `  ${mark(good)} ${name.padEnd(11)} ${indented(detail)}`),
    ...(checks.length === 0 ? [`  ${red('✗')} nothing to test without the addon`] : []),
    '',
    ok ? green(conclusion(backends)) : red('Something does not work; the lines marked ✗ say what.'),
  ]
  return lines.join('\n') + '\n'
}

/** What to make of backends of which the CPU works. */
export function conclusion(backends: readonly Pick<Backend, 'name' | 'usable'>[]): string {
  const usable = (name: string): boolean => backends.some((each) => each.name === name && each.usable)
  if (usable('cuda')) return 'The CPU works, and a GPU was found.'
  return usable('webgpu') ? 'The CPU works, and a GPU was found by WebGPU.' : 'The CPU works; no GPU was found.'
}

const ms = (value: number): string => `${Math.round(value)} ms`
