import { invalidArgument, inWords, SadaError, show } from '../errors.ts'

/** The most steps a run may have. */
export const maxSteps = 1000

/** Levels that a caller passes must be finite, not negative and never increase. */
export function checkCustomSigmas(sigmas: readonly number[]): void {
  if (!(Array.isArray(sigmas) || ArrayBuffer.isView(sigmas)) || sigmas.length < 1 || sigmas.length > maxSteps + 1) {
    throw invalidArgument('sigmas', `1 to ${maxSteps + 1} noise levels`, sigmas)
  }
  for (let i = 0; i < sigmas.length; i++) {
    if (!Number.isFinite(sigmas[i]) || sigmas[i] < 0) throw invalidSigma(i, 'a finite number ≥ 0', sigmas)
    if (i > 0 && sigmas[i] > sigmas[i - 1]) throw invalidSigma(i, `at most sigmas[${i - 1}] = ${sigmas[i - 1]}`, sigmas)
  }
}

/** A custom level that cannot be sampled. */
export function invalidSigma(index: number, expected: string, sigmas: readonly number[]): SadaError {
  const message = `Expected "sigmas[${index}]" to be ${expected}, received ${show(sigmas[index])}.`
  return new SadaError('INVALID_SCHEDULE', `${message} Noise levels must be finite and must not increase.`, {
    argument: 'sigmas',
  })
}

/** The number of steps that custom levels stand for must be possible, and the one asked for where one is. */
export function checkStepCount(levels: number, steps: number | undefined): void {
  if (levels < 1 || levels > maxSteps)
    throw invalidArgument('sigmas', `levels for 1 to ${maxSteps} steps`, inWords(`levels for ${levels} steps`))
  if (steps !== undefined && steps !== levels) {
    throw invalidArgument('steps', `${levels}, the number of steps in "sigmas", or left out`, steps)
  }
}
