import { existsSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { SADA_ERROR_CODES, SadaError, type SadaErrorDetails } from '../errors.ts'
import { encodeStep } from './step-program.ts'
import type { GpuRef, NativeAddon, StepMember, Workspace } from './types.ts'
import type { Storage, WorkspacePlan } from './workspace-plan.ts'

/** An Electron archive cannot be opened as a library: beside it lies the unpacked copy. */
const unpacked = (path: string): string => path.replace(/app\.asar(?!\.unpacked)/, 'app.asar.unpacked')
/** The package's folder: two above this file, in `dist/` as in `ts/`. */
export const ROOT = unpacked(join(__dirname, '..', '..'))
const PLATFORM = `${process.platform}-${process.arch}`
/** Tools that collect a server's files by reading its code (Next.js, Nitro) see a whole folder named like this, and take it along. */
const EVERY_PLATFORM = join(__dirname, '..', '..', 'prebuilt')
/** This platform's libraries. */
export const PREBUILT = unpacked(join(EVERY_PLATFORM, PLATFORM))
const LIBRARY =
  { win32: 'onnxruntime.dll', darwin: 'libonnxruntime.1.dylib' }[process.platform as string] ?? 'libonnxruntime.so.1'

/** Its name, of any version. */
export const ONNXRUNTIME = /^(onnxruntime\.dll|libonnxruntime(\.\d+)*\.dylib|libonnxruntime\.so(\.\d+)*)$/

let loaded: NativeAddon | undefined

function addonPaths(): string[] {
  const own = process.env.SADA_ADDON_PATH
  return own ? [resolve(own)] : [join(PREBUILT, 'sada.node'), join(ROOT, 'build', 'Release', 'sada.node')]
}

function runtimePaths(): string[] {
  const given = process.env.SADA_ONNXRUNTIME_PATH
  const own = given && resolve(given) // the system's loader looks for a bare name elsewhere
  const installed = join(ROOT, 'node_modules', 'onnxruntime-node', 'bin', 'napi-v6', process.platform, process.arch, LIBRARY)
  return own ? [onnxRuntimeIn(own) ?? own] : [join(PREBUILT, LIBRARY), installed]
}

/** ONNX Runtime's library in a folder, under whatever version it has there; undefined where there is none, or it is no folder. */
export function onnxRuntimeIn(folder: string): string | undefined {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return undefined
  const name = readdirSync(folder).find((each) => ONNXRUNTIME.test(each))
  return name && join(folder, name)
}

/** Every place where the addon and ONNX Runtime are looked for, in order; of each the first that exists is used. */
export function libraryPaths(): { readonly path: string; readonly exists: boolean }[] {
  return [...addonPaths(), ...runtimePaths()].map((path) => ({ path, exists: existsSync(path) }))
}

/** The native addon, loaded at the first call. Throws BACKEND_UNAVAILABLE with every path tried and the loader's own words. */
export function loadAddon(): NativeAddon {
  if (loaded) return loaded
  const failures: string[] = []
  const load = createRequire(__filename)
  for (const path of addonPaths()) {
    try {
      loaded = complete(load(path) as RawAddon)
      endWithProcess(loaded)
      return loaded
    } catch (error) {
      failures.push(`  ${path}: ${existsSync(path) ? (error as Error).message : 'does not exist'}`)
    }
  }
  throw new SadaError(
    'BACKEND_UNAVAILABLE',
    `The native addon for ${PLATFORM} (Node ${process.versions.node}) could not be loaded. Tried:\n${failures.join('\n')}\n` +
      'In a checkout run "npm run build"; in an Electron app keep node_modules/sada/prebuilt out of the asar archive; SADA_ADDON_PATH names another one.',
  )
}

/**
 * `process.exit` destroys what ONNX Runtime made on first use before any handler that was registered earlier: the threads that use it have
 * to end before that. Workers are ended by their environment.
 */
function endWithProcess(addon: NativeAddon): void {
  if (isMainThread) process.once('exit', () => addon.stop())
}

/** The addon as it is exported: its steps are encoded. */
type RawAddon = Omit<NativeAddon, 'Workspace'> & {
  readonly Workspace: new (
    gpu?: GpuRef,
    plan?: WorkspacePlan,
  ) => Workspace & {
    stepEncoded(
      length: number,
      numbers: Float64Array,
      count: number,
      callers: readonly Float32Array[],
    ): Float64Array | Promise<Float64Array>
  }
}

function complete(addon: RawAddon): NativeAddon {
  class EncodingWorkspace extends addon.Workspace {
    override readonly inlineElements: number
    private readonly planned: WorkspacePlan['tensors'] | undefined
    private asked = 0
    constructor(gpu?: GpuRef, plan?: WorkspacePlan) {
      super(gpu, plan)
      this.inlineElements = gpu === undefined ? addon.inlineElements : 0
      this.planned = plan?.tensors
    }
    override allocate(length: number, storage: Storage = 'float32'): number {
      if (this.planned === undefined) return super.allocate(length, storage)
      const next = this.planned.at(this.asked)
      if (next?.length === length && next.storage === storage) return this.asked++
      const planned = next ? `${next.length} of ${next.storage} were` : 'no more were'
      throw new SadaError('INTERNAL', `A run asked for a tensor of ${length} elements of ${storage}, where ${planned} planned.`)
    }
    override step(length: number, members: readonly StepMember[]): Float64Array | Promise<Float64Array> {
      const { numbers, count, callers } = encodeStep(members)
      return this.stepEncoded(length, numbers, count, callers)
    }
  }
  return { ...addon, Workspace: EncodingWorkspace }
}

/** Where ONNX Runtime's library is: SADA_ONNXRUNTIME_PATH (the library or its folder), beside the addon, or in `onnxruntime-node`. Throws BACKEND_UNAVAILABLE. */
export function findOnnxRuntime(): string {
  const paths = runtimePaths()
  const found = paths.find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new SadaError(
    'BACKEND_UNAVAILABLE',
    `ONNX Runtime was not found. Tried:\n${paths.map((path) => `  ${path}`).join('\n')}\nSet SADA_ONNXRUNTIME_PATH to a ${LIBRARY} of version 1.20 or later, or to its folder.`,
  )
}

/** What V8 says where it has no memory for an array's numbers. */
const ALLOCATION_FAILED = 'Array buffer allocation failed'

/**
 * An error of the addon (an Error with one of our codes) as a SadaError; so is an array that there was no memory for, and what a stage or step met otherwise, an error of the system
 * say, as INTERNAL. Without those it is the caller's own, thrown by a callback: as it is, like anything that is no Error with a `code`.
 */
export function asSadaError(error: unknown, details: SadaErrorDetails = {}): unknown {
  if (error instanceof SadaError) return at(error, details)
  if (!(error instanceof Error)) return error
  if (error.message === ALLOCATION_FAILED) {
    const message = "There is no memory for an array of the call's, in JavaScript: fewer or smaller results at once take less."
    return new SadaError('OUT_OF_MEMORY', message, { ...details, cause: error })
  }
  const { code } = error as { code?: unknown }
  if (typeof code !== 'string') return error
  // Without a signal that fired, only the end of its engine aborts a run.
  const known = SADA_ERROR_CODES.find((each) => each === (code === 'ABORTED' ? 'DISPOSED' : code))
  if (known === undefined && details.stage === undefined && details.step === undefined) return error
  const where = details.stage === undefined ? '' : ` (stage "${details.stage}")`
  return new SadaError(known ?? 'INTERNAL', error.message + where, { ...details, cause: error })
}

/** The error, with the stage where it does not say one itself. */
function at(error: SadaError, { stage }: SadaErrorDetails): SadaError {
  if (stage === undefined || error.stage !== undefined) return error
  const { code, message, argument, step, cause } = error
  return new SadaError(code, message, { argument, step, stage, cause: cause ?? error })
}
