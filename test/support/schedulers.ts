import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSchedulerConfig, type SchedulerConfig, type SolverName } from '../../ts/schedule/config.ts'
import { createSchedule, type Schedule } from '../../ts/schedule/schedule.ts'

const folder = join(__dirname, '../fixtures/schedulers')
const read = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'))

/** A whole run recorded from diffusers (test/fixtures/schedulers/README.md). */
export interface RecordedRun {
  readonly case: string
  readonly class: string
  readonly given: Readonly<Record<string, unknown>>
  readonly config: Readonly<Record<string, unknown>>
  readonly steps: number
  readonly set_timesteps?: { readonly form: 'n' | 'sigmas'; readonly mu?: number }
  readonly seed: number
  readonly prediction: string
  readonly timesteps: readonly number[]
  readonly sigmas: readonly number[]
  readonly init_noise_sigma: number
  readonly noise: string
  readonly output_at_step_0: string
  readonly samples: Readonly<Record<string, string>>
}

export const recordedRuns: readonly RecordedRun[] = readdirSync(folder)
  .filter((name) => /^(dpm|euler|flow)-\d+\.json$/.test(name))
  .sort()
  .map((name) => read(name) as RecordedRun)

/** One configuration's grid and short run, recorded by record.py. */
export interface RecordedGrid {
  readonly as: SolverName
  readonly given?: Readonly<Record<string, unknown>>
  readonly text?: string
  readonly steps: number
  readonly mu?: number
  readonly custom?: readonly number[]
  readonly timesteps: readonly number[]
  readonly sigmas: readonly number[]
  readonly init_noise_sigma: number
  readonly final?: readonly number[]
}

export const recordedGrids = (read('grids.json') as { cases: readonly RecordedGrid[] }).cases

/** Training tables, float32 in base64. */
export const recordedTables = readdirSync(folder)
  .filter((name) => name.startsWith('betas-'))
  .map((name) => read(name) as { given: Record<string, unknown>; betas: string; alphas_cumprod: string })

export const recordedNoise = read('seeds.json') as Readonly<Record<'seed_0' | 'seed_42', RecordedNoise>>

export interface RecordedNoise {
  readonly seed: number
  readonly rand_8: readonly number[]
  readonly randn_20: readonly number[]
  readonly randn_4x8x8_f32_base64: string
  readonly second_call_4x8x8_f32_base64: string
  readonly interleaved: Readonly<Record<'a' | 'b' | 'c_first8' | 'd', readonly number[]>>
  readonly randn_1000: RecordedEnds
  readonly randn_1x4x64x64: RecordedEnds
}

interface RecordedEnds {
  readonly first8: readonly number[]
  readonly last8: readonly number[]
  readonly sum_float64: number
}

/** numpy.linspace(1, 1/T, T), the levels that Flux pipelines pass. */
export function fluxSigmas(steps: number): number[] {
  return Array.from({ length: steps }, (_, i) => (steps === 1 ? 1 : 1 + (i * (1 / steps - 1)) / (steps - 1)))
}

export function scheduleOfRun(run: RecordedRun): Schedule {
  const { config } = parseSchedulerConfig({ _class_name: run.class, ...run.given })
  const { form, mu } = run.set_timesteps ?? { form: 'n' }
  return createSchedule(config, form === 'sigmas' ? { sigmas: fluxSigmas(run.steps), mu } : { steps: run.steps, mu })
}

export function scheduleOfGrid({ as, text, given, custom, steps, mu }: RecordedGrid): Schedule {
  const { config } = parseSchedulerConfig(text ?? given!, as)
  return createSchedule(config, custom === undefined ? { steps, mu } : { sigmas: custom, mu })
}

/** A configuration with diffusers' defaults apart from `fields`. */
export function configOf(as: SolverName, fields: object = {}): SchedulerConfig {
  return parseSchedulerConfig(fields, as).config
}

/** Whether zero-SNR rescaling is on: diffusers' own float32 then limits how well its levels can be reproduced. */
export function isRescaled({ given, text }: Pick<RecordedGrid, 'given' | 'text'>): boolean {
  return given?.rescale_betas_zero_snr === true || text?.includes('"rescale_betas_zero_snr": true') === true
}

/** Largest relative difference; of zeros, the absolute one. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return Math.max(...Array.from(expected, (value, i) => Math.abs(actual[i] - value) / (Math.abs(value) || 1)))
}

export function absoluteError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return Math.max(...Array.from(expected, (value, i) => Math.abs(actual[i] - value)))
}
