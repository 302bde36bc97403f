// Time of the fused step, call and all, at the sizes of Stable Diffusion's latents: npx tsx bench/kernels.ts
import { loadAddon } from '../ts/native/load.ts'
import { encodeStep } from '../ts/native/step-program.ts'
import type { StepMember, StepRow, Workspace } from '../ts/native/types.ts'

const addon = loadAddon()

/** As the sampler makes it: 6 inputs, 3 stored rows (next state, x0, velocity), 2 that only feed sums; |x0| and two products. */
function samplerStep(workspace: Workspace, length: number): StepMember {
  const tensors = Array.from({ length: 9 }, (_, t) => {
    const tensor = workspace.allocate(length)
    workspace.write(tensor, 0, new Float32Array(length).map((_, k) => Math.sin(k * 0.37 + t)))
    return { tensor, offset: 0 }
  })
  const row = (inputs: number[], store?: number): StepRow => {
    return { inputs, weights: inputs.map((k) => 0.1 + k / 8), store: store === undefined ? undefined : tensors[store] }
  }
  const rows = [row([0, 1, 2, 3], 6), row([0, 1], 7), row([0, 1], 8), row([0, 2, 3, 4, 5]), row([1, 2, 3])]
  return { inputs: tensors.slice(0, 6), rows, sums: [{ a: 1 }, { a: 3, b: 4 }, { a: 3, b: 3 }] }
}

/** The same length with nothing to compute: what crossing into the addon costs. */
function median(calls: number, call: () => void): number {
  const times = Array.from({ length: calls }, () => {
    const begin = process.hrtime.bigint()
    call()
    return Number(process.hrtime.bigint() - begin) / 1000
  })
  return times.sort((a, b) => a - b)[calls >> 1]
}

const format = (value: number): string => value.toFixed(1).padStart(8)
console.log(`instruction set ${addon.instructionSet}; median µs of a call`)
for (const shape of [[4, 64, 64], [4, 128, 128], [16, 128, 128]]) {
  const length = shape.reduce((a, b) => a * b)
  const workspace = new addon.Workspace()
  const member = samplerStep(workspace, length)
  const small = { ...member, inputs: member.inputs.map(({ tensor }) => ({ tensor, offset: 0 })) }
  const calls = Math.max(200, Math.round(2e8 / length / 20))
  const layout = { order: 'channels-first', channels: shape[0], grid: [shape[1], shape[2]], patch: [1, 1] } as const
  const tokens = { sum: 1, layout, store: { tensor: workspace.allocate(shape[1] * shape[2]), offset: 0 } }
  const all = median(calls, () => workspace.step(length, [member]))
  const scored = median(calls, () => workspace.step(length, [{ ...member, tokens }]))
  const rowsOnly = median(calls, () => workspace.step(length, [{ ...member, sums: [] }]))
  const crossing = median(calls, () => workspace.step(1, [small]))
  const encoding = median(calls, () => encodeStep([member]))
  const bytes = 4 * length * 9 // six inputs read, three rows written
  console.log(
    `1x${shape.join('x').padEnd(11)} step ${format(all)} (${(bytes / all / 1000).toFixed(1)} GB/s)  with tokens ${format(scored)}` +
      `  rows only ${format(rowsOnly)}  call ${format(crossing)}  of which encoding ${format(encoding)}`,
  )
  workspace.dispose()
}
