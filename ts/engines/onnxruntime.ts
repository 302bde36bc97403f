import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { asSadaError, findOnnxRuntime, loadAddon, ONNXRUNTIME, onnxRuntimeIn } from '../native/load.ts'
import type { Engine, EngineOptions } from '../native/types.ts'
import type { DeviceEngine, OpenDeviceEngine } from '../plan/device-engine.ts'
import type { EngineSettings } from '../plan/model.ts'
import { pipFolders } from './pip.ts'

/** Lies beside ONNX Runtime's library where that was built for GPUs. */
const PROVIDER = process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so'
/** Where pip puts `onnxruntime-gpu`, in site-packages. */
const PIP_FOLDER = join('onnxruntime', 'capi')

/** Of its sessions; operators that a provider does not have run on the CPU. */
type SessionSettings = Pick<EngineSettings, 'threads' | 'memoryArena'>

/**
 * A build of ONNX Runtime with the CUDA provider: `path` (the library, or its folder), else `SADA_ONNXRUNTIME_PATH`, else what pip
 * installed; or why there is none.
 */
export function findOnnxRuntimeForGpu(path?: string): { readonly library: string } | { readonly reason: string } {
  const given = path ?? process.env.SADA_ONNXRUNTIME_PATH
  const named = given && resolve(given) // the system's loader looks for a bare name elsewhere
  const folders = named ? [ONNXRUNTIME.test(basename(named)) ? dirname(named) : named] : pipFolders([PIP_FOLDER])
  for (const folder of folders.filter((each) => existsSync(join(each, PROVIDER)))) {
    const library = named && ONNXRUNTIME.test(basename(named)) ? named : onnxRuntimeIn(folder)
    if (library !== undefined) return { library }
  }
  const where = folders.length > 0 ? `${folders.join(', ')} has no ${PROVIDER}` : `none of pip's folders has ${PROVIDER}`
  const hint = 'pip install onnxruntime-gpu brings one; SADA_ONNXRUNTIME_PATH names another.'
  return { reason: `no build of ONNX Runtime with its CUDA provider: ${where}. ${hint}` }
}

/**
 * ONNX Runtime's CUDA provider on a GPU. Without a build that has it the networks stay on the CPU, between tensors on the GPU, with a
 * warning; one that does not work is BACKEND_UNAVAILABLE when the first network is loaded.
 */
export const onnxRuntimeOnGpu =
  (path?: string, settings: SessionSettings = {}): OpenDeviceEngine =>
  // eslint-disable-next-line @typescript-eslint/require-await -- throws by rejecting
  async ({ gpu }) => {
    if (gpu === undefined) return undefined
    const found = findOnnxRuntimeForGpu(path)
    if ('reason' in found) {
      process.emitWarning(`The networks run on the CPU: ${found.reason}`, { type: 'SadaWarning' })
      return undefined
    }
    return deviceEngine({ library: found.library, kind: 'onnxruntime', gpu }, settings)
  }

/**
 * ONNX Runtime's WebGPU provider, in the build that the package brings: the networks on whatever GPU Vulkan, Direct3D 12 or Metal drive. Tensors
 * are where they would be without it. Without such a GPU it is BACKEND_UNAVAILABLE when the first network is loaded.
 */
export const onnxRuntimeOnWebGpu =
  (settings: SessionSettings = {}): OpenDeviceEngine =>
  // eslint-disable-next-line @typescript-eslint/require-await -- throws by rejecting
  async () =>
    deviceEngine({ library: findOnnxRuntime(), kind: 'webgpu' }, settings)

function deviceEngine(options: EngineOptions, { threads, memoryArena }: SessionSettings): DeviceEngine {
  let engine: Engine
  try {
    engine = new (loadAddon().Engine)(options)
  } catch (error) {
    throw asSadaError(error)
  }
  const load: DeviceEngine['load'] = async ({ file, stage, check }) => {
    try {
      const found = await file.load(engine, { threads, memoryArena })
      check?.(found)
      return found.session
    } catch (error) {
      throw asSadaError(error, { stage })
    }
  }
  return { engine, onGpu: options.gpu !== undefined, compiles: false, load }
}
