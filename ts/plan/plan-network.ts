import { loadAddon } from '../native/load.ts'
import type { EngineOp, Workspace } from '../native/types.ts'
import { run, type Features, type TokenSelection } from '../policy/policy.ts'
import { finished } from '../sampler/abort.ts'
import type { NetworkNeeds, StorageChoice } from '../sampler/memory.ts'
import type { DevicePass, FeatureCall, Network, NetworkCall, NetworkOutput } from '../sampler/network.ts'
import { FeatureReuse } from './features.ts'
import { keptBuckets } from './profiles.ts'
import { bytesOfStage, type RowTensors } from './row-tensors.ts'
import type { StagedNetwork } from './staged-network.ts'
import { byKeptCount, leftByTokens, segmentsOf, type Segment } from './segments.ts'

/** A member of a call: its rows in the run's tensors and in the call's, and the tokens it keeps (none given: all). */
interface Pass {
  readonly member: number
  readonly runRows: readonly number[]
  readonly callRows: readonly number[]
  readonly keep?: Int32Array
}

/** Guidance other than 1 takes two rows of each member: with its prompt, and without. */
export const rowsPerMember = (guidance: number): 1 | 2 => (guidance === 1 ? 1 : 2)

/**
 * A staged model as the network of one run: guidance as a pair of rows, token stages on the kept tokens only, the
 * features of the others from the run's own cache.
 */
export class PlanNetwork implements Network {
  readonly canPrune: boolean
  readonly guidance: number
  readonly tokens: Network['tokens']
  readonly stages: Network['stages']
  readonly reusable: Network['reusable']
  private readonly model: StagedNetwork
  private readonly workspace: Workspace
  private readonly members: number
  private readonly rowsPerMember: number
  private readonly tensors: RowTensors
  private readonly tokenCount: number
  private readonly scores: number
  private readonly segments: readonly Segment[]
  /** Tensors that token stages leave to others: of a member's pass that is thinned, the rest is from its passes before. */
  private readonly cached: ReadonlySet<string>
  /** For a policy that leaves stages out. */
  private reuse: FeatureReuse | undefined

  /** `tensors` holds the conditioning of every row of the run under the role `run`. */
  constructor(model: StagedNetwork, workspace: Workspace, members: number, guidance: number, tensors: RowTensors) {
    const { stages, layout } = model
    this.model = model
    this.workspace = workspace
    this.guidance = guidance
    this.members = members
    this.rowsPerMember = rowsPerMember(guidance)
    this.stages = stages
    this.reusable = model.reusable
    this.tensors = tensors
    this.segments = segmentsOf(stages)
    this.cached = leftByTokens(this.segments)
    this.canPrune = this.cached.size > 0 && layout !== undefined
    this.tokenCount = model.tokenCount ?? (layout ? layout.grid[0] * layout.grid[1] : 0)
    this.scores = layout ? workspace.allocate(members * this.tokenCount, 'float32', 'network') : -1
    this.tokens = layout && {
      layout,
      scores: (member) => ({ tensor: this.scores, offset: member * this.tokenCount }),
    }
  }

  plan({ features }: StorageChoice, spec: Features | undefined, audits: boolean): NetworkNeeds {
    const { tensors, members } = this
    const { sample, level } = this.model.input
    for (const name of [sample, level]) tensors.slice('call', name, 0)
    const every = Array.from({ length: members }, (_, member): Pass => {
      const rows = this.rowsOf(member)
      return { member, runRows: rows, callRows: rows }
    })
    const ops: EngineOp[] = []
    if (spec === undefined || audits) ops.push(...this.rehearsed(every))
    if (spec) {
      this.reuse = new FeatureReuse(this.model, this.workspace, tensors, members, this.rowsPerMember, spec, features)
      ops.push(...this.reuse.rehearsed(every))
    }
    const stepLength = Math.max(tensors.rowLength(sample), this.reuse?.stepLength ?? 0)
    return { stepLength, indices: this.canPrune ? this.tokenCount : 0, stageBytes: Math.max(0, ...ops.map(bytesOfStage)) }
  }

