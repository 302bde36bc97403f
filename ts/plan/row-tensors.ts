import type { Binding, EngineOp, Slice, Workspace } from '../native/types.ts'
import type { Manifest } from './manifest.ts'

/**
 * What the rows of a tensor stand for.
 * - `run`: every row of the run, written once: conditioning;
 * - `cache`: every row of the run, kept between steps;
 * - `call`: the rows of the members that run at this step, compacted;
 * - `group`: the rows of the members of one group of equally many kept tokens, compacted;
 * - `staging`: rows that do not follow each other, brought together.
 */
export type Role = keyof typeof USES

const USES = { run: 'conditioning', cache: 'caches', call: 'network', group: 'network', staging: 'staging' } as const

/** The stage tensors of one run, allocated on first use at their largest size and reused by every step. */
export class RowTensors {
  private readonly workspace: Workspace
  private readonly shapes: Manifest['tensors']
  private readonly rows: number
  private readonly tokens: number
  private readonly allocated = new Map<string, number>()

  constructor(workspace: Workspace, shapes: Manifest['tensors'], rows: number, tokens: number) {
    this.workspace = workspace
    this.shapes = shapes
    this.rows = rows
    this.tokens = tokens
  }

  /** Floats of one row with `tokens` tokens. */
  rowLength(name: string, tokens = this.tokens): number {
    return this.dims(name, 1, tokens).reduce((product, n) => product * n, 1)
  }

  isTokens(name: string): boolean {
    return this.shapes[name].includes('tokens')
  }

  /** Whether two tensors have rows of the same shape. */
  hasShapeOf(name: string, other: string): boolean {
    return String(this.shapes[name]) === String(this.shapes[other])
  }

  slice(role: Role, name: string, row: number, tokens = this.tokens): Slice {
    return { tensor: this.tensor(role, name), offset: row * this.rowLength(name, tokens) }
  }

  /** The first `count` rows of a tensor, as an engine shall see them. */
  bind(role: Role, name: string, count: number, tokens = this.tokens): Binding {
    return { name, tensor: this.tensor(role, name), offset: 0, dims: this.dims(name, count, tokens) }
  }

  /** The given rows of a tensor: in place where they follow each other, else copied together first. */
  bindRows(ops: EngineOp[], role: Role, name: string, rows: readonly number[]): Binding {
    const length = this.rowLength(name)
    const dims = this.dims(name, rows.length, this.tokens)
    if (rows.every((row, k) => row === rows[0] + k))
      return { name, tensor: this.tensor(role, name), offset: rows[0] * length, dims }
    for (const [k, row] of rows.entries()) {
      ops.push({ kind: 'copy', from: this.slice(role, name, row), to: this.slice('staging', name, k), length })
    }
    return { name, tensor: this.tensor('staging', name), offset: 0, dims }
  }

  private tensor(role: Role, name: string): number {
    const key = `${role} ${name}`
    let tensor = this.allocated.get(key)
    if (tensor === undefined) {
      tensor = this.workspace.allocate(this.rows * this.rowLength(name), 'float32', USES[role])
      this.allocated.set(key, tensor)
    }
    return tensor
  }

  private dims(name: string, rows: number, tokens: number): number[] {
    return this.shapes[name].map((n) => (n === 'rows' ? rows : n === 'tokens' ? tokens : n))
  }
}

/** Bytes of what a command reads and writes, where it is a stage. */
export function bytesOfStage(op: EngineOp): number {
  if (op.kind !== 'stage') return 0
  const sizes = [...op.inputs, ...op.outputs].map(({ dims }) => dims.reduce((product, n) => product * n, 1))
  return 4 * sizes.reduce((sum, size) => sum + size, 0)
}
