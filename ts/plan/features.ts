import { SadaError } from '../errors.ts'
import type { EngineOp, StepMember, Workspace } from '../native/types.ts'
import type { Storage } from '../native/workspace-plan.ts'
import { run, type Decision, type FeatureChange, type Features } from '../policy/policy.ts'
import type { FeatureCall } from '../sampler/network.ts'
import type { StagedNetwork } from './staged-network.ts'
import type { RowTensors } from './row-tensors.ts'
import { FeatureProbe } from './feature-probe.ts'
import { RememberedTensor, type Feature, type FeaturePass } from './remembered-tensor.ts'
import { stageFlops } from './stage-flops.ts'

/** Tensors that stages `from` up to, not including, `to` make and later ones read; of the last stage its output. */
export function leavingRange(stages: StagedNetwork['stages'], from: number, to: number): string[] {
  const read = new Set([...stages.slice(to).flatMap(({ inputs }) => inputs), stages.at(-1)!.outputs[0]])
  return stages.slice(from, to).flatMap(({ outputs }) => outputs.filter((name) => read.has(name)))
}

/** The passes of one run that can leave a range of stages out: what is remembered of each member's computed passes, and its use. */
export class FeatureReuse {
  private readonly model: StagedNetwork
  private readonly workspace: Workspace
  private readonly tensors: RowTensors
  private readonly rowsPerMember: number
  private readonly spec: Features
  /** Stages from `from` up to, not including, `to`. */
  private readonly from: number
  private readonly to: number
  /** What leaves the range. */
  private readonly leaving: readonly RememberedTensor[]
  private readonly probes: readonly FeatureProbe[]
  /** Computed passes of each member: its first is one, so that there is something to compare with in every later one. */
  private readonly computed: number[]
  private readonly partialShare: number | undefined

  constructor(
    model: StagedNetwork,
    workspace: Workspace,
    tensors: RowTensors,
    members: number,
    rowsPerMember: number,
    spec: Features,
    storage: Storage,
  ) {
    this.model = model
    this.workspace = workspace
    this.tensors = tensors
    this.rowsPerMember = rowsPerMember
    this.spec = spec
    this.from = this.indexOf(spec.reuse.from)
    this.to = this.indexOf(spec.reuse.to) + 1
    const space = { workspace, tensors, members, rowsPerMember, storage }
    this.leaving = this.findLeaving().map((feature) => new RememberedTensor(space, feature, spec.reuse.history))
    this.probes = (spec.probes ?? []).map((probe) => new FeatureProbe(space, probe, this.findProbed(probe.after, probe.of)))
    this.computed = Array<number>(members).fill(0)
    this.partialShare = this.shareOfPartial()
  }

  /** Elements of the longest step that is made of features. */
  get stepLength(): number {
    return Math.max(0, ...[...this.leaving, ...this.probes.map(({ remembered }) => remembered)].map(({ length }) => length))
  }

  /** Commands that between them use every tensor that those of any call use: see `PlanNetwork.rehearsed`. */
  rehearsed(every: readonly FeaturePass[]): EngineOp[] {
    const { stages } = this.model
    const ops = this.commands(stages, every)
    if (every.length < 3) return ops
    const apart = [every[0], every[2]]
    const called = apart.map((pass, k) => ({ ...pass, callRows: every[k].callRows }))
    return [...ops, ...this.commands(stages, called), ...this.commands(stages.slice(this.from, this.to), apart)]
  }

  /**
   * The whole network for the passes of a call, without the range for those that decide so. Returns what each did; its
   * output lies where a full pass leaves it.
   */
  async run(
    { decisions: before, midway }: FeatureCall,
    passes: readonly FeaturePass[],
    execute: (ops: readonly EngineOp[]) => Promise<void>,
  ): Promise<{ done: Decision; flopShare?: number }[]> {
    const { stages } = this.model
    await execute(this.commands(stages.slice(0, this.from), passes))
    const found: FeatureChange[][] = []
    for (const probe of this.probes) found.push(await probe.measure(passes, this.computed))
    const done = passes.map(({ member }, k): Decision => {
      const asked = before[k].kind === 'run' && found.length > 0
      const decision =
        asked && midway
          ? midway(
              k,
              found.map((changes) => changes[k]),
            )
          : before[k]
      return decision.kind === 'partial' && decision.weights.length <= this.remembered(member) ? decision : run
    })
    const whole = passes.filter((_, k) => done[k].kind === 'run')
    await this.predict(passes, done)
    await execute([...this.commands(stages.slice(this.from, this.to), whole), ...this.commands(stages.slice(this.to), passes)])
    await this.remember(whole)
    return done.map((each) => (each.kind === 'partial' ? { done: each, flopShare: this.partialShare } : { done: each }))
  }

  private remembered(member: number): number {
    return Math.min(this.computed[member], this.spec.reuse.history)
  }

