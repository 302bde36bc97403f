import type { Pixels } from '../families/family.ts'
import type { GenerateOptions } from '../pipeline/options.ts'
import type { EngineSizes } from '../plan/engine-sizes.ts'
import { resize } from '../pipeline/resize.ts'
import { parsePolicy, seedsFrom } from './arguments.ts'
import { controlShares, readPicture } from './control.ts'
import type { GenerateArguments } from './generate.ts'
import { pictureRequest } from './picture-options.ts'

/** Sides of pictures that follow from a given one are multiples of this: what every family takes. */
const UNIT = 16

/** What the command line asks of `generate`, apart from pictures. */
export function requestFor(prompt: string, options: GenerateArguments): GenerateOptions {
  const { count, seed, steps, guidance, scheduler, policy, negative } = options
  const { trueGuidance, secondPrompt, strength, tileSize, memoryBudget } = options
  return {
    prompt: Array.from({ length: count }, () => prompt),
    seed: seedsFrom(seed, count),
    steps,
    guidanceScale: guidance,
    scheduler,
    policy: parsePolicy(policy),
    negativePrompt: negative,
    trueGuidanceScale: trueGuidance,
    secondPrompt,
    ...pictureRequest(options),
    strength,
    tileSize,
    memory: memoryBudget === undefined ? undefined : { budget: memoryBudget },
  }
}

/** What engines on a GPU are made for where the command line says what is wanted: that size, and so many pictures. */
export function engineSizesFor({
  count,
  width,
  height,
  seconds,
}: Pick<GenerateArguments, 'count' | 'width' | 'height' | 'seconds'>): EngineSizes {
  const only = (n: number | undefined): [number, number] | undefined => (n === undefined ? undefined : [n, n])
  return { pictures: Math.max(2, count), width: only(width), height: only(height), seconds: only(seconds) }
}

/** The pictures that the command line names, brought to one size: that asked for, or that of the first as large as the model likes. */
export async function readPictures(
  options: GenerateArguments,
  preset: readonly [number, number],
): Promise<Partial<GenerateOptions>> {
  const { init, mask, control = [] } = options
  const shares = controlShares(options)
  const start = init === undefined ? undefined : await readPicture('--init', init)
  const leads = await Promise.all(control.map((path) => readPicture('--control', path)))
  const [first] = [start, ...leads].filter((each) => each !== undefined)
  if (first === undefined) return mask === undefined ? {} : { mask: await readPicture('--mask', mask) }
  const [width, height] = sizeFor(first, options, preset)
  const fitted = (picture: Pixels): Pixels => resize(picture, width, height)
  return {
    width,
    height,
    ...(start && { init: fitted(start) }),
    ...(mask !== undefined && { mask: fitted(await readPicture('--mask', mask)) }),
    ...(leads.length > 0 && { control: leads.map((image) => ({ image: fitted(image), ...shares })) }),
  }
}

/** The shape of a picture, with about as many pixels as the model was made for where it has more. */
function sizeFor(picture: Pixels, { width, height }: GenerateArguments, preset: readonly [number, number]): [number, number] {
  const scale = Math.min(1, Math.sqrt((preset[0] * preset[1]) / (picture.width * picture.height)))
  const side = (pixels: number): number => Math.max(UNIT, Math.round((pixels * scale) / UNIT) * UNIT)
  return [width ?? side(picture.width), height ?? side(picture.height)]
}
