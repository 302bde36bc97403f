import { invalidArgument } from '../errors.ts'
import type { InputRange } from '../native/types.ts'
import { keptCounts, type Profiles } from '../plan/profiles.ts'
import type { Component, LoadContext } from './component.ts'
import type { LatentSize } from './latent-family.ts'
import { gridOf, sideOf, type PlanFile } from './plan-file.ts'
import { residualInputs, residualShapes, timeShape } from './input-shapes.ts'

// The sizes that engines on a GPU are made for, and what they make of the inputs of every file.

/** What the dynamic dimensions of a folder's files are in a call. */
interface Extents {
  /** Members, once for each guidance branch. */
  readonly rows: number
  /** Of the latents. */
  readonly size: LatentSize
  /** Tokens of a prompt. */
  readonly length: number
}

/** The calls that engines serve, and the one that they are fastest at. */
export interface SizeRange {
  readonly smallest: Extents
  readonly usual: Extents
  readonly largest: Extents
  /** Pixels, or values of a spectrogram, along one side of a latent. */
  readonly scale: number
  /** Whether other calls cannot be served. */
  readonly isStrict: boolean
}

/** What a family says of its own sizes. */
interface OwnSizes {
  /** Latents of a call that asks for nothing else. */
  readonly own: LatentSize
  /** Latents along a side are a multiple of this. */
  readonly patch?: number
  /** Tokens of a prompt, from the least to the most. */
  readonly length: readonly [number, number]
}

const PICTURES = 2

/** The range that the settings ask for; undefined where nothing runs networks on a GPU. Throws INVALID_ARGUMENT. */
export function sizeRange(context: LoadContext, scale: number, { own, patch = 1, length }: OwnSizes): SizeRange | undefined {
  if (context.device === undefined) return undefined
  const { pictures = PICTURES, width, height } = context.engineSizes ?? {}
  const side = (name: 'width' | 'height', given: readonly [number, number] | undefined, usual: number): number[] => {
    const [least, most] = given ?? [usual * scale, usual * scale]
    const unit = scale * patch
    const fits = [least, most].every((n) => Number.isInteger(n) && n >= unit && n % unit === 0) && least <= most
    if (!fits) throw invalidArgument(`engineSizes.${name}`, `two multiples of ${unit} that ascend`, given)
    return [least / scale, Math.min(Math.max(usual, least / scale), most / scale), most / scale]
  }
  const [rows, columns] = [side('height', height, own[0]), side('width', width, own[1])]
  const at = (k: number, n: number, tokens: number): Extents => ({ rows: n, size: [rows[k], columns[k]], length: tokens })
  const [smallest, usual, largest] = [at(0, 1, length[0]), at(1, 2, length[1]), at(2, 2 * pictures, length[1])]
  return { smallest, usual, largest, scale, isStrict: context.device.compiles }
}

const MORE = 'load() takes "engineSizes" for more.'

/** Throws INVALID_ARGUMENT where engines were not made for a call's size. */
export function checkSize({ smallest, largest, scale, isStrict }: SizeRange, size: LatentSize): void {
  if (!isStrict) return
  for (const [axis, name] of (['height', 'width'] as const).entries()) {
    if (size[axis] >= smallest.size[axis] && size[axis] <= largest.size[axis]) continue
    const [least, most] = [smallest.size[axis] * scale, largest.size[axis] * scale]
    throw invalidArgument(name, `from ${least} to ${most}, for which the engines were made`, size[axis] * scale, MORE)
  }
}

/** Throws INVALID_ARGUMENT where they were not made for so many members with so many rows each. */
export function checkRows({ largest, isStrict }: SizeRange, members: number, each: number): void {
  const most = Math.floor(largest.rows / each)
  if (isStrict && members > most)
    throw invalidArgument('prompt', `at most ${most} prompts, for which the engines were made`, members, MORE)
}

/** Throws INVALID_ARGUMENT where they were made for shorter prompts, of `most` tokens. */
export function checkLength(range: SizeRange | undefined, length: number, most: number): void {
  if (range?.isStrict && length > most)
    throw invalidArgument('maxSequenceLength', `at most ${most}, for which the engines were made`, length)
}

/** Profiles of a stage of a plan: one for each share of its tokens that passes keep. */
export function planProfiles(plan: PlanFile, { kind, inputs }: PlanFile['stages'][number], range: SizeRange): Profiles {
  const shapeAt = (name: string, { rows, size, length }: Extents, kept: (all: number) => number): number[] => {
    const [down, across] = gridOf(plan, size)
    const named: Record<string, number> = { rows, length, tokens: kept(down * across) }
    return plan.tensors[name].map((n) => (typeof n === 'number' ? n : (named[n] ?? sideOf(n, size))))
  }
  return keptCounts(kind).map((kept) => inputs.map((name) => between(name, range, (extents) => shapeAt(name, extents, kept))))
}

