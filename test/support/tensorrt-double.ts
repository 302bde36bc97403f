import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stageProfiles } from '../../ts/engines/profiles.ts'
import { findOnnxRuntime } from '../../ts/native/load.ts'
import type { InputRange } from '../../ts/native/types.ts'
import type { Manifest, Stage } from '../../ts/plan/manifest.ts'
import { emulatedGpu, hasEmulatedGpu } from './emulated-gpu.ts'

/** The double of TensorRT's runtime (test/engines/double); scripts/build-tensorrt-double.mjs builds it. */
export const tensorRtDouble = join(__dirname, '../../build/tensorrt-double/libnvinfer.so.11')

/** Whether it and the emulated GPU are there; where not, says so. Tells the double where its own libraries are. */
export function hasTensorRtDouble(): boolean {
  if (!hasEmulatedGpu()) return false
  process.env.SADA_DOUBLE_GPU = emulatedGpu
  process.env.SADA_DOUBLE_ONNXRUNTIME = findOnnxRuntime()
  if (existsSync(tensorRtDouble)) return true
  console.log(`SKIPPED: ${tensorRtDouble} is not built; "node scripts/build-tensorrt-double.mjs" builds it.`)
  return false
}

export interface DoubleTensor {
  readonly name: string
  readonly type: string
  /** A number, -1 where it changes; of an output `input.axis` where it is that of an input. */
  readonly sizes: readonly (number | string)[]
}

export interface DoubleEngine {
  /** Bytes of activations that its first profile needs. */
  readonly memory: number
  readonly inputs: readonly DoubleTensor[]
  readonly outputs: readonly DoubleTensor[]
  readonly profiles: readonly (readonly InputRange[])[]
  readonly onnx: Uint8Array
}

/** The bytes that the double takes for an engine. */
export function packEngine({ memory, inputs, outputs, profiles, onnx }: DoubleEngine): Uint8Array {
  const tensor = (side: string) => (each: DoubleTensor) => `${side} ${each.name} ${each.type} ${each.sizes.join(' ')}`
  const range = ({ input, smallest, usual, largest }: InputRange): string =>
    `range ${input} ${[smallest, usual, largest].map((sizes) => sizes.join(',')).join(' ')}`
  const lines = [
    'sada-double 1',
    `memory ${memory}`,
    ...inputs.map(tensor('input')),
    ...outputs.map(tensor('output')),
    ...profiles.flatMap((profile) => ['profile', ...profile.map(range)]),
    'onnx',
  ]
  return Buffer.concat([Buffer.from(lines.join('\n') + '\n'), onnx])
}

/** A stage of a model folder, as the double's engine. */
export function packStage(folder: string, manifest: Manifest, stage: Stage, memory = 4096): Uint8Array {
  const { tensors, tokens } = manifest
  // Of a stage that makes the tokens, there are all of them.
  const from = (symbol: 'rows' | 'tokens'): string | number => {
    const input = stage.inputs.find((name) => tensors[name].includes(symbol))
    return input === undefined ? tokens.grid[0] * tokens.grid[1] : `${input}.${tensors[input].indexOf(symbol)}`
  }
  return packEngine({
    memory,
    inputs: stage.inputs.map((name) => ({
      name,
      type: 'float32',
      sizes: tensors[name].map((n) => (typeof n === 'number' ? n : -1)),
    })),
    outputs: stage.outputs.map((name) => ({
      name,
      type: 'float32',
      sizes: tensors[name].map((n) => (typeof n === 'number' ? n : from(n))),
    })),
    profiles: stageProfiles(manifest, stage),
    onnx: readFileSync(join(folder, stage.file)),
  })
}
