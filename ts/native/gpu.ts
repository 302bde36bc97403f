import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { invalidArgument, SadaError } from '../errors.ts'
import { asSadaError, loadAddon, PREBUILT, ROOT } from './load.ts'
import type { GpuInfo, GpuRef, GpuReport } from './types.ts'

/** Where sampling runs. `auto` is a GPU where one can be used, else the CPU; `cuda` is the first GPU, `cuda:1` the second. */
export type DeviceSetting = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`

const LIBRARY = process.platform === 'win32' ? 'sada_cuda.dll' : 'libsada_cuda.so'

/** Every place where the GPU library is looked for, in order; the first that exists is used. */
export function gpuLibraryPaths(): { readonly path: string; readonly exists: boolean }[] {
  const own = process.env.SADA_CUDA_PATH
  const paths = own ? [resolve(own)] : [join(PREBUILT, LIBRARY), join(ROOT, 'build', 'cuda', 'Release', LIBRARY)]
  return paths.map((path) => ({ path, exists: existsSync(path) }))
}

/**
 * What the GPU library finds here, of the GPU of an index alone where there is one; undefined where there is no library. Rejects with
 * BACKEND_UNAVAILABLE where it does not open.
 */
export async function inspectGpus(index?: number): Promise<{ readonly library: string; readonly report: GpuReport } | undefined> {
  const library = gpuLibraryPaths().find(({ exists }) => exists)?.path
  if (library === undefined) return undefined
  try {
    return { library, report: await loadAddon().gpus(library, index) }
  } catch (error) {
    throw asSadaError(error)
  }
}

/** A GPU to run on, or why there is none, without a full stop. */
export type FoundGpu = { readonly gpu: GpuRef; readonly info: GpuInfo } | { readonly gpu: undefined; readonly reason: string }

export async function findGpu(index = 0): Promise<FoundGpu> {
  const none = (reason: string): FoundGpu => ({ gpu: undefined, reason: reason.replace(/\.$/, '') })
  let found: Awaited<ReturnType<typeof inspectGpus>>
  try {
    found = await inspectGpus(index)
  } catch (error) {
    return none((error as Error).message)
  }
  if (found === undefined) {
    const tried = gpuLibraryPaths().map(({ path }) => path)
    return none(
      `the GPU library was not found; tried ${tried.join(', ')}. The package brings it for Linux x64, "npm run build:cuda" makes it in a checkout, SADA_CUDA_PATH names one.`,
    )
  }
  const { library, report } = found
  const info = report.gpus.find((each) => each.index === index)
  if (info === undefined) return none(report.reason ?? `there is no GPU ${index}; found ${report.gpus.length}`)
  return { gpu: { library, index }, info }
}

/** The GPU that a setting asks for; none for the CPU, with the reason where `auto` took it. */
export interface ChosenGpu {
  readonly gpu?: GpuRef
  readonly withoutGpu?: string
}

/** Rejects with BACKEND_UNAVAILABLE where a GPU was asked for and cannot be had. */
export async function chooseGpu(device: DeviceSetting): Promise<ChosenGpu> {
  if (device === 'cpu') return {}
  const [, index] = /^cuda(?::(\d{1,3}))?$/.exec(device) ?? []
  if (device !== 'auto' && device !== 'cuda' && index === undefined) {
    throw invalidArgument('device', '"auto", "cpu", "cuda" or "cuda:<index>"', device)
  }
  const found = await findGpu(Number(index ?? 0))
  if (found.gpu !== undefined) return { gpu: found.gpu }
  if (device === 'auto') return { withoutGpu: found.reason }
  throw new SadaError('BACKEND_UNAVAILABLE', `"${device}" cannot be used: ${found.reason}.`, { argument: 'device' })
}
