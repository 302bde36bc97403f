import type { GpuRef, Slice, Workspace } from './types.ts'

/** The part of the mirror (types.ts) that runs and builds networks. */

/** What a session's model file declares. `-1` is a dynamic dimension, whose name (or '') stands in `symbols`. */
export interface TensorInfo {
  readonly name: string
  readonly type:
    'float32' | 'float16' | 'bfloat16' | 'float64' | 'int64' | 'int32' | 'bool' | 'uint8' | 'int8' | 'string' | 'other'
  readonly dims: readonly number[]
  readonly symbols: readonly string[]
}
export interface SessionInfo {
  readonly session: number
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  /** Working memory of its runs, where the library says; sessions of one TensorRT engine share an arena as large as the largest needs. */
  readonly activationBytes?: number
}

/** A tensor of the workspace with the shape the engine shall see. Float32 here; converted to the model's own type where it differs. */
export interface Binding {
  readonly name: string
  readonly tensor: number
  readonly offset: number
  readonly dims: readonly number[]
}

/** One command for the engine's thread. Commands of a job run in order. */
export type EngineOp =
  | {
      readonly kind: 'stage'
      readonly session: number
      readonly inputs: readonly Binding[]
      readonly outputs: readonly Binding[]
    }
  /** to[r][k] = from[r][indices[k]] for each of `rows` rows of [tokens, channels] (or [channels, tokens] where `order` is channels-first). */
  | {
      readonly kind: 'gather' | 'scatter'
      readonly from: Slice
      readonly to: Slice
      readonly rows: number
      readonly tokens: number
      readonly channels: number
      readonly order: 'channels-first' | 'tokens'
      readonly indices: Int32Array
    }
  /** Copies `length` floats within the workspace. */
  | { readonly kind: 'copy'; readonly from: Slice; readonly to: Slice; readonly length: number }

export interface EngineJob {
  /** Resolves with the milliseconds each op took, on a GPU to be enqueued (a CUDA graph: all in the first); rejects with a coded error. */
  readonly done: Promise<Float64Array>
  /** Ends the job at the next opportunity (ONNX Runtime: between two operators); `done` then rejects with code ABORTED. */
  abort(): void
}

/** A member under the policy `sada`, without pruning (native/device.h, `DeviceSada`). */
export interface SadaRunRequest {
  /** Of ts/sampler/sada-program.ts. */
  readonly program: Float64Array
  readonly length: number
  /** Ten, of `length` float32 each; the first holds the initial state. */
  readonly buffers: readonly Slice[]
  /** The state goes to each of these rows, one or two, scaled; the level to as many numbers. */
  readonly samples: readonly Slice[]
  readonly level: Slice
  readonly pass: readonly EngineOp[]
  /** What the pass leaves. */
  readonly cond: Slice
  readonly uncond?: Slice
}

export interface SadaRun {
  /**
   * Makes the steps before `step`. Resolves with [steps made, –, 1 where the network's answer was not finite, which buffers have the state
   * and the clean sample, then of each step 1 where it was skipped, criterion, error]; NaN where there is none. Rejects as `Engine.run` does.
   */
  advance(step: number): EngineJob
}

/** A tensor of a model whose bytes lie in another file. */
export interface ExternalTensor {
  readonly name: string
  readonly type: number // ONNX's number of its element type
  readonly dims: readonly number[]
  /** The file: open for reading until `load` has settled; its path is for messages (and for Windows, where descriptors cannot be shared). */
  readonly path: string
  readonly descriptor: number
  readonly offset: number
  readonly bytes: number // as many as its elements have
}