  /** Commands that between them use every tensor that those of any call use. */
  private rehearsed(every: readonly Pass[]): EngineOp[] {
    const ops = this.commands(every)
    // Only of three members can some be called whose rows do not follow each other.
    if (every.length < 3) return ops
    const apart = [every[0], every[2]]
    ops.push(...this.commands(apart.map((pass, k) => ({ ...pass, callRows: this.rowsOf(k) }))))
    if (!this.canPrune) return ops
    // Pruned, they need not follow each other in the call either.
    for (const { kind, stages } of this.segments) if (kind === 'tokens') this.tokenwise(ops, stages, apart)
    return ops
  }

  async evaluate(call: NetworkCall): Promise<NetworkOutput[]> {
    const passes = call.members.map((member, k): Pass => ({
      member,
      runRows: this.rowsOf(member),
      callRows: this.rowsOf(k),
      keep: this.select(member, call.selections[k]),
    }))
    await this.compose(call)
    if (call.features) return this.evaluateReusing(call, call.features, passes)
    await this.execute(call, this.commands(passes))
    return passes.map((pass, k) => ({ ...this.output(pass), ...(call.selections[k] && !pass.keep && { done: run }) }))
  }

  /** The evaluation for a policy that leaves stages out: some passes whole, others without the range, all on every token. */
  private async evaluateReusing(call: NetworkCall, features: FeatureCall, passes: readonly Pass[]): Promise<NetworkOutput[]> {
    const done = await this.reuse!.run(features, passes, (ops) => this.execute(call, ops))
    return passes.map((pass, k) => ({ ...this.output(pass), ...done[k] }))
  }

  /** Runs commands on the engine's thread. Rejects with the signal's reason, at once, when it fires. */
  private async execute(call: NetworkCall, ops: readonly EngineOp[]): Promise<void> {
    if (ops.length === 0) return
    call.signal.throwIfAborted()
    await finished(this.model.engine.run(this.workspace, ops), call.signal, { step: call.step })
  }

  onDevice(): DevicePass | undefined {
    const { model, members, tensors } = this
    const { input } = model
    if (!model.onGpu || members !== 1 || input.beside) return undefined
    const rows = this.rowsOf(0)
    const pass: Pass = { member: 0, runRows: rows, callRows: rows }
    return {
      engine: model.engine,
      ops: this.commands([pass]),
      samples: rows.map((row) => tensors.slice('call', input.sample, row)),
      level: tensors.slice('call', input.level, 0),
      output: this.output(pass),
      input: (moment) => ({ scale: input.scale(moment), level: input.value(moment) }),
    }
  }

  private rowsOf(member: number): number[] {
    return Array.from({ length: this.rowsPerMember }, (_, r) => member * this.rowsPerMember + r)
  }

  /** The tokens of a pruned pass; undefined where so many would be kept that the full pass is as good. */
  private select(member: number, selection: TokenSelection | undefined): Int32Array | undefined {
    if (selection === undefined || this.tokens === undefined) return undefined
    const scores = new Float32Array(this.tokenCount)
    this.workspace.read(this.scores, member * this.tokenCount, scores)
    const { window, seed, fullAbove } = selection
    const maxKept = Math.min(selection.maxKept, this.tokenCount)
    const buckets = keptBuckets(this.tokenCount)
    const keep = loadAddon().select({ scores, grid: this.tokens.layout.grid, threshold: 0, maxKept, window, seed, buckets })
    return keep.length > fullAbove * this.tokenCount ? undefined : keep
  }

  /** Writes the state in the network's own parameterisation, once for each guidance branch, and its level. */
  private async compose(call: NetworkCall): Promise<void> {
    const { input } = this.model
    const weights = [input.scale(call)]
    const members = call.states.map((state, k) => ({
      inputs: [state],
      rows: this.rowsOf(k).map((row) => ({ inputs: [0], weights, store: this.tensors.slice('call', input.sample, row) })),
      sums: [],
    }))
    const length = this.tensors.rowLength(input.sample) - (input.beside?.[0].length ?? 0)
    await this.workspace.step(length, members)
    for (const [k, member] of input.beside ? call.members.entries() : []) {
      for (const row of this.rowsOf(k)) {
        const { tensor, offset } = this.tensors.slice('call', input.sample, row)
        this.workspace.write(tensor as number, offset + length, input.beside![member])
      }
    }
    const level = this.tensors.slice('call', input.level, 0).tensor as number
    this.workspace.write(level, 0, new Float32Array(call.states.length * this.rowsPerMember).fill(input.value(call)))
  }

