import type { Workspace } from '../native/types.ts'
import { run, type Decision, type FeatureChange, type Features, type Policy } from '../policy/policy.ts'
import type { Solver } from '../solver/solver.ts'
import { Audit } from './audit.ts'
import { afterCallback, nonFinite, onePiece } from './checks.ts'
import { deviceRun, type DeviceRun } from './device-run.ts'
import { Member, type PreparedStep } from './member.ts'
import { freshNoiseOf, type FreshNoise } from './fresh-noise.ts'
import type { NoiseSource } from './latents.ts'
import { FULL, needsOf, type PreparedRun, type StorageChoice } from './memory.ts'
import { mapOf, type FeatureCall, type Network, type NetworkOutput } from './network.ts'
import { RemainingTime } from './remaining.ts'
import { eventOf, noteOf, notesOf, type StepEvent, type Trace } from './trace.ts'

export interface LoopOptions {
  readonly solver: Solver
  readonly network: Network
  readonly policy: Policy
  readonly workspace: Workspace
  /** The initial state in the solver's own scale, one array of equal length for each member. */
  readonly latents: readonly Float32Array[]
  /** What a stochastic solver's fresh noise is drawn from. */
  readonly noise?: NoiseSource
  /** How what is remembered is stored; float32 where nothing is said. */
  readonly storage?: StorageChoice
  /** What the trace says beside what the policy does. */
  readonly warnings?: readonly string[]
  /** Share of the skips that are computed as well, to see what they got wrong. */
  readonly audit?: number
  /** Changes a member's state in place, after step `step` has made it. */
  readonly afterStep?: (step: number, member: number, state: Float32Array) => void
  readonly signal: AbortSignal
  /** Waited for before the next step. */
  readonly onStep?: (event: StepEvent) => unknown
}

/** Longest time that steps may follow each other without letting the event loop turn, in milliseconds. */
const LONGEST_STRETCH_MS = 8

/** A member and what it is to do at this step. */
interface Candidate {
  readonly member: Member
  readonly decision: Decision
  readonly isWhole?: boolean // nothing may be left out any more: a pass that did was not finite
}

/**
 * The denoising loop: decide, evaluate the network for the members that run, make the step of all members in one pass,
 * tell the policies what was measured. It does not know which policy runs, or what the network is.
 */
export class DenoisingLoop {
  private readonly options: LoopOptions
  private readonly members: readonly Member[]
  private readonly length: number
  /** The policy's options as they hold for this run. */
  readonly policyOptions: Readonly<Record<string, unknown>>
  /** The largest calls that the run makes. Nothing is allocated once this is known. */
  readonly needs: PreparedRun['needs']
  private readonly warnings: readonly string[]
  private readonly outcome: (ms: number) => readonly string[]
  private readonly features: Features | undefined
  private readonly audit: Audit | undefined
  private readonly freshNoise: FreshNoise | undefined
  private readonly remaining: RemainingTime
  private device: DeviceRun | undefined
  private startedAt = 0
  private networkMs = 0
  private auditMs = 0
  private readable?: number // the step whose values `onStep` can read

  constructor(options: LoopOptions) {
    const { solver, network, policy, workspace, latents, storage = FULL } = options
    this.options = options
    this.length = latents[0].length
    const [height, width] = network.tokens?.layout.grid ?? [0, 0]
    const begun = policy.begin({
      solver,
      members: latents.length,
      guidance: network.guidance,
      canPrune: network.canPrune,
      tokens: height * width,
      map: network.tokens && mapOf(network.tokens.layout),
      stages: network.stages ?? [],
      reusable: network.reusable ?? [],
    })
    this.policyOptions = begun.options
    this.warnings = [...(options.warnings ?? []), ...(begun.warnings ?? [])]
    this.outcome = begun.outcome ?? (() => [])
    this.features = begun.members[0].features
    if (this.features && !network.stages) throw onePiece(policy.name)
    this.audit = options.audit ? new Audit(options.audit, solver, latents.length) : undefined
    this.members = begun.members.map((each, b) => new Member(b, each, solver, workspace, latents[b], storage.history))
    this.freshNoise = freshNoiseOf(options)
    this.remaining = new RemainingTime(solver.schedule.steps, policy.name !== 'none')
    this.needs = needsOf(network, latents, network.plan?.(storage, this.features, this.audit !== undefined))
  }

