/**
 * The typed mirror of the native addon: what `native/addon.cpp` exports and nothing else.
 * Every length, offset and index is checked again on the native side; a wrong one throws, it never reads outside.
 */

import type { Storage, TensorUse, WorkspaceCalls, WorkspacePlan } from './workspace-plan.ts'

/** A tensor of a `Workspace`, by its id; or (in `Workspace.step` only) memory of the caller's. */
export type TensorRef = number | Float32Array

/** `length` consecutive floats of a tensor, from `offset`. The length follows from the request. */
export interface Slice {
  readonly tensor: TensorRef
  readonly offset: number
}

/** Σ weight·input over some of a step's inputs, in the order given (the order fixes the rounding). */
export interface StepRow {
  readonly inputs: readonly number[] // indices into StepMember.inputs
  readonly weights: readonly number[] // float64; rounded to float32 once
  /** Where the row is written; without it the row only feeds `sums`. May be one of the inputs (elementwise in place). */
  readonly store?: Slice
}

/** A reduction over all elements: Σ a·b; where b is left out Σ|a|, or Σ a if `signed`. */
export interface StepSum {
  readonly a: number // indices into StepMember.rows
  readonly b?: number
  readonly signed?: boolean
}

/** Where tokens lie in a member's elements. */
export interface TokenLayout {
  /** `channels-first`: [channels, gridHeight·patchHeight, gridWidth·patchWidth]; `tokens`: [gridHeight·gridWidth, channels]. */
  readonly order: 'channels-first' | 'tokens'
  readonly channels: number
  readonly grid: readonly [height: number, width: number]
  readonly patch: readonly [height: number, width: number] // [1, 1] for `tokens`
}

/** One member of the batch: up to 8 inputs, up to 8 rows of which up to 6 are stored, up to 6 sums. */
export interface StepMember {
  readonly inputs: readonly Slice[]
  readonly rows: readonly StepRow[]
  readonly sums: readonly StepSum[]
  /** Also reduces one product per token (mean over the token's elements), into `store` (one float per token). */
  readonly tokens?: { readonly sum: number; readonly layout: TokenLayout; readonly store: Slice }
}

/**
 * The buffers of one sampling run. Ids count from 0. Nothing is shared between workspaces. One on a GPU is used by one call after
 * the other: `read` and `write` wait for it.
 */
export interface Workspace {
  /** Steps of up to so many elements (length × members) are made before the call returns; only they may use callers' memory. 0 on a GPU. */
  readonly inlineElements: number
  /**
   * A new zero-filled tensor; the engine takes float32 alone. Throws OUT_OF_MEMORY. In a workspace made from a plan: the plan's next
   * tensor; INTERNAL where that is another one, or none is left. `use` is for the account that a plan gives.
   */
  allocate(length: number, storage?: Storage, use?: TensorUse): number
  write(tensor: number, offset: number, source: Float32Array): void
  read(tensor: number, offset: number, target: Float32Array): void
  /**
   * The fused step: for each member, in one pass, its rows and sums over `length` elements.
   * Returns the sums, [member][sum], in float64; small work is done before the call returns, larger work on the
   * addon's thread (then a promise; callers' own memory must not be among the inputs or stores).
   */
  step(length: number, members: readonly StepMember[]): Float64Array | Promise<Float64Array>
  /** Of the engines' jobs in this workspace. */
  graphs(): GraphReport
  dispose(): void
}

/** CUDA graphs on a GPU: a job with the sizes and addresses of an earlier one is recorded, and from then on launched as one. */
export interface GraphReport {
  readonly captured: number
  readonly launched: number
  /** Why the first one that failed did; the job, and later ones like it, were enqueued command by command. */
  readonly failure?: string
}

export interface SelectRequest {
  readonly scores: Float32Array // one per token, ≥ threshold means: must be computed
  readonly grid: readonly [height: number, width: number]
  readonly threshold: number
  /** Cap on the tokens kept for their score: the highest, ties to the lower index. */
  readonly maxKept: number
  /** One pseudo-random token of every window is kept as well; [0, 0] for none. Partial windows at the edges included. */
  readonly window: readonly [height: number, width: number]
  readonly seed: number // uint32; same seed, same tokens
  /** The kept count is rounded up to the next of these (ascending) with the next-highest scores; none: no rounding. */
  readonly buckets: readonly number[]
}

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
  /** The tensors of `bytes` that it names another file for. Rejects with MODEL_CHANGED where such a file became shorter. */
  readonly weights?: readonly ExternalTensor[]
  /** Bytes of what one node may make of constants while the model loads; it is left to the run where it would be more. Default 2³⁰. */
  readonly mostFolded?: number
  /** Threads inside one operator; 0: one per physical core. Default 0. */
  readonly threads?: number
  /** Keep a growing arena of memory between runs (faster) or return it (smaller). Default true. */
  readonly memoryArena?: boolean
}

