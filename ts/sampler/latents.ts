import { invalidArgument } from '../errors.ts'
import { TorchGenerator } from '../noise.ts'

/** Noise as PyTorch's CPU generator makes it, times `init_noise_sigma`: one `randn` over all members, or one generator for each. */
export function initialLatents(
  seed: number | bigint | readonly (number | bigint)[],
  members: number,
  length: number,
  initNoiseSigma: number,
): Float32Array[] {
  if (Array.isArray(seed)) {
    if (seed.length !== members) throw invalidArgument('seed', `one seed, or an array of ${members} (one for each member)`, seed)
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
