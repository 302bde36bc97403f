import { invalidArgument, SadaError } from '../errors.ts'
import { magCacheRatios } from '../policy/magcache.ts'
import { fitPolynomial, type PolynomialFit } from '../policy/polynomial-fit.ts'
import { polynomialAt } from '../policy/teacache.ts'
import type { MemberStep } from '../sampler/trace.ts'
import { requestOf, type BenchPrompt } from './prompts.ts'
import type { BenchProgress, Generate } from './settings.ts'
import { greatest, mean } from './statistics.ts'

export interface CalibrationSettings {
  readonly prompts: readonly BenchPrompt[]
  /** Left out: the model's own. */
  readonly scheduler?: string
  readonly steps?: number
  readonly guidance?: number
  /** One for each prompt. */
  readonly seeds: readonly (number | bigint)[]
}

/** Whole runs, every step measured: for each picture its steps. */
interface Measured {
  readonly scheduler: string
  readonly steps: number
  readonly guidance: number
  readonly pictures: readonly (readonly MemberStep[])[]
}

export interface TeaCacheCalibration extends Omit<Measured, 'pictures'>, PolynomialFit {
  readonly pictures: number
  /** Pairs that it was fitted to: a step's change of the blocks' input, and of the network's output. */
  readonly pairs: number
  /** Where the polynomial is negative within its range, it counts changes as less than none. */
  readonly isNegative: boolean
}

/** TeaCache's polynomial of one degree for a model: its output's relative change from that of its blocks' input, over whole runs. */
export async function calibrateTeaCache(
  generate: Generate,
  settings: CalibrationSettings,
  degree: number,
  progress: BenchProgress,
  signal: AbortSignal,
): Promise<TeaCacheCalibration> {
  const measured = await measure(generate, settings, { name: 'teacache', threshold: 0 }, progress, signal)
  const pairs = measured.pictures.flatMap((steps) =>
    steps.flatMap(({ change, error }): [number, number][] =>
      change === undefined || error === undefined ? [] : [[change, error]],
    ),
  )
  const fit = fitPolynomial(pairs, degree)
  const [from, to] = fit.range
  const grid = Array.from({ length: 257 }, (_, k) => from + ((to - from) * k) / 256)
  const isNegative = grid.some((x) => polynomialAt(fit.coefficients, x) < 0)
  return { ...measured, ...fit, pictures: measured.pictures.length, pairs: pairs.length, isNegative }
}

export interface MagCacheCalibration extends Omit<Measured, 'pictures'> {
  readonly pictures: number
  /** Mean of γ over the pictures for each step, beginning with 1. */
  readonly ratios: readonly number[]
  /** Largest standard deviation of γ over the pictures, at any step: how much the curve depends on the prompt. */
  readonly deviation: number
}

/** MagCache's curve for a model: the ratio of the residual's size to that of the step before, over whole runs. */
export async function calibrateMagCache(
  generate: Generate,
  settings: CalibrationSettings,
  progress: BenchProgress,
  signal: AbortSignal,
): Promise<MagCacheCalibration> {
  const measured = await measure(generate, settings, { name: 'magcache', calibrate: true }, progress, signal)
  const { pictures } = measured
  const ratios = magCacheRatios(pictures)
  const deviations = ratios.map((ratio, i) => Math.sqrt(mean(pictures.map((each) => (1 + (each[i].change ?? 0) - ratio) ** 2))))
  return { ...measured, pictures: pictures.length, ratios, deviation: greatest(deviations) }
}

/** Runs every prompt by itself under a policy that runs every step. */
async function measure(
  generate: Generate,
  { prompts, scheduler, steps, guidance, seeds }: CalibrationSettings,
  policy: { readonly name: string; readonly [option: string]: unknown },
  progress: BenchProgress,
  signal: AbortSignal,
): Promise<Measured> {
  // A change, and a ratio, is of one step to the next.
  if (steps !== undefined && steps < 2) throw invalidArgument('steps', 'at least 2', steps)
  if (prompts.length === 0) throw new SadaError('INVALID_ARGUMENT', 'There is no prompt to run.', { argument: 'prompts' })
  const pictures: (readonly MemberStep[])[] = []
  let found: Omit<Measured, 'pictures'> | undefined
  progress.start(prompts.length)
  for (const [k, prompt] of prompts.entries()) {
    const options = { ...requestOf([prompt]), scheduler, steps, guidanceScale: guidance, seed: [seeds[k]], policy, signal }
    const { trace } = await generate(options)
    found = { scheduler: trace.scheduler, steps: trace.steps, guidance: trace.guidance }
    pictures.push(trace.members[0].steps)
    progress.advance(1, prompt.prompt)
  }
  return { ...found!, pictures }
}
