import { invalidArgument, inWords } from '../errors.ts'
import { TorchGenerator } from '../noise.ts'

/** One seed for a batch, or one for each member: integers 0 … 2⁶⁴−1, from 2⁵³ on as bigints. As in PyTorch only their low 32 bits count. */
export type Seed = number | bigint | readonly (number | bigint)[]

/** Throws INVALID_ARGUMENT unless noise for so many members can be made of it. */
export function checkSeed(seed: Seed, members: number): void {
  new NoiseSource(seed, members)
}

/**
 * A batch's noise as PyTorch's CPU generator makes it: one `randn` over all members, or one generator for each. What is drawn later
 * goes on from there, as diffusers' pipelines hand their generator on.
 */
export class NoiseSource {
  readonly generators: readonly TorchGenerator[]
  readonly members: number

  constructor(seed: Seed, members: number) {
    if (Array.isArray(seed) && seed.length !== members)
      throw invalidArgument('seed', `one seed, or an array of ${members} (one for each member)`, seed)
    const seeds = (Array.isArray(seed) ? seed : [seed]) as readonly (number | bigint)[]
    this.generators = seeds.map((each) => new TorchGenerator(each))
    this.members = members
  }

  /** `length` standard normal values for each member. */
  draw(length: number): Float32Array[] {
    const each = this.members / this.generators.length
    return this.generators.flatMap((generator) => split(generator.randn(each * length), each))
  }
}

/** What stands for arrays of every member where a run is only planned: of their lengths, and no more. */
export function unwritten(members: number, length: number): Float32Array[] {
  return new Array<Float32Array>(members).fill({ length } as Float32Array)
}

/** Throws INVALID_ARGUMENT for latents that the network should not be blamed for. */
export function checkFinite(argument: string, latents: Float32Array): void {
  const at = latents.findIndex((value) => !Number.isFinite(value))
  if (at >= 0) throw invalidArgument(argument, 'finite', inWords(`${latents[at]} at index ${at}`))
}

/** Noise times `init_noise_sigma`. */
export function initialLatents(noise: NoiseSource, length: number, initNoiseSigma: number): Float32Array[] {
  const drawn = noise.draw(length)
  // The product of two float32 numbers, rounded once, as diffusers has it.
  return initNoiseSigma === 1 ? drawn : drawn.map((each) => each.map((value) => value * Math.fround(initNoiseSigma)))
}

/** [members, length] as one array for each member. */
export function split(all: Float32Array, members: number): Float32Array[] {
  const length = all.length / members
  return Array.from({ length: members }, (_, b) => all.subarray(b * length, (b + 1) * length))
}
