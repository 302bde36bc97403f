// What a workspace is made from, and how its tensors are stored.

/** How a tensor's elements are stored. Steps compute in float32 whatever that is: they widen what they read and round what they store. */
export type Storage = 'float32' | 'float16' | 'bfloat16'

/** What a tensor of a run is for (`MemoryQuote` in ts/sampler/memory.ts says what each is). */
export type TensorUse = 'latents' | 'history' | 'caches' | 'conditioning' | 'network' | 'staging'

/** Bytes of one element. */
export const bytesOf = (storage: Storage): number => (storage === 'float32' ? 4 : 2)

/** The largest calls that a run makes of a workspace: what a GPU needs scratch memory for. */
export interface WorkspaceCalls {
  /** Elements of a member's longest step. */
  readonly length: number
  /** Members of a step. */
  readonly members: number
  /** Elements of a member whose tokens are scored; 0: none are. */
  readonly tokenLength: number
  /** Tokens of a gather or scatter; 0: there is none. */
  readonly indices: number
}

/** What a workspace is made from: its tensors, in the order in which they will be asked for. */
export interface WorkspacePlan {
  readonly tensors: readonly { readonly length: number; readonly storage: Storage }[]
  readonly calls: WorkspaceCalls
}

/** Tensors of a plan lie in one block of memory, each on such a boundary. */
export const TENSOR_ALIGNMENT = 256
