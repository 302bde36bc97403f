import { asSadaError, loadAddon } from '../native/load.ts'
import type { Slice, StepMember, TokenLayout, Workspace } from '../native/types.ts'
import type { Storage } from '../native/workspace-plan.ts'
import type { Decision, MemberPolicy, Observation } from '../policy/policy.ts'
import { plus, substitute, type Row } from '../solver/row.ts'
import type { Solver } from '../solver/solver.ts'
import { Buffers, StepRequest } from './buffers.ts'
import type { NetworkOutput } from './network.ts'
import type { StepInProgress } from './trace.ts'

/** Buffers of the loop itself: the state, the next state, the clean sample of the step before, and of this one. */
const OWN_BUFFERS = 4

/** A step of one member that has been formulated but not accepted: its native request and the tensors it writes. */
export interface PreparedStep {
  readonly decision: Decision
  readonly native: StepMember
  readonly keptTokens?: number
  readonly flopShare?: number
  readonly host?: Observation['host']
  readonly outputs: readonly { readonly names: readonly string[]; readonly tensor: number }[]
}

/** One member of the batch during one run: its policy, its buffers, its trace. */
export class Member {
  readonly trace: StepInProgress[] = []
  nfe = 0
  skipped = 0
  readonly index: number
  readonly policy: MemberPolicy
  private readonly workspace: Workspace
  private readonly buffers: Buffers
  private readonly solver: Solver
  /** Whether clean samples that the policy keeps are the loop's own, or apart, as they are stored otherwise. */
  private readonly sharesX0: boolean

  constructor(
    index: number,
    policy: MemberPolicy,
    solver: Solver,
    workspace: Workspace,
    latents: Float32Array,
    history: Storage = 'float32',
  ) {
    this.index = index
    this.policy = policy
    this.solver = solver
    this.workspace = workspace
    this.sharesX0 = history === 'float32'
    this.buffers = new Buffers(
      workspace,
      latents.length,
      { count: OWN_BUFFERS, use: 'latents', storage: 'float32' },
      { count: policy.capacity, use: 'history', storage: history },
    )
    const state = this.buffers.take('own')
    workspace.write(state, 0, latents)
    this.buffers.bind(['x'], state)
  }

  slice(name: 'x' | 'x0Prev'): Slice {
    return this.buffers.get(name)!
  }

  /** The buffer of any name that this member keeps. */
  readonly find = (name: string): Slice | undefined => this.buffers.get(name)

  /** The tensors of its buffers, the state's first. */
  tensors(): number[] {
    return this.buffers.all()
  }

  /** Where its state and clean sample are, after steps that were not made through it. */
  place(state: number, denoised: number): void {
    this.buffers.bind(['x'], state)
    this.buffers.bind(['x0Prev'], denoised)
  }

  /** Rejections of a run do not tell what fails here from the user's own where `onStep` reads: it is a `SadaError` already. */
  read(name: 'x' | 'x0Prev', target: Float32Array): void {
    try {
      this.workspace.read(this.buffers.get(name)!.tensor as number, 0, target)
    } catch (error) {
      throw asSadaError(error)
    }
  }

  /**
   * Formulates step `step`: every row that the solver, the policy and the trace want, over the buffers that exist,
   * as one request. The first sum is always Σ|x0|, which tells whether anything is non-finite.
   */
  prepare(step: number, decided: Decision, output?: NetworkOutput, tokens?: { layout: TokenLayout; store: Slice }): PreparedStep {
    const decision = output?.done ?? decided
    const definitions = this.define(step, decision, output)
    const observation = this.policy.observe(step, decision)
    const request = new StepRequest((name) => output?.buffers[name] ?? this.buffers.get(name))
    const outputs = this.outputs(observation).map(({ names, row }) => {
      // A computed step advances its state in place: one buffer less in the cache. Others may have to be made again from the old one.
      const inPlace = names[0] === 'x' && decision.kind === 'run'
      const isOwn = names[0] === 'x' || names[0] === 'x0Prev'
      const tensor = inPlace ? (this.slice('x').tensor as number) : this.buffers.take(isOwn ? 'own' : 'history')
      return { names, tensor, index: request.row(substitute(row, definitions), { tensor, offset: 0 }) }
    })
    const x0 = outputs.find(({ names }) => names.includes('x0Prev'))!.index
    request.sum(x0)
    const means = observation.means ?? []
    const formed = new Map<Row, number>()
    const rowOf = (row: Row): number => {
      if (!formed.has(row)) formed.set(row, request.row(substitute(row, definitions)))
      return formed.get(row)!
    }
    const sums = means.map(({ a, b, signed }) => request.sum(rowOf(a), b && rowOf(b), signed))
    const scored = tokens && observation.tokenScores !== undefined ? { sum: sums[observation.tokenScores], ...tokens } : undefined
    const { keptTokens, flopShare } = output ?? {}
    return { decision, native: request.build(scored), keptTokens, flopShare, host: observation.host, outputs }
  }

  /** Makes the step's results the member's state. */
  accept({ decision, outputs }: PreparedStep): void {
    if (decision.kind === 'skip') this.skipped++
    for (const { names, tensor } of outputs) this.buffers.bind(names, tensor)
  }

  /** What the policy wants formed in JavaScript, of an accepted step. */
  measure({ host }: PreparedStep, length: number): readonly number[] {
    if (!host) return []
    const values = host.read.map((name) => {
      const target = new Float32Array(length)
      this.workspace.read(this.find(name)!.tensor as number, 0, target)
      return target
    })
    return host.reduce(values, loadAddon())
  }

  /** Forgets what no later step can use; called after the policy has heard of the step. */
  recycle(): void {
    this.buffers.retainOnly(this.policy.keeps())
  }

  /** Gives up a prepared step that is to be made again: its results are not finite. */
  reject({ outputs }: PreparedStep): void {
    for (const { tensor } of outputs) this.buffers.giveBack(tensor)
  }

  private define(step: number, decision: Decision, output?: NetworkOutput): Record<string, Row> {
    const { solver, policy } = this
    const estimate = decision.kind === 'skip' ? decision.x0 : substitute(solver.denoised(step), { output: output!.row })
    const correction = decision.kind === 'skip' ? undefined : policy.correction?.(step)
    const x0 = correction?.x0 ? substitute(correction.x0, { estimate }) : estimate
    const corrected = (name: 'x' | 'x0Prev', by: Row = {}): Row => plus({ [name]: 1 }, substitute(by, { x0 }))
    const x = corrected('x', correction?.x)
    const next = substitute(solver.update(step), { x, x0, x0Prev: corrected('x0Prev', correction?.x0Prev) })
    const y = substitute(solver.velocity(step), { x, x0 })
    return { x, estimate, x0, y, next, ...(output && { output: output.row }) }
  }

  /** What the step writes: the loop's own two buffers and the policy's, sharing one where both want x0 stored in the same way. */
  private outputs(observation: Observation): { names: string[]; row: Row }[] {
    const wanted: { names: string[]; row: Row }[] = [
      { names: ['x'], row: { next: 1 } },
      { names: ['x0Prev'], row: { x0: 1 } },
    ]
    for (const [name, row] of Object.entries(observation.store ?? {})) {
      if (this.sharesX0 && isPlain(row, 'x0')) wanted[1].names.push(name)
      else wanted.push({ names: [name], row })
    }
    return wanted
  }
}

function isPlain(row: Row, name: string): boolean {
  return row[name] === 1 && Object.keys(row).length === 1
}
