import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { findOnnxRuntime } from '../../ts/native/load.ts'
import type { InputRange } from '../../ts/native/types.ts'
import type { NetworkFile } from '../../ts/plan/device-engine.ts'
import type { Manifest, Stage } from '../../ts/plan/manifest.ts'
import { stageProfiles } from '../../ts/plan/profiles.ts'
import { emulatedGpu, hasEmulatedGpu } from './emulated-gpu.ts'

/** The double of TensorRT's runtime (test/engines/double); scripts/build-tensorrt-double.mjs builds it. */
export const tensorRtDouble = join(__dirname, '../../build/tensorrt-double/libnvinfer.so.11')
/** The same as TensorRT for RTX, where SADA_DOUBLE_VERSION is one of its versions. */
export const rtxDouble = join(__dirname, '../../build/tensorrt-double/rtx/libtensorrt_rtx.so.1')

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
  /** A model, or the path of one that has weights beside it. */
  readonly onnx: Uint8Array | string
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
    typeof onnx === 'string' ? `path ${onnx}` : 'onnx',
  ]
  return Buffer.concat([Buffer.from(lines.join('\n') + '\n'), ...(typeof onnx === 'string' ? [] : [onnx])])
}

/** A file of a folder in the layout of diffusers, as the double's engine, for latents of a size alone. */
export function packFile(
  { file, stage, profiles }: NetworkFile,
  [height, width]: readonly [number, number],
  scale: number,
): Uint8Array {
  const { path, inputs, outputs } = file
  const rows = inputs.map(({ dims, name }) => (dims[0] < 0 ? `${name}.0` : undefined)).find((each) => each !== undefined)
  const sizes = stage.includes('.')
    ? planned(path, stage, [height, width])
    : (name: string, dims: readonly number[]): (number | string)[] => {
        if (stage === 'vae_decoder') return [1, dims[1], height * scale, width * scale]
        if (stage === 'vae_encoder') return [1, dims[1], height, width]
        if (stage === 'vocoder')
          return [...(dims.length === 1 ? [] : [1]), profiles[0][0].usual[1] * SAMPLES_PER_FRAME + SAMPLES_MORE]
        if (name === 'out_hidden_states' && dims.length === 3) return [rows!, (height * width) / 4, dims[2]]
        // A map that comes out of a reshape has the channels of the one that went in.
        const channels = dims[1] < 0 ? inputs.find((each) => each.name === 'hidden_states')!.dims[1] : dims[1]
        return [rows!, channels, ...residual(name, [height, width])]
      }
  const fixed = (dims: readonly number[]): number[] => dims.map((n) => (n > 0 ? n : -1))
  return packEngine({
    memory: 4096,
    inputs: inputs.map(({ name, type, dims }) => ({ name, type, sizes: fixed(dims) })),
    outputs: outputs.map(({ name, type, dims }) => ({ name, type, sizes: sizes(name, dims) })),
    profiles,
    onnx: path,
  })
}

/** Of the recorded vocoder: samples for each frame, and those that its odd layer adds to them all. */
const [SAMPLES_PER_FRAME, SAMPLES_MORE] = [8, 2]

/** The map of an output of a recorded ControlNet of SD 2, or of a UNet: the former halve once, after two. */
function residual(name: string, [height, width]: readonly [number, number]): number[] {
  const halves = name.includes('mid') || Number(/\d+$/.exec(name)?.[0] ?? 0) >= 2
  return halves ? [height / 2, width / 2] : [height, width]
}

/** Sizes of tensors of a plan: what an input has too is that input's. */
function planned(path: string, stage: string, [height, width]: readonly [number, number]) {
  const plan = JSON.parse(readFileSync(join(dirname(path), 'plan.json'), 'utf8')) as {
    tensors: Record<string, (number | string)[]>
    tokens: { grid: string[] }
    stages: { name: string; inputs: string[] }[]
  }
  const { inputs } = plan.stages.find(({ name }) => name === stage.slice(stage.indexOf('.') + 1))!
  const side = (extent: string): number => {
    const [name, divisor = '1'] = extent.split('/')
    return Math.ceil((name === 'height' ? height : width) / Number(divisor))
  }
  return (name: string): (number | string)[] =>
    plan.tensors[name].map((n) => {
      if (typeof n === 'number') return n
      const from = inputs.find((each) => plan.tensors[each].includes(n))
      if (from !== undefined && ['rows', 'tokens', 'length'].includes(n)) return `${from}.${plan.tensors[from].indexOf(n)}`
      return n === 'tokens' ? plan.tokens.grid.map(side).reduce((a, b) => a * b) : side(n)
    })
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