  /** Writes what leaves the range for the partial passes, from what is remembered of it. */
  private async predict(passes: readonly FeaturePass[], done: readonly Decision[]): Promise<void> {
    for (const remembered of this.leaving) {
      const { name, entering: since } = remembered.feature
      const members = passes.flatMap(({ member, callRows }, k): StepMember[] => {
        const decision = done[k]
        if (decision.kind !== 'partial') return []
        const entering = since === undefined ? [] : [this.tensors.slice('call', since, callRows[0])]
        const inputs = [...entering, ...decision.weights.map((_, age) => remembered.at(member, this.computed[member] - age))]
        const weights = [...entering.map(() => 1), ...decision.weights]
        const store = this.tensors.slice('call', name, callRows[0])
        return [{ inputs, rows: [{ inputs: [...inputs.keys()], weights, store }], sums: [] }]
      })
      if (members.length > 0) await this.workspace.step(remembered.length, members)
    }
  }

  /** Remembers what left the range in computed passes, and what later ones are compared with. */
  private async remember(passes: readonly FeaturePass[]): Promise<void> {
    if (passes.length === 0) return
    for (const { member } of passes) this.computed[member]++
    for (const leaving of this.leaving) await leaving.store(passes, (member) => this.computed[member])
    for (const probe of this.probes) await probe.remember(passes, this.computed)
  }

  /** Stages for some passes of a call, each on all of its tokens, between tensors that the whole call shares. */
  private commands(stages: StagedNetwork['stages'], passes: readonly FeaturePass[]): EngineOp[] {
    const rows = passes.flatMap(({ callRows }) => callRows)
    if (rows.length === 0) return []
    const together = rows.every((row, k) => row === rows[0] + k)
    const ops: EngineOp[] = []
    for (const { name: stage, inputs, outputs } of stages) {
      ops.push({
        kind: 'stage',
        session: this.model.sessions.get(stage)!,
        inputs: inputs.map((name) => this.input(ops, name, passes, rows)),
        outputs: outputs.map((name) =>
          together ? this.tensors.bindRows(ops, 'call', name, rows) : this.tensors.bind('group', name, rows.length),
        ),
      })
      if (!together) for (const name of outputs) this.spread(ops, name, rows)
    }
    return ops
  }

  private input(ops: EngineOp[], name: string, passes: readonly FeaturePass[], rows: readonly number[]) {
    if (!this.model.conditioning.includes(name)) return this.tensors.bindRows(ops, 'call', name, rows)
    const ofRun = passes.flatMap(({ member, callRows }) => callRows.map((_, r) => member * this.rowsPerMember + r))
    return this.tensors.bindRows(ops, 'run', name, ofRun)
  }

  /** Copies rows that were computed together to where they belong in the call. */
  private spread(ops: EngineOp[], name: string, rows: readonly number[]): void {
    const length = this.tensors.rowLength(name)
    for (const [k, row] of rows.entries()) {
      ops.push({ kind: 'copy', from: this.tensors.slice('group', name, k), to: this.tensors.slice('call', name, row), length })
    }
  }

  private indexOf(name: string): number {
    const index = this.model.stages.findIndex((stage) => stage.name === name)
    if (index < 0) throw new SadaError('INTERNAL', `A policy named the stage "${name}", which the network does not have.`)
    return index
  }

  /** Tensors made in the range and read after it, each with what it is the sum of where a difference is remembered. */
  private findLeaving(): Feature[] {
    const { stages } = this.model
    const names = leavingRange(stages, this.from, this.to)
    const { mode, from, since = from, to } = this.spec.reuse
    if (mode === 'output') return names.map((name) => ({ name }))
    const adding = stages.slice(this.indexOf(since), this.to)
    const made = adding.flatMap(({ outputs }) => outputs)
    const entered = adding.flatMap(({ inputs }) => inputs).filter((name) => !made.includes(name))
    return this.paired(names, entered, `The stages "${since}" to "${to}"`)
  }

  private findProbed(after: string, of: 'output' | 'residual'): Feature {
    const { inputs, outputs } = this.model.stages[this.indexOf(after)]
    const name = outputs.find((output) => this.tensors.isTokens(output)) ?? outputs[0]
    return of === 'output' ? { name } : this.paired([name], inputs, `The stage "${after}"`)[0]
  }

  /** Each tensor with the input of its shape; the k-th of a shape with the k-th. */
  private paired(names: readonly string[], inputs: readonly string[], what: string): Feature[] {
    const unused = [...new Set(inputs)].filter((name) => !this.model.conditioning.includes(name))
    return names.map((name) => {
      const index = unused.findIndex((input) => this.tensors.hasShapeOf(input, name))
      if (index < 0)
        throw new SadaError('UNSUPPORTED', `${what} cannot be reused as a difference: no input has the shape of "${name}".`)
      const [entering] = unused.splice(index, 1)
      return { name, entering }
    })
  }

  /** Share of the network's floating-point operations outside the range; undefined where the plan does not say. */
  private shareOfPartial(): number | undefined {
    const { stages, layout, tokenCount } = this.model
    const tokens = tokenCount ?? (layout ? layout.grid[0] * layout.grid[1] : 0)
    const total = (part: StagedNetwork['stages']): number =>
      part.reduce((sum, { flops }) => sum + (flops ? stageFlops(flops, tokens) : NaN), 0)
    const share = 1 - total(stages.slice(this.from, this.to)) / total(stages)
    return Number.isNaN(share) ? undefined : share
  }
}
