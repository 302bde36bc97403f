/**
 * The typed mirror of the native addon: what `native/addon.cpp` exports and nothing else.
 * Every length, offset and index is checked again on the native side; a wrong one throws, it never reads outside.
 */

import type { Engine, EngineOptions, TensorRtBuilder } from './engine-types.ts'
import type { Storage, TensorUse, WorkspaceCalls, WorkspacePlan } from './workspace-plan.ts'

export * from './engine-types.ts'

/** A tensor of a `Workspace`, by its id; or (in `Workspace.step` only) memory of the caller's. */
export type TensorRef = number | Float32Array

/** `length` consecutive floats of a tensor, from `offset`. The length follows from the request. */
export interface Slice {
  readonly tensor: TensorRef
  readonly offset: number
}

/** Σ weight·input over some of a step's inputs, each named once; added up in the order of the step's inputs (which fixes the rounding). */
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
  /** Graphs that were recorded. */
  readonly captured: number
  /** Jobs that were launched as one of them. */
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
  /**
   * Convolves in place along one axis with periodic borders. `values` [blocks, n, stride], `response` [n] by distance: values[i] becomes
   * Σ response[k]·values[(i + k) mod n]. The arrays must not share memory.
   */
  convolve(values: Float32Array, response: Float32Array, stride: number): void
  /**
   * Opens a GPU library (once per process) and starts its GPUs, or the one of an index alone: each costs memory there. Rejects with
   * BACKEND_UNAVAILABLE where it does not open.
   */
  gpus(library: string, index?: number): Promise<GpuReport>
  /** Bytes that a workspace on a GPU takes beside its tensors: on the GPU, and page-locked in the host. Needs the library alone. */
  gpuScratch(library: string, calls: WorkspaceCalls): { readonly device: number; readonly pinned: number }
  /** What is alive now, over all environments of the process. */
  counters(): Counters
  /** Ends every thread of the addon, over all environments: what runs is cancelled and waited for, what waits is dropped. For a process that ends. */
  stop(): void
}
