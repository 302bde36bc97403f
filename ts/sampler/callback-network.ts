import { inspect, types } from 'node:util'
import { SadaError } from '../errors.ts'
import type { Slice, TensorRef, TokenLayout, Workspace } from '../native/types.ts'
import { orAborted } from './abort.ts'
import type { Network, NetworkCall, NetworkOutput } from './network.ts'

/** What a network of the caller's own is asked. */
export interface NetworkInput {
  /**
   * α·x0 + σ·n for the members that run, [members.length, …shape.slice(1)]. The buffer is reused: it is valid until the
   * returned promise settles (it may be transferred away).
   */
  readonly sample: Float32Array
  /** The scheduler's timestep, as diffusers gives it to the network (0 … num_train_timesteps, fractional for Karras and flow). */
  readonly timestep: number
  /** Noise level: sample = alpha·x0 + sigma·noise. */
  readonly alpha: number
  /** The noise's share: alpha² + sigma² = 1, for flow matching alpha + sigma = 1. */
  readonly sigma: number
  /** Sampling step, 0-based. */
  readonly step: number
  /** Members of the batch that run this time, ascending; index conditioning by them. */
  readonly members: readonly number[]
  /** The run's own; one that never fires where it has none. When it fires, the answer is waited for no longer. */
  readonly signal: AbortSignal
}

/**
 * Returns the guided prediction, in the scheduler's `prediction_type`, of `sample`'s length: [members.length, …shape.slice(1)].
 * Called for the steps that are computed or audited, never before the call before has settled.
 *
 * The array is not copied. It must stay unchanged until the next call, or after the last one until `sample` settles; then it may be used
 * again. `sample` itself, written over, will do.
 *
 * What it throws or rejects with is NETWORK_FAILED, as its `cause` (a `SadaError` stays itself). Another type or length is NETWORK_OUTPUT,
 * NaN or infinity NON_FINITE (in an audit nothing). Each ends the run.
 */
export type NetworkFunction = (input: NetworkInput) => Promise<Float32Array> | Float32Array

/** Any asynchronous function as a network. */
export class CallbackNetwork implements Network {
  readonly guidance: number
  readonly canPrune = false
  readonly tokens: Network['tokens']
  private readonly call: NetworkFunction
  private readonly workspace: Workspace
  private readonly length: number
  private readonly capacity: number
  /** Made at the first step. */
  private sample = new Float32Array(0)
  /** Memory of the workspace for steps that are made on the addon's thread, which does not touch the caller's. */
  private readonly staging: number | undefined

  constructor(
    call: NetworkFunction,
    workspace: Workspace,
    members: number,
    length: number,
    { layout, guidance = 1 }: { readonly layout?: TokenLayout; readonly guidance?: number } = {},
  ) {
    this.guidance = guidance
    this.call = call
    this.workspace = workspace
    this.length = length
    this.capacity = members * length
    this.staging = this.capacity > workspace.inlineElements ? workspace.allocate(this.capacity, 'float32', 'staging') : undefined
    this.tokens = layout && tokenScores(workspace, members, layout)
  }

  async evaluate(call: NetworkCall): Promise<NetworkOutput[]> {
    const { step, timestep, level, members, signal } = call
    const sample = await this.compose(call)
    const input: NetworkInput = { sample, timestep, alpha: level.alpha, sigma: level.sigma, step, members, signal }
    // Not sample.length: a transferred buffer has none any more.
    const answer = this.readable(this.check(await this.ask(input), members.length * this.length, step))
    return members.map((_, k) => ({ row: { answer: 1 }, buffers: { answer: { tensor: answer, offset: k * this.length } } }))
  }

  private async compose({ states, inputScale }: NetworkCall): Promise<Float32Array> {
    // A caller may also have transferred the buffer to a worker; then it is gone and a new one is due.
    if (this.sample.length === 0) this.sample = new Float32Array(this.capacity)
    for (const [k, state] of states.entries()) {
      const part = this.sample.subarray(k * this.length, (k + 1) * this.length)
      if (inputScale === 1) this.workspace.read(state.tensor as number, state.offset, part)
      else await this.scale(state, inputScale, part)
    }
    return this.sample.subarray(0, states.length * this.length)
  }

  private async scale(state: Slice, factor: number, to: Float32Array): Promise<void> {
    const isInline = this.length <= this.workspace.inlineElements
    const store = { tensor: isInline ? to : this.staging!, offset: 0 }
    await this.workspace.step(this.length, [{ inputs: [state], rows: [{ inputs: [0], weights: [factor], store }], sums: [] }])
    if (!isInline) this.workspace.read(store.tensor as number, 0, to)
  }

  /** Where a step can read the answer: in place if it is made before anyone else runs, else from a copy. */
  private readable(answer: Float32Array): TensorRef {
    if (this.staging === undefined) return answer
    this.workspace.write(this.staging, 0, answer)
    return this.staging
  }

  private async ask(input: NetworkInput): Promise<unknown> {
    try {
      return await orAborted(Promise.resolve(this.call(input)), input.signal)
    } catch (error) {
      input.signal.throwIfAborted()
      if (error instanceof SadaError) throw error
      throw new SadaError('NETWORK_FAILED', `The network failed at step ${input.step}: ${reasonOf(error)}`, {
        step: input.step,
        cause: error,
      })
    }
  }

  private check(answer: unknown, length: number, step: number): Float32Array {
    // Not by `instanceof`: an array of another realm (a context of a test runner, say) is one too, and a proxy of one is none.
    if (!types.isFloat32Array(answer)) {
      const message = `Expected the network to return a Float32Array of length ${length} at step ${step}, received ${kindOf(answer)}.`
      throw new SadaError('NETWORK_OUTPUT', message, { step })
    }
    if (answer.length !== length) {
      const message = `Expected the network to return ${length} values at step ${step} (as many as its sample), received ${answer.length}.`
      throw new SadaError('NETWORK_OUTPUT', message, { step })
    }
    // Memory that other threads can write is copied, so that the step sees one state of it.
    return types.isSharedArrayBuffer(answer.buffer) ? new Float32Array(answer) : answer
  }
}

/** In words, of whatever a function may throw. */
function reasonOf(error: unknown): string {
  if (error instanceof Error || types.isNativeError(error)) return error.message
  return typeof error === 'string' ? error : inspect(error, { depth: 0, breakLength: Infinity, customInspect: false })
}

function kindOf(answer: unknown): string {
  if (answer === null || typeof answer !== 'object') return String(answer)
  return types.isProxy(answer) ? 'a proxy' : (answer.constructor?.name ?? 'an object')
}

function tokenScores(workspace: Workspace, members: number, layout: TokenLayout): NonNullable<Network['tokens']> {
  const count = layout.grid[0] * layout.grid[1]
  const tensor = workspace.allocate(members * count, 'float32', 'network')
  const scores = new Float32Array(count)
  const slice = (member: number): Slice => ({ tensor, offset: member * count })
  return {
    layout,
    scores: slice,
    unstableShare(member) {
      workspace.read(tensor, member * count, scores)
      return scores.reduce((unstable, score) => unstable + (score >= 0 ? 1 : 0), 0) / count
    },
  }
}
