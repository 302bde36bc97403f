import type { Slice, StepMember, StepRow, StepSum, Workspace } from '../native/types.ts'
import type { Storage, TensorUse } from '../native/workspace-plan.ts'
import { SadaError } from '../errors.ts'
import type { Row } from '../solver/row.ts'

/** Full-size buffers of one kind, and how many of them. */
export interface BufferPool {
  readonly count: number
  readonly use: TensorUse
  readonly storage: Storage
}

/** The named full-size buffers of one member: tensors of the run's workspace, recycled when no name refers to them. */
export class Buffers {
  private readonly free: Record<'own' | 'history', number[]>
  private readonly ofHistory: ReadonlySet<number>
  private readonly byName = new Map<string, number>()

  /** `own`: float32, for the loop's own names. Stored in the same way, the two serve each other's names. */
  constructor(workspace: Workspace, length: number, own: BufferPool, history: BufferPool) {
    const make = ({ count, use, storage }: BufferPool): number[] =>
      Array.from({ length: count }, () => workspace.allocate(length, storage, use))
    const [first, second] = [make(own), make(history)]
    const isOne = own.storage === history.storage
    this.ofHistory = new Set(second)
    const all = isOne ? [...second, ...first] : first
    this.free = { own: all, history: isOne ? all : second }
  }

  /** Every tensor: first those that names refer to. */
  all(): number[] {
    return [...new Set([...this.byName.values(), ...this.free.own, ...this.free.history])]
  }

  get(name: string): Slice | undefined {
    const tensor = this.byName.get(name)
    return tensor === undefined ? undefined : { tensor, offset: 0 }
  }

  /** A tensor that no name refers to; it belongs to the caller until bound or given back. */
  take(pool: 'own' | 'history'): number {
    const tensor = this.free[pool].pop()
    if (tensor !== undefined) return tensor
    throw new SadaError('INTERNAL', 'A policy keeps more buffers than its capacity says.')
  }

  giveBack(tensor: number): void {
    this.free[this.ofHistory.has(tensor) ? 'history' : 'own'].push(tensor)
  }

  bind(names: readonly string[], tensor: number): void {
    for (const name of names) if (this.byName.get(name) !== tensor) this.drop(name)
    for (const name of names) this.byName.set(name, tensor)
  }

  /** Forgets every name but the loop's own and `names`. */
  retainOnly(names: readonly string[]): void {
    for (const name of this.byName.keys()) {
      if (name !== 'x' && name !== 'x0Prev' && !names.includes(name)) this.drop(name)
    }
  }

  private drop(name: string): void {
    const tensor = this.byName.get(name)
    if (tensor === undefined) return
    this.byName.delete(name)
    for (const other of this.byName.values()) if (other === tensor) return
    this.giveBack(tensor)
  }
}

export type FindSlice = (name: string) => Slice | undefined

/** Names → slots: builds the native request for one member from rows over named buffers. */
export class StepRequest {
  private readonly slots = new Map<string, number>()
  private readonly inputs: Slice[] = []
  private readonly rows: StepRow[] = []
  private readonly sums: StepSum[] = []
  private readonly find: FindSlice

  constructor(find: FindSlice) {
    this.find = find
  }

  /** A row to form, written to `store` where that is given; returns its index. */
  row(row: Row, store?: Slice): number {
    const names = Object.keys(row)
    const inputs = names.map((name) => this.slot(name))
    this.rows.push({ inputs, weights: names.map((name) => row[name]), store })
    return this.rows.length - 1
  }

  sum(a: number, b?: number, signed?: boolean): number {
    this.sums.push({ a, b, signed })
    return this.sums.length - 1
  }

  build(tokens?: StepMember['tokens']): StepMember {
    return { inputs: this.inputs, rows: this.rows, sums: this.sums, tokens }
  }

  private slot(name: string): number {
    const known = this.slots.get(name)
    if (known !== undefined) return known
    const slice = this.find(name)
    if (slice === undefined) throw new SadaError('INTERNAL', `A policy used the buffer "${name}", which it did not keep.`)
    this.inputs.push(slice)
    this.slots.set(name, this.inputs.length - 1)
    return this.inputs.length - 1
  }
}
