import type { ChosenGpu } from '../native/gpu.ts'
import type { Engine, SessionInfo } from '../native/types.ts'
import type { OnnxFile } from '../onnx/file.ts'
import type { Profiles } from './profiles.ts'

/** A model file, and the sizes that it will see. */
export interface NetworkFile {
  /** Names for people. */
  readonly model: string
  readonly stage: string
  readonly file: OnnxFile
  readonly profiles: Profiles
  /** Throws IO_MISMATCH where what an engine found in the file is not what the model says of it. */
  readonly check?: (found: SessionInfo) => void
}

/** How far the build of one engine is. */
export interface BuildProgress {
  /** The network, or the stage of it, that the engine is for. */
  readonly stage: string
  /** The builder's own words for what it does, or `waiting for another build of it`; and how far that is. */
  readonly phase: string
  /** Steps of the phase that are done. */
  readonly done: number
  /** Steps that the phase has. */
  readonly of: number
}

/** The phase in which another run, mostly of another process, builds the same engine. */
export const WAITING = 'waiting for another build of it'

/** What watches engines being built, and ends it. */
export interface BuildWatch {
  readonly signal?: AbortSignal
  /** Called a few times a second while an engine is built; once where that is waited for. */
  readonly onBuild?: (progress: BuildProgress) => void
}

/** What of an engine a loaded model has use for. */
export type OpenedDevice = Pick<DeviceEngine, 'engine' | 'onGpu' | 'activationBytes' | 'keepCompiled'>

/** What runs networks on a GPU. */
export interface DeviceEngine {
  readonly engine: Engine
  /** Whether between tensors on the GPU that holds those of a run; else between tensors in host memory. */
  readonly onGpu: boolean
  /** Working memory in bytes that all sessions loaded so far share, where the library says. */
  readonly activationBytes?: number
  /** Whether sessions serve the sizes of their profiles alone. */
  readonly compiles: boolean
  /**
   * The session of a file. Rejects with MODEL_NOT_FOUND, MODEL_CORRUPT, UNSUPPORTED, MODEL_CHANGED, NETWORK_FAILED, ENGINE_UNTRUSTED,
   * OUT_OF_MEMORY, DEVICE_LOST or BACKEND_UNAVAILABLE.
   */
  load(file: NetworkFile): Promise<number>
  /** Keeps what the library compiled for sizes that were run, so that another process need not. Never rejects: what is not kept is compiled again. */
  keepCompiled?(): Promise<void>
}

/** Opens it for a GPU; undefined: nothing can run on this one, the networks stay on the CPU. Rejects with BACKEND_UNAVAILABLE. */
export type OpenDeviceEngine = (chosen: ChosenGpu) => Promise<DeviceEngine | undefined>
