import { SadaError } from '../errors.ts'
import type { EngineOp, Slice, StepMember, Workspace } from '../native/types.ts'
import type { Storage } from '../native/workspace-plan.ts'
import { run, type Decision, type FeatureChange, type Features } from '../policy/policy.ts'
import type { FeatureCall } from '../sampler/network.ts'
import type { StagedNetwork } from './staged-network.ts'
import type { RowTensors } from './row-tensors.ts'
import { stageFlops } from './stage-flops.ts'

/** A member of a call: its rows in the call's tensors, which follow each other, and its number in the run. */
export interface FeaturePass {
  readonly member: number
  readonly callRows: readonly number[]
}

/** Tensors that stages `from` up to, not including, `to` make and later ones read; of the last stage its output. */
export function leavingRange(stages: StagedNetwork['stages'], from: number, to: number): string[] {
  const read = new Set([...stages.slice(to).flatMap(({ inputs }) => inputs), stages.at(-1)!.outputs[0]])
  return stages.slice(from, to).flatMap(({ outputs }) => outputs.filter((name) => read.has(name)))
}

/** A tensor that leaves the range, and the one that entered it where the difference is remembered. */
interface Leaving {
  readonly name: string
  readonly entering?: string
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
  private readonly leaving: readonly Leaving[]
  private readonly probed: Leaving | undefined
  /** Memory of each leaving tensor, [members, history, rowsPerMember, …]; and of the probed one, [members, rows, …]. */
  private readonly memories: readonly number[]
  private readonly reference: number
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
    this.leaving = this.findLeaving()
    this.probed = spec.probe && this.findProbed(spec.probe.after, spec.probe.of)
    const memberLength = (name: string): number => members * rowsPerMember * tensors.rowLength(name)
    const remember = (length: number): number => workspace.allocate(length, storage, 'caches')
    this.memories = this.leaving.map(({ name }) => remember(spec.reuse.history * memberLength(name)))
    this.reference = this.probed ? remember(memberLength(this.probed.name)) : -1
    this.computed = Array<number>(members).fill(0)
    this.partialShare = this.shareOfPartial()
  }

  /** Elements of the longest step that is made of features. */
  get stepLength(): number {
    const names = [...this.leaving, ...(this.probed ? [this.probed] : [])].map(({ name }) => name)
    return Math.max(0, ...names.map((name) => this.rowsPerMember * this.tensors.rowLength(name)))
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
    const changes = this.probed && (await this.measure(passes, this.probed))
    const done = passes.map(({ member }, k): Decision => {
      const decision = before[k].kind === 'run' && midway && changes ? midway(k, changes[k]) : before[k]
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

  /** Mean |a − b| and mean |b| of the probed feature a against the reference b, for each pass. */
  private async measure(passes: readonly FeaturePass[], probed: Leaving): Promise<FeatureChange[]> {
    const { conditionalOnly, against } = this.spec.probe!
    const length = this.tensors.rowLength(probed.name) * (conditionalOnly ? 1 : this.rowsPerMember)
    const sums = await this.workspace.step(
      length,
      passes.map(({ member, callRows }): StepMember => {
        const now = this.added(probed, callRows[0])
        const then = this.referenceOf(member, probed.name)
        const index = now.inputs.length
        const store = against === 'previous' ? then : undefined
        return {
          inputs: [...now.inputs, then],
          rows: [
            { inputs: [...now.weights.keys(), index], weights: [...now.weights, -1] },
            { inputs: [index], weights: [1] },
            { inputs: [...now.weights.keys()], weights: now.weights, store },
          ],
          sums: [{ a: 0 }, { a: 1 }],
        }
      }),
    )
    return passes.map(({ member }, k) =>
      this.computed[member] > 0
        ? { change: sums[2 * k] / length, magnitude: sums[2 * k + 1] / length }
        : { change: 0, magnitude: 0 },
    )
  }

  /** Writes what leaves the range for the partial passes, from what is remembered of it. */
  private async predict(passes: readonly FeaturePass[], done: readonly Decision[]): Promise<void> {
    for (const [t, leaving] of this.leaving.entries()) {
      const members = passes.flatMap(({ member, callRows }, k): StepMember[] => {
        const decision = done[k]
        if (decision.kind !== 'partial') return []
        const entering = leaving.entering === undefined ? [] : [this.tensors.slice('call', leaving.entering, callRows[0])]
        const inputs = [...entering, ...decision.weights.map((_, age) => this.memoryOf(t, member, age))]
        const weights = [...entering.map(() => 1), ...decision.weights]
        const store = this.tensors.slice('call', leaving.name, callRows[0])
        return [{ inputs, rows: [{ inputs: [...inputs.keys()], weights, store }], sums: [] }]
      })
      if (members.length > 0) await this.workspace.step(this.rowsPerMember * this.tensors.rowLength(leaving.name), members)
    }
  }

  /** Remembers what left the range in computed passes, and the feature that later ones are compared with. */
  private async remember(passes: readonly FeaturePass[]): Promise<void> {
    if (passes.length === 0) return
    for (const { member } of passes) this.computed[member]++
    for (const [t, leaving] of this.leaving.entries()) {
      await this.store(leaving, passes, ({ member }) => this.memoryOf(t, member, 0))
    }
    if (this.probed === undefined || this.spec.probe!.against === 'previous') return
    const { name } = this.probed
    await this.store(this.probed, passes, ({ member }) => this.referenceOf(member, name))
  }

  private async store(tensor: Leaving, passes: readonly FeaturePass[], target: (pass: FeaturePass) => Slice): Promise<void> {
    const members = passes.map((pass): StepMember => {
      const { inputs, weights } = this.added(tensor, pass.callRows[0])
      return { inputs, rows: [{ inputs: [...inputs.keys()], weights, store: target(pass) }], sums: [] }
    })
    await this.workspace.step(this.rowsPerMember * this.tensors.rowLength(tensor.name), members)
  }

  /** A tensor of the call as it is remembered: itself, or less what entered. */
  private added({ name, entering }: Leaving, row: number): { inputs: Slice[]; weights: number[] } {
    const out = this.tensors.slice('call', name, row)
    if (entering === undefined) return { inputs: [out], weights: [1] }
    return { inputs: [out, this.tensors.slice('call', entering, row)], weights: [1, -1] }
  }

  /** What is remembered of a member's computed pass, 0 being the newest: slots are written in turn. */
  private memoryOf(leaving: number, member: number, age: number): Slice {
    const { history } = this.spec.reuse
    const slot = (this.computed[member] - age) % history
    const length = this.rowsPerMember * this.tensors.rowLength(this.leaving[leaving].name)
    return { tensor: this.memories[leaving], offset: (member * history + slot) * length }
  }

  private referenceOf(member: number, name: string): Slice {
    return { tensor: this.reference, offset: member * this.rowsPerMember * this.tensors.rowLength(name) }
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
  private findLeaving(): Leaving[] {
    const { stages } = this.model
    const names = leavingRange(stages, this.from, this.to)
    if (this.spec.reuse.mode === 'output') return names.map((name) => ({ name }))
    const range = stages.slice(this.from, this.to)
    const made = range.flatMap(({ outputs }) => outputs)
    const entered = range.flatMap(({ inputs }) => inputs).filter((name) => !made.includes(name))
    return this.paired(names, entered, `The stages "${this.spec.reuse.from}" to "${this.spec.reuse.to}"`)
  }

  private findProbed(after: string, of: 'output' | 'residual'): Leaving {
    const { inputs, outputs } = this.model.stages[this.indexOf(after)]
    const name = outputs.find((output) => this.tensors.isTokens(output)) ?? outputs[0]
    return of === 'output' ? { name } : this.paired([name], inputs, `The stage "${after}"`)[0]
  }

  /** Each tensor with the input of its shape; the k-th of a shape with the k-th. */
  private paired(names: readonly string[], inputs: readonly string[], what: string): Leaving[] {
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
