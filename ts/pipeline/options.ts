import { invalidArgument, unknownName } from '../errors.ts'
import type { Manifest } from '../plan/manifest.ts'
import { createPolicy, type Policy, type PolicySpec } from '../policy/index.ts'
import { checkAudit } from '../sampler/audit.ts'
import type { StepEvent } from '../sampler/trace.ts'

export interface GenerateOptions {
  /** One prompt, or one for each picture. */
  readonly prompt: string | readonly string[]
  /** Integers 0 … 2⁶⁴−1: one for the whole batch (one `randn` over all members), or one for each picture. Default 0. */
  readonly seed?: number | bigint | readonly (number | bigint)[]
  /** 1 … 1000. Default: the model's, 50. */
  readonly steps?: number
  /** ≥ 0; 1 runs the network once per step, without guidance. Default: the model's, 3. */
  readonly guidanceScale?: number
  /** `'flow-euler'`, `'dpm++'` or `'euler'`. Default: the model's. */
  readonly scheduler?: string
  /** Default `'sada'`; `'none'` switches acceleration off. */
  readonly policy?: PolicySpec
  /** Note every decision and measurement, for `policy: { name: 'replay', recording }`. */
  readonly record?: boolean
  /** Share of the skipped steps, 0 … 1, that are computed as well, beside the run: the trace then says what they got wrong. Default 0. */
  readonly audit?: number
  readonly signal?: AbortSignal
  readonly onStep?: (event: StepEvent) => void
}

export interface CheckedOptions {
  readonly prompts: readonly string[]
  readonly seed: number | bigint | readonly (number | bigint)[]
  readonly steps: number
  readonly guidance: number
  readonly scheduler: string
  readonly policy: Policy
  readonly audit: number
}

/** Pictures of one call at most; more are so many calls. */
const MOST_PICTURES = 64

/** Checks everything a call was given before anything is allocated. */
export function checkGenerateOptions(options: GenerateOptions, { defaults, schedulers }: Manifest): CheckedOptions {
  const prompts = typeof options.prompt === 'string' ? [options.prompt] : options.prompt
  if (
    !Array.isArray(prompts) ||
    prompts.length < 1 ||
    prompts.length > MOST_PICTURES ||
    !prompts.every((p) => typeof p === 'string')
  ) {
    throw invalidArgument('prompt', `a string, or an array of 1 to ${MOST_PICTURES} strings`, options.prompt)
  }
  const { seed = 0, steps = defaults.steps, guidanceScale = defaults.guidance_scale, scheduler = defaults.scheduler } = options
  if (Array.isArray(seed) && seed.length !== prompts.length) {
    throw invalidArgument('seed', `one seed, or an array of ${prompts.length} (one for each prompt)`, seed)
  }
  if (!Number.isInteger(steps) || steps < 1 || steps > 1000) throw invalidArgument('steps', 'an integer from 1 to 1000', steps)
  if (typeof guidanceScale !== 'number' || !(guidanceScale >= 0 && guidanceScale <= 100)) {
    throw invalidArgument('guidanceScale', 'a number from 0 to 100', guidanceScale)
  }
  if (!Object.hasOwn(schedulers, scheduler)) throw unknownName('scheduler', String(scheduler), Object.keys(schedulers))
  const audit = checkAudit(options.audit)
  return { prompts, seed, steps, guidance: guidanceScale, scheduler, policy: createPolicy(options.policy ?? 'sada'), audit }
}
