import { loadAddon } from '../../ts/native/load.ts'
import type { EngineOp, Slice, Workspace } from '../../ts/native/types.ts'
import { FeatureReuse } from '../../ts/plan/features.ts'
import { RowTensors } from '../../ts/plan/row-tensors.ts'
import type { StagedNetwork } from '../../ts/plan/staged-network.ts'
import type { Decision, FeatureChange, Features } from '../../ts/policy/policy.ts'

// A network of three stages that are small formulas, computed here, with its features reused.

export type Row = Readonly<Record<string, readonly number[]>>
export const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0)
export const STAGES = [
  {
    name: 'first',
    inputs: ['c', 'x'],
    outputs: ['p', 'q'],
    make: ({ c, x }: Row): Row => ({ p: [x[0] + c[0], x[1] * x[2]], q: x.map((each, k) => each * each + c[k]) }),
  },
  {
    name: 'middle',
    inputs: ['p', 'q'],
    outputs: ['r', 's'],
    make: ({ p, q }: Row): Row => ({ r: p.map((each) => each * q[0]), s: q.map((each) => each * p[1]) }),
  },
  {
    name: 'last',
    inputs: ['r', 's', 'c'],
    outputs: ['y'],
    make: ({ r, s, c }: Row): Row => ({ y: c.map((each, k) => each * sum(r) + s[k]) }),
  },
]
const SHAPES: Readonly<Record<string, ('rows' | 'tokens' | number)[]>> = {
  ...Object.fromEntries(['c', 'x', 'q', 's', 'y', 'z'].map((name) => [name, ['rows', 'tokens']])),
  ...Object.fromEntries(['p', 'r'].map((name) => [name, ['rows', 2]])),
  u: ['rows', 4],
}
const TOKENS = 3
const lengthOf = (name: string): number => (SHAPES[name].includes('tokens') ? TOKENS : Number(SHAPES[name][1]))
export const REUSE = { from: 'middle', to: 'middle', mode: 'output', history: 2 } as const
/** What the c of a row of the run is, and the x of a row at a time: small whole numbers, so that all sums are exact. */
const told = (row: number): number[] => [0, 1, 2].map((k) => ((row * 5 + k * 3) % 7) - 3)
const given = (row: number, time: number): number[] => [0, 1, 2].map((k) => ((row * 3 + k * 5 + time * 4) % 9) - 4)
/** All tensors of a row of the run at a time, worked out in one go. */
export const whole = (row: number, time: number): Row =>
  STAGES.reduce((known: Row, { make }) => ({ ...known, ...make(known) }), { c: told(row), x: given(row, time) })

interface Setting {
  readonly members?: number
  readonly rows?: 1 | 2
  readonly spec?: Partial<Features>
  readonly storage?: 'float32' | 'float16'
  readonly model?: Partial<StagedNetwork>
}

/** A run with features reused, whose stages are computed here. */
export class Run {
  readonly workspace: Workspace = new (loadAddon().Workspace)()
  readonly reuse: FeatureReuse
  /** How often something was allocated; and what is remembered, each as long, as precise and for what. */
  allocated = 0
  readonly memories: unknown[] = []
  private readonly tensors: RowTensors
  private readonly rows: number
  private readonly stages: typeof STAGES

  constructor({ members = 3, rows = 2, spec, storage = 'float32', model }: Setting = {}) {
    const { workspace } = this
    const counting = {
      allocate: (...of: Parameters<Workspace['allocate']>) => (
        this.allocated++,
        of.length > 1 && of[2] === 'caches' && this.memories.push(of),
        workspace.allocate(...of)
      ),
      step: (...of: Parameters<Workspace['step']>) => workspace.step(...of),
    } as Workspace
    this.rows = rows
    this.stages = (model?.stages ?? STAGES) as typeof STAGES
    this.tensors = new RowTensors(counting, SHAPES, members * rows, TOKENS)
    const sessions = new Map(this.stages.map(({ name }, k) => [name, k]))
    const network = { stages: STAGES, sessions, conditioning: ['c'], tokenCount: TOKENS, ...model } as unknown as StagedNetwork
    this.reuse = new FeatureReuse(network, counting, this.tensors, members, rows, { reuse: REUSE, ...spec }, storage)
    for (let row = 0; row < members * rows; row++) this.write(this.tensors.slice('run', 'c', row), told(row))
  }

  rowsOf(member: number): number[] {
    return Array.from({ length: this.rows }, (_, r) => member * this.rows + r)
  }

  passes(members: readonly number[]) {
    return members.map((member, k) => ({ member, callRows: this.rowsOf(k) }))
  }

  /** The network at a time for these members; what each did, and the y of its rows. */
  async call(
    members: readonly number[],
    time: number,
    decisions: readonly Decision[],
    midway?: (k: number, found: readonly FeatureChange[]) => Decision,
  ) {
    const ofRun = members.flatMap((member) => this.rowsOf(member))
    ofRun.forEach((row, k) => this.write(this.tensors.slice('call', 'x', k), given(row, time)))
    const spec = { reuse: REUSE }
    const done = await this.reuse.run({ spec, decisions, midway }, this.passes(members), (ops) =>
      Promise.resolve(this.execute(ops)),
    )
    const y = ofRun.map((_, k) => this.read(this.tensors.slice('call', 'y', k), TOKENS))
    return { done, y: members.map((_, k) => y.slice(k * this.rows, (k + 1) * this.rows)) }
  }

  private execute(ops: readonly EngineOp[]): void {
    for (const op of ops) {
      if (op.kind === 'copy') this.write(op.to, this.read(op.from, op.length))
      if (op.kind !== 'stage') continue
      const { make } = this.stages[op.session]
      for (let row = 0; row < op.outputs[0].dims[0]; row++) {
        const at = ({ name, tensor, offset }: (typeof op.inputs)[number]): Slice => ({
          tensor,
          offset: offset + row * lengthOf(name),
        })
        const made = make(Object.fromEntries(op.inputs.map((each) => [each.name, this.read(at(each), lengthOf(each.name))])))
        for (const each of op.outputs) this.write(at(each), made[each.name])
      }
    }
  }

  private read({ tensor, offset }: Slice, length: number): number[] {
    const values = new Float32Array(length)
    this.workspace.read(tensor as number, offset, values)
    return [...values]
  }

  private write({ tensor, offset }: Slice, values: readonly number[]): void {
    this.workspace.write(tensor as number, offset, Float32Array.from(values))
  }
}