  /** Runs all steps; resolves with the final states, [members, length], and the trace. */
  async run(): Promise<{ latents: Float32Array; trace: Trace }> {
    const { solver, signal, onStep } = this.options
    this.startedAt = performance.now()
    let lastTurn = this.startedAt
    const device = (this.device = deviceRun(this.options, this.members))
    for (let step = 0; step < solver.schedule.steps; step++) {
      signal.throwIfAborted()
      // Who looks at every step waits for every step.
      if (device) await device.advance(onStep ? step + 1 : solver.schedule.steps)
      else await this.step(step)
      await this.freshNoise?.add(step, this.members)
      this.changeStates(step)
      if (onStep) await this.tell(onStep, step)
      if (performance.now() - lastTurn > LONGEST_STRETCH_MS) {
        await new Promise(setImmediate)
        lastTurn = performance.now()
      }
    }
    signal.throwIfAborted()
    return { latents: this.readAll('x'), trace: this.trace() }
  }

  private async tell(onStep: NonNullable<LoopOptions['onStep']>, step: number): Promise<void> {
    this.readable = step
    await Promise.resolve()
      .then(() => onStep(this.event(step)))
      .finally(() => (this.readable = undefined))
  }

  private changeStates(step: number): void {
    const { afterStep, workspace } = this.options
    if (!afterStep) return
    const state = new Float32Array(this.length)
    for (const member of this.members) {
      member.read('x', state)
      afterStep(step, member.index, state)
      workspace.write(member.slice('x').tensor as number, 0, state)
    }
  }

  private async step(step: number): Promise<void> {
    const startedAt = performance.now()
    let waiting = this.members.map((member) => ({ member, decision: this.admit(member.policy.before(step)) }))
    const audited = await this.auditSkips(step, waiting)
    // At most three times: a skip that is not finite is made again with the network, and a pass that left something out as a whole one.
    while (waiting.length > 0) waiting = await this.attempt(step, waiting)
    const ms = performance.now() - startedAt
    for (const member of this.members) member.trace[step].ms = ms
    for (const [member, error] of audited) member.trace[step].auditedError = error
  }

  /** Computes some of the skips, beside the run: root mean square error of what stands in for x0, by member. */
  private async auditSkips(step: number, candidates: readonly Candidate[]): Promise<ReadonlyMap<Member, number>> {
    const { audit, length } = this
    if (!audit) return new Map()
    const chosen = candidates.filter(
      ({ member, decision }) => decision.kind === 'skip' && audit.chooses(step, member.index),
    ) as readonly { member: Member; decision: Extract<Decision, { kind: 'skip' }> }[]
    if (chosen.length === 0) return new Map()
    const startedAt = performance.now()
    const all = chosen.map(() => run)
    const outputs = await this.runNetwork(step, chosen, all)
    const requests = chosen.map(({ member, decision }, k) => audit.request(step, decision.x0, outputs[k], member.find))
    const sums = await this.options.workspace.step(length, requests)
    const ms = performance.now() - startedAt
    this.auditMs += ms
    for (const { policy } of this.members) policy.aside?.(ms)
    // An answer that is not finite measures nothing, and the run does not depend on it.
    const measured = [...sums].map((sum, k) => [chosen[k].member, sum] as const).filter(([, sum]) => Number.isFinite(sum))
    return new Map(measured.map(([member, sum]) => [member, audit.note(step, member.index, Math.sqrt(sum / length))] as const))
  }

  /** Makes the step for `candidates`; returns those that have to do more for it. */
  private async attempt(step: number, candidates: readonly Candidate[]): Promise<Candidate[]> {
    const outputs = await this.evaluate(step, candidates)
    const prepared = candidates.map(({ member, decision }) =>
      member.prepare(step, decision, outputs.get(member), this.tokens(member)),
    )
    const sums = await this.options.workspace.step(
      this.length,
      prepared.map(({ native }) => native),
    )
    const refused: Candidate[] = []
    let from = 0
    for (const [k, { member }] of candidates.entries()) {
      const to = from + prepared[k].native.sums.length
      const magnitude = sums[from] / this.length // of x0: the first sum is Σ|x0|
      const means = Array.from(sums.subarray(from + 1, to), (sum) => sum / this.length)
      from = to
      if (Number.isFinite(magnitude)) this.accept(step, member, prepared[k], means, magnitude)
      else refused.push(this.refuse(step, member, prepared[k]))
    }
    return refused
  }

