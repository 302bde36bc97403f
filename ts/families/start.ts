import { initialLatents, NoiseSource, split, unwritten } from '../sampler/latents.ts'
import type { Schedule } from '../schedule/schedule.ts'
import { stateOf } from '../solver/parameterisation.ts'
import type { LatentDistribution } from './autoencoder.ts'
import type { FamilyRun, Pixels, Request } from './family.ts'

/** Where the members of a run start, and what holds them to what is to stay. */
export interface Start {
  /** Read alone: they may be the caller's own, or one for several members. */
  readonly latents: readonly Float32Array[]
  /** Goes on from what the start was drawn from. */
  readonly noise: NoiseSource
  readonly afterStep?: FamilyRun['afterStep']
  /** Latents of what the mask leaves of the picture, for each member, where the network reads them. */
  readonly kept?: readonly Float32Array[]
}

interface StartInputs {
  readonly request: Request
  /** The steps that are made, not those that are left out. */
  readonly schedule: Schedule
  /** Values of one member's latents. */
  readonly length: number
  /** The latents of `init`, where that is a picture. */
  readonly picture?: LatentDistribution
  /** One value for each of a member's latents: 1 made anew, 0 kept. */
  readonly mask?: Float32Array
  /** The latents of what the mask leaves of the picture, for a network that reads them; it keeps what is to stay by itself. */
  readonly kept?: LatentDistribution
  /** Order of the latents as the network has them, from that of the autoencoder. */
  readonly arrange?: (latents: Float32Array) => Float32Array
}

/** What has the sizes of a start, for planning. */
export function noStart({ prompts, seed, mask }: Request, length: number): Start {
  const latents = unwritten(prompts.length, length)
  return { latents, noise: new NoiseSource(seed, prompts.length), ...(mask && { kept: latents }) }
}

const asIs = (latents: Float32Array): Float32Array => latents

/** The initial states of a run: noise, or `init` with as much noise as the first step takes away. */
export function startOf({ request, schedule, length, picture, mask, kept, arrange = asIs }: StartInputs): Start {
  const { prompts, seed, init, denoisingStart } = request
  const members = prompts.length
  const source = new NoiseSource(seed, members)
  if (init !== undefined && 'latents' in init) {
    const given = split(init.latents, members)
    // What starts in the middle of a run has its noise already; what a whole one made gets some, as a picture does.
    if (denoisingStart !== undefined) return { latents: given, noise: source }
    const { x0, n } = stateOf(schedule.levels[0], schedule.frame)
    return { latents: source.draw(length).map((each, b) => mix(x0, given[b], n, arrange(each))), noise: source }
  }
  if (picture === undefined)
    return { latents: initialLatents(source, length, schedule.initNoiseSigma).map((each) => arrange(each)), noise: source }
  // A picture in the middle of a run gets none either; diffusers draws some nonetheless where there is a mask.
  if (denoisingStart !== undefined && mask === undefined) return { latents: drawn(picture, source, arrange), noise: source }
  const isWhole = mask !== undefined && denoisingStart === undefined && (request.strength ?? 1) === 1
  const { clean, noise, kept: left } = draw(source, length, { picture: isWhole && kept ? undefined : picture, kept, arrange })
  const first = stateOf(schedule.levels[0], schedule.frame)
  const latents = noise.map((each, b) =>
    isWhole
      ? each.map((value) => value * Math.fround(schedule.initNoiseSigma))
      : denoisingStart !== undefined
        ? clean[b]
        : mix(first.x0, clean[b], first.n, each),
  )
  if (kept) return { latents, noise: source, kept: left }
  if (mask === undefined) return { latents, noise: source }
  // diffusers draws the latents of what the mask leaves for every network; what steps draw comes after them.
  for (const one of source.generators) picture.draw(one)
  return { latents, noise: source, afterStep: keeping(schedule, clean, noise, arrange(mask)) }
}

/** Latents and noise for each member. */
interface Drawn {
  /** None where the picture is not drawn. */
  readonly clean: Float32Array[]
  readonly noise: Float32Array[]
  readonly kept: Float32Array[]
}

interface Sources {
  readonly picture: LatentDistribution | undefined
  readonly kept: LatentDistribution | undefined
  readonly arrange: (latents: Float32Array) => Float32Array
}

/** Draws the picture's latents, noise, and the latents of what is kept of it, in the order in which diffusers does. */
function draw(source: NoiseSource, length: number, { picture, kept, arrange }: Sources): Drawn {
  const of = (latents: LatentDistribution | undefined): Float32Array[] => (latents ? drawn(latents, source, arrange) : [])
  const clean = of(picture)
  const noise = source.draw(length).map((one) => arrange(one))
  return { clean, noise, kept: of(kept) }
}

/** A picture's latents for each member; one generator for the batch draws them once. */
function drawn(picture: LatentDistribution, { generators, members }: NoiseSource, arrange: Sources['arrange']): Float32Array[] {
  const each = generators.map((one) => arrange(picture.draw(one)))
  return Array.from({ length: members }, (_, b) => each[each.length === 1 ? 0 : b])
}

/** After each step, puts the kept part back: as it is at the noise level reached, and without noise at the end. */
function keeping(
  schedule: Schedule,
  clean: readonly Float32Array[],
  noise: readonly Float32Array[],
  mask: Float32Array,
): NonNullable<FamilyRun['afterStep']> {
  return (step, member, state) => {
    const isLast = step === schedule.steps - 1
    const { x0, n } = isLast ? { x0: 1, n: 0 } : stateOf(schedule.levels[step + 1], schedule.frame)
    const kept = mix(x0, clean[member], n, noise[member])
    for (let k = 0; k < state.length; k++) state[k] = (1 - mask[k]) * kept[k] + mask[k] * state[k]
  }
}

function mix(a: number, x: Float32Array, b: number, y: Float32Array): Float32Array {
  return x.map((value, k) => a * value + b * y[k])
}

/** A mask picture as one value for each latent, repeated over the channels: 1 where it is at least half white. */
export function latentMask({ width, height, data }: Pixels, [h, w]: readonly [number, number], channels: number): Float32Array {
  const perPixel = data.length / (width * height)
  const white = (pixel: number): number => {
    const at = pixel * perPixel
    return perPixel === 1 ? data[at] : 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]
  }
  const mask = new Float32Array(channels * h * w)
  for (let k = 0; k < mask.length; k++) {
    const [row, column] = [Math.floor((k % (h * w)) / w), k % w]
    const pixel = Math.floor((row * height) / h) * width + Math.floor((column * width) / w)
    mask[k] = white(pixel) >= 127.5 ? 1 : 0
  }
  return mask
}
