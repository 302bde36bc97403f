import { invalidArgument } from '../errors.ts'
import { TorchGenerator } from '../noise.ts'

/** Throws INVALID_ARGUMENT unless noise for so many members can be made of it. */
export function checkSeed(seed: number | bigint | readonly (number | bigint)[], members: number): void {
  if (Array.isArray(seed) && seed.length !== members)
    throw invalidArgument('seed', `one seed, or an array of ${members} (one for each member)`, seed)
  for (const each of Array.isArray(seed) ? (seed as (number | bigint)[]) : [seed as number | bigint]) new TorchGenerator(each)
}

/** What stands for the initial latents where a run is only planned: of their lengths, and no more. */
export function unwrittenLatents(members: number, length: number): Float32Array[] {
  return new Array<Float32Array>(members).fill(new Float32Array(length))
}

/** Noise as PyTorch's CPU generator makes it, times `init_noise_sigma`: one `randn` over all members, or one generator for each. */
export function initialLatents(
  seed: number | bigint | readonly (number | bigint)[],
  members: number,
  length: number,
  initNoiseSigma: number,
): Float32Array[] {
  checkSeed(seed, members)
  if (Array.isArray(seed)) {
    return seed.map((each: number | bigint) => noise(each, length, initNoiseSigma))
  }
  return split(noise(seed as number | bigint, members * length, initNoiseSigma), members)
}

/** [members, length] as one array for each member. */
export function split(all: Float32Array, members: number): Float32Array[] {
  const length = all.length / members
  return Array.from({ length: members }, (_, b) => all.subarray(b * length, (b + 1) * length))
}

function noise(seed: number | bigint, length: number, initNoiseSigma: number): Float32Array {
  const normal = new TorchGenerator(seed).randn(length)
  // The product of two float32 numbers, rounded once, as diffusers has it.
  return initNoiseSigma === 1 ? normal : normal.map((value) => value * Math.fround(initNoiseSigma))
}
