// Time of the fused step, call and all, at the sizes of Stable Diffusion's latents: npx tsx bench/kernels.ts
import { loadAddon } from '../ts/native/load.ts'
import { encodeStep } from '../ts/native/step-program.ts'
import type { StepMember, StepRow, Workspace } from '../ts/native/types.ts'

const addon = loadAddon()

/** As the sampler makes it: 6 inputs, 3 stored rows (next state, x0, velocity), 2 that only feed sums; |x0| and two products. */
function samplerStep(workspace: Workspace, length: number): StepMember {
  const tensors = Array.from({ length: 9 }, (_, t) => {
    const tensor = workspace.allocate(length)
    workspace.write(
      tensor,
      0,
      new Float32Array(length).map((_, k) => Math.sin(k * 0.37 + t)),
    )
    return { tensor, offset: 0 }
  })
  const row = (inputs: number[], store?: number): StepRow => {
    return { inputs, weights: inputs.map((k) => 0.1 + k / 8), store: store === undefined ? undefined : tensors[store] }
  }
  const rows = [row([0, 1, 2, 3], 6), row([0, 1], 7), row([0, 1], 8), row([0, 2, 3, 4, 5]), row([1, 2, 3])]
  return { inputs: tensors.slice(0, 6), rows, sums: [{ a: 1 }, { a: 3, b: 4 }, { a: 3, b: 3 }] }
}

/** Microseconds that a tenth of the calls stay below, and half of them: on a busy machine the first says more. */
function time(calls: number, call: () => void): { best: number; median: number } {
  const times = Array.from({ length: calls }, () => {
    const begin = process.hrtime.bigint()
    call()
    return Number(process.hrtime.bigint() - begin) / 1000
  }).sort((a, b) => a - b)
  return { best: times[Math.floor(calls / 10)], median: times[calls >> 1] }
}

console.log(`instruction set ${addon.instructionSet}; µs of a call: best tenth (median)`)
for (const shape of [
  [4, 64, 64],
  [4, 128, 128],
  [16, 128, 128],
]) {
  const length = shape.reduce((a, b) => a * b)
  const workspace = new addon.Workspace()
  const member = samplerStep(workspace, length)
  const stored = { ...member, rows: member.rows.slice(0, 3), sums: [{ a: 1 }, { a: 0, b: 1 }, { a: 1, b: 2 }] }
  const layout = { order: 'channels-first', channels: shape[0], grid: [shape[1], shape[2]], patch: [1, 1] } as const
  const tokens = { sum: 1, layout, store: { tensor: workspace.allocate(shape[1] * shape[2]), offset: 0 } }
  const cases: [name: string, elements: number, call: () => void][] = [
    ['3 rows stored, 3 sums', 9 * length, () => workspace.step(length, [stored])],
    ['5 rows, 3 stored, 3 sums', 9 * length, () => workspace.step(length, [member])],
    ['and means per token', 9 * length, () => workspace.step(length, [{ ...member, tokens }])],
    ['the same of 1 element: the call itself', 0, () => workspace.step(1, [member])],
    ['of which encoding', 0, () => encodeStep([member])],
  ]
  console.log(`[1, ${shape.join(', ')}]: 6 inputs`)
  for (const [name, elements, call] of cases) {
    const { best, median } = time(Math.max(300, Math.round(1e8 / length)), call)
    const speed = elements === 0 ? '' : `  ${((4 * elements) / best / 1000).toFixed(1)} GB/s`
    console.log(`  ${name.padEnd(40)} ${best.toFixed(1).padStart(7)} (${median.toFixed(1)})${speed}`)
  }
  workspace.dispose()
}