export interface EngineOptions {
  /** Path of the library: ONNX Runtime's or TensorRT's. */
  readonly library: string
  /**
   * The GPU that `kind` shall run on, in workspaces that lie on it; none: ONNX Runtime on the CPU. TensorRT's sessions are loaded from
   * the bytes of compiled engines; they reject with ENGINE_INCOMPATIBLE where one is of another version or GPU.
   */
  readonly gpu?: GpuRef
  readonly kind?: 'tensorrt' | 'onnxruntime'
}

/** ONNX Runtime or TensorRT on a thread of its own. Sessions are loaded and run there, one command after another. */
export interface Engine {
  readonly version: string // the library's own
  load(options: SessionOptions): Promise<SessionInfo>
  run(workspace: Workspace, ops: readonly EngineOp[]): EngineJob
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
}

export interface EngineBuildJob {
  /** Rejects with MODEL_CORRUPT or NETWORK_FAILED in the library's own words, INVALID_ARGUMENT, ABORTED. */
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
}

export interface Counters {
  readonly workspaces: number
  readonly tensors: number
  /** Of tensors, wherever they lie. */
  readonly bytes: number
  /** Scratch memory of workspaces on GPUs; and page-locked host memory of theirs. */
  readonly scratchBytes: number
  readonly pinnedBytes: number
  readonly engines: number
  readonly sessions: number
  readonly jobs: number
}

/** A GPU library (`libsada_cuda`) and which of the GPUs it serves. */
export interface GpuRef {
  readonly library: string
  readonly index: number
}

export interface GpuInfo {
  readonly index: number
  readonly name: string
  readonly computeCapability: string // '8.9'
  readonly multiprocessors: number
  readonly totalBytes: number
  readonly freeBytes: number
}

/** What a GPU library finds on this machine. */
export interface GpuReport {
  readonly backend: string // 'cuda'
  /** The newest CUDA that the driver serves and the one the library is built with, 1000·major + 10·minor; 0: no driver. */
  readonly driverVersion: number
  readonly runtimeVersion: number
  readonly gpus: readonly GpuInfo[]
  /** Why there is none, or not every one. */
  readonly reason?: string
}

export interface NativeAddon {
  readonly version: string
  /** What the kernels use here: chosen once at load by a run-time check; SADA_CPU=scalar forces the fallback. Same bits. */
  readonly instructionSet: 'x86-64-v3' | 'scalar'
  /** `Workspace.inlineElements` of one in host memory. */
  readonly inlineElements: number
  /**
   * In host memory; with `gpu` in that GPU's, on a stream of its own. With a plan, all its tensors and all scratch memory are allocated
   * here. Throws BACKEND_UNAVAILABLE, OUT_OF_MEMORY, DEVICE_LOST.
   */
  readonly Workspace: new (gpu?: GpuRef, plan?: WorkspacePlan) => Workspace
  /** Opens the library (once per process). Throws BACKEND_UNAVAILABLE with the loader's own words. */
  readonly Engine: new (options: EngineOptions) => Engine
  /** Opens TensorRT and its ONNX parser (once per process). Throws BACKEND_UNAVAILABLE with the loader's own words. */
  readonly TensorRtBuilder: new (paths: { readonly library: string; readonly parser: string }) => TensorRtBuilder
  select(request: SelectRequest): Int32Array // kept token indices, ascending
  /** float32 ↔ float16/bfloat16 (IEEE round-to-nearest-even; NaN stays NaN). Lengths must match. */
  convert(source: Float32Array | Uint16Array, target: Float32Array | Uint16Array, type: 'float16' | 'bfloat16'): void
  /** Opens a GPU library (once per process) and starts its GPUs. Rejects with BACKEND_UNAVAILABLE where it does not open. */
  gpus(library: string): Promise<GpuReport>
  /** Bytes that a workspace on a GPU takes beside its tensors: on the GPU, and page-locked in the host. Needs the library alone. */
  gpuScratch(library: string, calls: WorkspaceCalls): { readonly device: number; readonly pinned: number }
  /** What is alive now, over all environments of the process. */
  counters(): Counters
}
