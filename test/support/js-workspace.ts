import type { GraphReport, Slice, StepMember, Workspace } from '../../ts/native/types.ts'

/**
 * The `Workspace` contract in plain JavaScript: float32 rows, float64 sums. It lets the loop and the policies be tested
 * without a compiler, and stands beside the native one as an independent opinion (equal to float32 rounding, not bit for bit).
 */
export class JsWorkspace implements Workspace {
  readonly inlineElements = Infinity
  private readonly tensors: Float32Array[] = []

  allocate(length: number): number {
    this.tensors.push(new Float32Array(length))
    return this.tensors.length - 1
  }

  write(tensor: number, offset: number, source: Float32Array): void {
    this.tensors[tensor].set(source, offset)
  }

  read(tensor: number, offset: number, target: Float32Array): void {
    target.set(this.tensors[tensor].subarray(offset, offset + target.length))
  }

  step(length: number, members: readonly StepMember[]): Float64Array {
    return Float64Array.from(members.flatMap((member) => this.stepMember(length, member)))
  }

  graphs(): GraphReport {
    return { captured: 0, launched: 0 }
  }

  dispose(): void {
    this.tensors.length = 0
  }

  private view({ tensor, offset }: Slice, length: number): Float32Array {
    const all = typeof tensor === 'number' ? this.tensors[tensor] : tensor
    if (offset + length > all.length) throw new RangeError(`slice ${offset}+${length} of ${all.length}`)
    return all.subarray(offset, offset + length)
  }

  private stepMember(length: number, member: StepMember): number[] {
    const inputs = member.inputs.map((slice) => this.view(slice, length))
    if (inputs.length > 8 || member.rows.length > 8) throw new RangeError(`${inputs.length} inputs, ${member.rows.length} rows`)
    const rows = member.rows.map((row) => {
      const weights = row.weights.map(Math.fround)
      return new Float32Array(length).map((_, k) => row.inputs.reduce((sum, input, t) => sum + weights[t] * inputs[input][k], 0))
    })
    member.rows.forEach((row, r) => row.store && this.view(row.store, length).set(rows[r]))
    return member.sums.map(({ a, b, signed }) => {
      const term = (k: number): number =>
        b !== undefined ? Math.fround(rows[a][k] * rows[b][k]) : signed ? rows[a][k] : Math.abs(rows[a][k])
      let sum = 0
      for (let k = 0; k < length; k++) sum += term(k)
      return sum
    })
  }
}