const between = (
  input: string,
  { smallest, usual, largest }: SizeRange,
  shapeAt: (extents: Extents) => number[],
): InputRange => ({
  input,
  smallest: shapeAt(smallest),
  usual: shapeAt(usual),
  largest: shapeAt(largest),
})

/** What an axis counts; `fixed`: what the file says, for channels else its configuration. */
type Axis =
  'one' | 'rows' | 'tokens' | 'length' | 'height' | 'width' | 'pixelHeight' | 'pixelWidth' | 'colours' | 'fixed' | 'channels'

/** Inputs of networks by the names they go by. Those of fewer dimensions lack the first. */
const NETWORK_AXES: Readonly<Record<string, readonly Axis[]>> = {
  sample: ['rows', 'channels', 'height', 'width'],
  hidden_states: ['rows', 'tokens', 'fixed'],
  encoder_hidden_states: ['rows', 'length', 'fixed'],
  encoder_hidden_state: ['rows', 'length', 'fixed'],
  encoder_attention_mask: ['rows', 'length'],
  img_ids: ['rows', 'tokens', 'fixed'],
  txt_ids: ['rows', 'length', 'fixed'],
  controlnet_cond: ['rows', 'colours', 'pixelHeight', 'pixelWidth'],
  conditioning: ['rows', 'colours', 'pixelHeight', 'pixelWidth'],
  conditioning_scale: ['one'],
}
/** `hidden_states` of a network that takes a map, like those of Stable Diffusion 3 and PixArt. */
const MAP: readonly Axis[] = NETWORK_AXES.sample
/** Vectors of each row: pooled states, sizes, guidance. */
const VECTOR: readonly Axis[] = ['rows', 'fixed']
const TIMES = ['timestep', 'timesteps', 't']
/** Latents along one side of one of Flux's tokens. */
const TOKEN_SIDE = 2

/** Profiles of a network that comes whole, or of a ControlNet. */
export const networkProfiles =
  (range: SizeRange) =>
  (component: Component): Profiles => {
    const sample = component.inputs.find(({ name }) => name === 'sample' || name === 'hidden_states')?.name
    const residuals = residualInputs(component)
    const shapeAt = (name: string, extents: Extents): readonly (number | 'rows')[] => {
      if (TIMES.includes(name) && sample !== undefined) return timeShape(component, name, sample)
      if (residuals.includes(name)) return residualShapes(component, extents.size)[name]
      const { length: rank } = component.tensor(name).dims
      const axes = name === sample && rank === MAP.length ? MAP : (NETWORK_AXES[name] ?? VECTOR.slice(0, rank))
      return shapeOf(component, name, axes, extents, range)
    }
    const numbers = (name: string, extents: Extents): number[] =>
      shapeAt(name, extents).map((n) => (n === 'rows' ? extents.rows : n))
    return [component.inputs.map(({ name }) => between(name, range, (extents) => numbers(name, extents)))]
  }

/** Profiles of a part with one input that takes one picture, sound or latent at a time. */
export const partProfiles =
  (range: SizeRange, axes: readonly Axis[]) =>
  (component: Component): Profiles => [
    component.inputs.map(({ name }) => between(name, range, (extents) => shapeOf(component, name, axes, extents, range))),
  ]

/** Channels of the inputs of parts where neither the file nor its configuration says: diffusers' defaults, which Stable Diffusion 1 and 2 have. */
export const DEFAULT_CHANNELS: Readonly<Record<string, number>> = { unet: 4, vae_decoder: 4, vae_encoder: 3 }

export const LATENT_AXES: readonly Axis[] = ['one', 'channels', 'height', 'width']
export const PICTURE_AXES: readonly Axis[] = ['one', 'channels', 'pixelHeight', 'pixelWidth']
export const SPECTROGRAM_AXES: readonly Axis[] = ['one', 'pixelHeight', 'pixelWidth']

function shapeOf(
  component: Component,
  name: string,
  axes: readonly Axis[],
  { rows, size: [height, width], length }: Extents,
  { scale }: SizeRange,
): number[] {
  const { dims } = component.tensor(name)
  const tokens = Math.ceil(height / TOKEN_SIDE) * Math.ceil(width / TOKEN_SIDE)
  const [pixelHeight, pixelWidth] = [height * scale, width * scale]
  const counted: Partial<Record<Axis, number>> = {
    one: 1,
    colours: 3,
    rows,
    tokens,
    length,
    height,
    width,
    pixelHeight,
    pixelWidth,
  }
  return axes.slice(axes.length - dims.length).map((axis, k) => {
    const count = counted[axis]
    if (count !== undefined && dims[k] < 0) return count
    const { role, config } = component
    const said = role === 'vae_decoder' ? config.latent_channels : config.in_channels
    return component.dimension(name, k, axis === 'channels' ? (said ?? DEFAULT_CHANNELS[role]) : undefined)
  })
}
