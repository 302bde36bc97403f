import { findOnnxRuntime, loadAddon } from '../../ts/native/load.ts'
import type { Engine, SadaRunRequest, Workspace } from '../../ts/native/types.ts'
import { NAMES } from '../../ts/sampler/sada-program.ts'
import { emulatedGpu } from './emulated-gpu.ts'

export const addon = loadAddon()

export type NamedRow = Partial<Record<(typeof NAMES)[number], number>>

/** Flow matching on even levels, whose network gives the velocity; after two steps all are skipped that may be. */
export interface Program {
  readonly steps: number
  readonly output?: NamedRow
  readonly denoised?: (level: number) => NamedRow
  readonly update?: NamedRow
  readonly velocity?: NamedRow
  /** Of the level after the last step. */
  readonly last?: NamedRow
}

const encodeRow = (row: NamedRow): number[] => {
  const terms = Object.entries(row).map(([name, weight]) => [NAMES.indexOf(name as (typeof NAMES)[number]), weight])
  return [terms.length, ...terms.flat()]
}

export function encode({
  steps,
  output = { cond: 1 },
  denoised = (level) => ({ x: 1, output: -level }),
  update = { x: 0.9, x0: 0.1 },
  velocity = { output: 1 },
  last = {},
}: Program): Float64Array {
  const level = (step: number): number[] => {
    const at = 1 - step / (steps + 1)
    const rows = step === steps ? [last, last, last] : [denoised(at), update, velocity]
    return [at, 0.1, at, 1 - at, ...rows.flatMap(encodeRow), 1, at]
  }
  const options = [0.05, 1, 1, 0.5, 0, 2, 1, 2]
  return Float64Array.from([
    ...options,
    ...encodeRow(output),
    steps,
    ...Array.from({ length: steps + 1 }, (_, k) => level(k)).flat(),
  ])
}

const slice = (tensor: number) => ({ tensor, offset: 0 })

/** A run of `length` elements in a workspace on the emulated GPU, without a network: its answer is what lies there. */
export function requestIn(workspace: Workspace, length: number, program: Float64Array): SadaRunRequest {
  const allocated = (n: number) => slice(workspace.allocate(n))
  const buffers = Array.from({ length: 10 }, () => allocated(length))
  const [sample, level, cond] = [allocated(length), allocated(1), allocated(length)]
  workspace.write(
    buffers[0].tensor,
    0,
    Float32Array.from({ length }, (_, k) => k / length),
  )
  workspace.write(
    cond.tensor,
    0,
    Float32Array.from({ length }, (_, k) => Math.sin(k)),
  )
  return { program, length, buffers, samples: [sample], level, pass: [], cond }
}

export const onEmulatedGpu = (): Workspace => new addon.Workspace({ library: emulatedGpu, index: 0 })
export const newEngine = (): Engine => new addon.Engine({ library: findOnnxRuntime() })
