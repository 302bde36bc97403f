import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parsePythonJson } from '../../ts/schedule/python-json.ts'
import type { GenerateOptions, Pixels } from '../../ts/index.ts'

/** Small random models of the real architectures, with what diffusers' pipelines make of them (models/export/record_families.py). */
export const familyFolder = (name: string): string => join(__dirname, '..', 'fixtures', 'families', name)

export interface RecordedTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/** A recorded call: its arguments as diffusers names them, and its tensors. */
export type RecordedCase = { readonly name: string; readonly task: string; readonly seed?: number } & Record<string, any>

export function recordedCases(family: string): RecordedCase[] {
  const folder = familyFolder(family)
  const bytes = readFileSync(join(folder, 'expected.bin'))
  const { cases } = parsePythonJson(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
    cases: RecordedCase[]
  }
  const read = (value: unknown): unknown => {
    const { shape, offset } = (value ?? {}) as { shape?: number[]; offset?: number }
    if (shape === undefined || offset === undefined) return value
    const length = shape.reduce((product, n) => product * n, 1)
    return { shape, data: new Float32Array(bytes.buffer, bytes.byteOffset + offset, length).slice() }
  }
  return cases.map((each) => Object.fromEntries(Object.entries(each).map(([key, value]) => [key, read(value)])) as RecordedCase)
}

/** ‖a − b‖ / ‖b‖ */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.is(a.length, b.length)
  let [difference, norm] = [0, 0]
  for (let k = 0; k < b.length; k++) {
    difference += (a[k] - b[k]) ** 2
    norm += b[k] ** 2
  }
  return Math.sqrt(difference / norm)
}

/** A recorded picture [1, h, w, 3] or mask [h, w], from 0 to 1 in steps of 1/255, as pixels. */
export function pixelsOf({ shape, data }: RecordedTensor): Pixels {
  const [height, width] = shape.length === 2 ? shape : shape.slice(-3)
  return { width, height, data: Uint8Array.from(data, (value) => Math.round(value * 255)) }
}

/** A recorded call as options of `generate`, without acceleration. */
export function optionsOf(recorded: RecordedCase): GenerateOptions {
  const { init } = recorded as { init?: RecordedTensor }
  const isLatents = init !== undefined && init.shape.at(-1) !== 3
  const options: Record<string, unknown> = {
    prompt: recorded.prompt,
    negativePrompt: recorded.negative_prompt,
    secondPrompt: recorded.prompt_2,
    negativeSecondPrompt: recorded.negative_prompt_2,
    seed: recorded.seeds ?? recorded.seed,
    steps: recorded.num_inference_steps,
    guidanceScale: recorded.guidance_scale,
    scheduler: recorded.scheduler,
    // Latents do not say what size they are of; two pixels to a side of one in the fixtures.
    width: recorded.width ?? (isLatents ? init.shape[3] * 2 : undefined),
    height: recorded.height ?? (isLatents ? init.shape[2] * 2 : undefined),
    strength: recorded.strength,
    denoisingStart: recorded.denoising_start,
    denoisingEnd: recorded.denoising_end,
    init: init && (isLatents ? { latents: init.data } : pixelsOf(init)),
    originalSize: recorded.original_size,
    targetSize: recorded.target_size,
    cropTopLeft: recorded.crops_coords_top_left,
    negativeOriginalSize: recorded.negative_original_size,
    negativeTargetSize: recorded.negative_target_size,
    negativeCropTopLeft: recorded.negative_crops_coords_top_left,
    guidanceRescale: recorded.guidance_rescale,
    trueGuidanceScale: recorded.true_cfg_scale,
    maxSequenceLength: recorded.max_sequence_length,
    seconds: recorded.audio_length_in_s,
    tileSize: recorded.tile_size,
    control: recorded.control && controlsOf(recorded),
    mask: recorded.mask_image && pixelsOf(recorded.mask_image),
    policy: 'none',
  }
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as unknown as GenerateOptions
}

function controlsOf(recorded: RecordedCase): object[] {
  const { shape, data } = recorded.control as RecordedTensor
  const length = data.length / shape[0]
  const of = (name: string, k: number): unknown => (Array.isArray(recorded[name]) ? recorded[name][k] : recorded[name])
  return Array.from({ length: shape[0] }, (_, k) => ({
    image: pixelsOf({ shape: shape.slice(1), data: data.subarray(k * length, (k + 1) * length) }),
    strength: of('controlnet_conditioning_scale', k),
    start: of('control_guidance_start', k),
    end: of('control_guidance_end', k),
  }))
}

/** A picture as diffusers has it before rounding, within half a step of 8 bits and what the latents may differ by. */
export function assertPicture(data: Uint8Array, { data: expected }: RecordedTensor, offset = 0): void {
  const worst = data.reduce((most, value, k) => Math.max(most, Math.abs(value / 255 - expected[offset + k])), 0)
  assert.ok(worst <= 0.5 / 255 + 1e-3, `a pixel differs by ${worst}`)
}