export interface SessionOptions {
  readonly path?: string // a model file, external data beside it allowed
  readonly bytes?: Uint8Array // a model in memory (copied before this returns)
  /** Whether the memory that `bytes` lies in, and nothing else, is freed once it is copied; the array is empty then. */
  readonly detach?: boolean
  /** Of a compiled engine: what `Engine.runtimeCache` gave, in whatever process. What the library cannot use is ignored. */
  readonly runtimeCache?: Uint8Array
  /** The tensors of `bytes` that it names another file for. Rejects with MODEL_CHANGED where such a file became shorter. */
  readonly weights?: readonly ExternalTensor[]
  /** Bytes of what one node may make of constants while the model loads; it is left to the run where it would be more. Default 2³⁰. */
  readonly mostFolded?: number
  /** Whether it has convolutions, which ONNX Runtime's CUDA provider plans for a size: then it is loaded once for each number of rows. */
  readonly convolves?: boolean
  /** Threads inside one operator; 0: one per physical core of the machine, whatever the process may use of it. Default 0. */
  readonly threads?: number
  /** Keep a growing arena of memory between runs (faster) or return it (smaller). Default true. */
  readonly memoryArena?: boolean
}

export interface EngineOptions {
  /** Path of the library: ONNX Runtime's or TensorRT's. */
  readonly library: string
  /**
   * The GPU that `kind` shall run on, in workspaces that lie on it; none: ONNX Runtime on the CPU, or through WebGPU, between tensors in
   * host memory. TensorRT's sessions are loaded from the bytes of compiled engines; they reject with ENGINE_INCOMPATIBLE where one is of
   * another version or GPU.
   */
  readonly gpu?: GpuRef
  readonly kind?: 'tensorrt' | 'onnxruntime' | 'webgpu'
}

/** ONNX Runtime or TensorRT on a thread of its own. Sessions are loaded and run there, one command after another. */
export interface Engine {
  readonly version: string // the library's own
  load(options: SessionOptions): Promise<SessionInfo>
  run(workspace: Workspace, ops: readonly EngineOp[]): EngineJob
  /** A member's run whose decisions a GPU makes, in a workspace there; nothing of it is done yet. It lives as long as the workspace. */
  sample(workspace: Workspace, request: SadaRunRequest): SadaRun
  /**
   * All that the library compiled for a session where it runs, if sizes were run since the last call that it had not run before: only
   * TensorRT for RTX compiles then. Undefined where there is nothing new.
   */
  runtimeCache(session: number): Promise<Uint8Array | undefined>
  /** Ends running jobs, releases the sessions, resolves when the thread has stopped. Idempotent. */
  dispose(): Promise<void>
}

/** Sizes that an input of a model may have: TensorRT makes an engine for all between `smallest` and `largest`, fastest at `usual`. */
export interface InputRange {
  readonly input: string
  readonly smallest: readonly number[]
  readonly usual: readonly number[]
  readonly largest: readonly number[]
}

export interface EngineBuildRequest {
  readonly onnx: Uint8Array // copied before `build` returns
  /** Where weights beside the model are looked for: the path of the model file. */
  readonly modelPath?: string
  readonly profiles: readonly (readonly InputRange[])[]
  /** Compute capabilities, 89 for 8.9, to build for without a GPU: TensorRT for RTX alone. None: see `ts/engines/build.ts`. */
  readonly targets: readonly number[]
  /** What an earlier build measured. */
  readonly timingCache?: Uint8Array
  /** Of the engine: what this Node takes as one array, at most. */
  readonly mostBytes: number
}

export interface EngineBuildJob {
  /** Rejects with MODEL_CORRUPT or NETWORK_FAILED in the library's own words, INVALID_ARGUMENT, MODEL_TOO_LARGE, ABORTED. */
  readonly done: Promise<{ readonly engine: Uint8Array; readonly timingCache: Uint8Array }>
  abort(): void
  /** The phases that are going on, outermost first. */
  progress(): readonly { readonly phase: string; readonly done: number; readonly of: number }[]
}

/** TensorRT's builder, on a thread of its own; one build after another. */
export interface TensorRtBuilder {
  readonly library: string // its path
  readonly flavour: 'tensorrt' | 'tensorrt-rtx'
  readonly version: string
  readonly parserVersion: string
  build(request: EngineBuildRequest): EngineBuildJob
  /** Whether TensorRT for RTX builds for a compute capability, 89 for 8.9. TensorRT builds for the GPU that is here, and says then. */
  serves(target: number): boolean
}