  /** Runs the network for the candidates that need it. */
  private async evaluate(step: number, candidates: readonly Candidate[]): Promise<ReadonlyMap<Member, NetworkOutput>> {
    const running = candidates.filter(({ decision }) => decision.kind !== 'skip')
    if (running.length === 0) return new Map()
    const decisions = running.map(({ decision }) => decision)
    const outputs = await this.runNetwork(
      step,
      running,
      decisions,
      this.features && this.featureCall(step, this.features, running),
    )
    for (const { member } of running) member.nfe++
    return new Map(running.map(({ member }, k) => [member, outputs[k]]))
  }

  private async runNetwork(
    step: number,
    running: readonly { readonly member: Member }[],
    decisions: readonly Decision[],
    features?: FeatureCall,
  ): Promise<readonly NetworkOutput[]> {
    const { solver, network, signal } = this.options
    const startedAt = performance.now()
    const outputs = await network.evaluate({
      step,
      timestep: solver.schedule.timesteps[step],
      level: solver.schedule.levels[step],
      inputScale: solver.inputScale(step),
      members: running.map(({ member }) => member.index),
      states: running.map(({ member }) => member.slice('x')),
      selections: decisions.map((decision) => (decision.kind === 'prune' ? decision.selection : undefined)),
      features,
      signal,
    })
    this.networkMs += performance.now() - startedAt
    return outputs
  }

  private featureCall(step: number, spec: Features, running: readonly Candidate[]): FeatureCall {
    const midway = (k: number, found: readonly FeatureChange[]): Decision =>
      running[k].isWhole ? run : running[k].member.policy.midway!(step, ...found)
    return { spec, decisions: running.map(({ decision }) => decision), ...(spec.probes && { midway }) }
  }

  private admit(decision: Decision): Decision {
    return decision.kind === 'prune' && !this.options.network.canPrune ? run : decision
  }

  private accept(step: number, member: Member, prepared: PreparedStep, means: readonly number[], magnitude: number): void {
    member.accept(prepared)
    const verdict = member.policy.after(step, prepared.decision, [...means, ...member.measure(prepared, this.length)], magnitude)
    member.recycle()
    const { solver, network } = this.options
    const unstable = prepared.native.tokens && network.tokens?.unstableShare?.(member.index)
    member.trace.push(noteOf(step, solver.schedule.timesteps[step], prepared, verdict, unstable))
  }

  private refuse(step: number, member: Member, prepared: PreparedStep): Candidate {
    member.reject(prepared)
    const { kind } = prepared.decision
    if (kind !== 'run') return { member, decision: run, isWhole: kind !== 'skip' }
    throw nonFinite(step, member.index, this.options.solver.schedule.timesteps[step])
  }

  private tokens(member: Member) {
    const { tokens } = this.options.network
    return tokens && { layout: tokens.layout, store: tokens.scores(member.index) }
  }

  private event(step: number): StepEvent {
    const elapsedMs = performance.now() - this.startedAt
    const read = (name: 'x' | 'x0Prev'): Float32Array => {
      if (this.readable === step) return this.readAll(name)
      throw afterCallback()
    }
    return eventOf(step, this.options.solver.schedule, this.members, this.remaining, elapsedMs, read)
  }

  private readAll(name: 'x' | 'x0Prev'): Float32Array {
    const all = new Float32Array(this.members.length * this.length)
    for (const [b, member] of this.members.entries()) member.read(name, all.subarray(b * this.length, (b + 1) * this.length))
    return all
  }

  private trace(): Trace {
    const { solver, policy, network, workspace } = this.options
    const ms = performance.now() - this.startedAt
    return {
      scheduler: solver.schedule.solver,
      policy: policy.name,
      options: this.policyOptions,
      ...notesOf([...this.warnings, ...this.outcome(ms - this.auditMs)], workspace.graphs()),
      steps: solver.schedule.steps,
      guidance: network.guidance,
      members: this.members.map(({ index, trace, nfe, skipped }) => ({
        steps: trace,
        nfe,
        ...(this.audit && { audit: this.audit.report(index, skipped) }),
      })),
      ...(this.device && { decidedOn: 'device' }),
      ms,
      overheadMs: ms - (this.device?.waitedMs ?? this.networkMs),
    }
  }
}