  /** The whole evaluation as one list of commands for the engine's thread. */
  private commands(passes: readonly Pass[]): EngineOp[] {
    const ops: EngineOp[] = []
    for (const { kind, stages } of this.segments) {
      if (kind === 'dense') for (const stage of stages) this.dense(ops, stage, passes)
      else for (const group of byKeptCount(passes)) this.tokenwise(ops, stages, group)
    }
    return ops
  }

  private dense(ops: EngineOp[], stage: StagedNetwork['stages'][number], passes: readonly Pass[]): void {
    const outputs = stage.outputs.map((name) => this.tensors.bind('call', name, passes.length * this.rowsPerMember))
    ops.push({
      kind: 'stage',
      session: this.session(stage),
      inputs: stage.inputs.map((name) => this.input(ops, name, passes)),
      outputs,
    })
  }

  /** Token stages that follow each other for one group: gather what they read, run them, scatter what they leave into the cache. */
  private tokenwise(ops: EngineOp[], stages: StagedNetwork['stages'], group: readonly Pass[]): void {
    const kept = group[0].keep?.length ?? this.tokenCount
    const rows = group.length * this.rowsPerMember
    const inGroup = new Set<string>()
    for (const stage of stages) {
      const inputs = stage.inputs.map((name) => {
        if (!inGroup.has(name) && !this.tensors.isTokens(name)) return this.input(ops, name, group)
        if (!inGroup.has(name)) this.move(ops, 'gather', name, group)
        inGroup.add(name)
        return this.tensors.bind('group', name, rows, kept)
      })
      const outputs = stage.outputs.map((name) => this.tensors.bind('group', name, rows, kept))
      for (const name of stage.outputs) inGroup.add(name)
      ops.push({ kind: 'stage', session: this.session(stage), inputs, outputs })
    }
    for (const name of stages.flatMap(({ outputs }) => outputs)) if (this.cached.has(name)) this.move(ops, 'scatter', name, group)
  }

  /** Moves a group's rows of a tensor from where it lies to the group, or from the group to the run's cache. */
  private move(ops: EngineOp[], kind: 'gather' | 'scatter', name: string, group: readonly Pass[]): void {
    const length = this.tensors.rowLength(name)
    for (const [k, { keep, callRows, runRows }] of group.entries()) {
      const inGroup = this.tensors.slice('group', name, k * this.rowsPerMember, keep?.length)
      const role = this.roleOf(name)
      const outside = this.tensors.slice(role, name, (role === 'call' ? callRows : runRows)[0])
      const [from, to] = kind === 'gather' ? [outside, inGroup] : [inGroup, outside]
      const [rows, tokens, channels] = [this.rowsPerMember, this.tokenCount, length / this.tokenCount]
      if (keep && this.tensors.isTokens(name))
        ops.push({ kind, from, to, rows, tokens, channels, order: 'tokens', indices: keep })
      else ops.push({ kind: 'copy', from, to, length: rows * length })
    }
  }

  /** A stage's input: conditioning and cached features by the run's rows, everything else by the call's. */
  private input(ops: EngineOp[], name: string, passes: readonly Pass[]) {
    const role = this.roleOf(name)
    const rows = passes.flatMap(({ runRows, callRows }) => (role === 'call' ? callRows : runRows))
    return this.tensors.bindRows(ops, role, name, rows)
  }

  private roleOf(name: string): 'run' | 'cache' | 'call' {
    if (this.cached.has(name)) return 'cache'
    return this.model.conditioning.includes(name) ? 'run' : 'call'
  }

  private session({ name }: { readonly name: string }): number {
    return this.model.sessions.get(name)!
  }

  private output({ callRows, keep }: Pass): NetworkOutput {
    const [name] = this.model.stages.at(-1)!.outputs
    const [cond, uncond] = callRows.map((row) => this.tensors.slice('call', name, row))
    if (uncond === undefined) return { row: { cond: 1 }, buffers: { cond }, keptTokens: keep?.length }
    return { row: { cond: this.guidance, uncond: 1 - this.guidance }, buffers: { cond, uncond }, keptTokens: keep?.length }
  }
}
