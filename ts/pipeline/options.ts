import { checkNames, invalidArgument, inWords, show } from '../errors.ts'
import type { Control, FamilyRequest, Offer, Pixels, Request } from '../families/family.ts'
import { createPolicy, type Policy, type PolicySpec } from '../policy/index.ts'
import { checkAudit } from '../sampler/audit.ts'
import type { MemoryOptions } from '../sampler/memory.ts'
import type { StepEvent } from '../sampler/trace.ts'
import { parseSchedulerConfig, type SolverName } from '../schedule/config.ts'
import { checkConfiguration, CONFIGURATION, unknownScheduler } from '../schedule/names.ts'
import { parsePythonJson } from '../schedule/python-json.ts'
import type { Picture } from './image.ts'

/** Pixels, or the bytes of a picture file (PNG or JPEG, at most 2²⁸ pixels). Must not be changed until the call has settled. */
export type ImageInput = Pixels | Uint8Array

/** What leads a ControlNet, and how much: a picture, or one for each that is made, of `width` × `height`. */
export type ControlOptions = Omit<Control, 'images'> & { readonly image: ImageInput | readonly ImageInput[] }

/** What `generate` takes; which of the model's own options, `pipeline.takes` says. */
export interface GenerateOptions extends Omit<FamilyRequest, 'init' | 'mask' | 'control'> {
  /**
   * One prompt, or one for each picture, 64 at most; one prompt with several seeds makes a picture for each seed, and what there may be one of
   * for each prompt, there may then be one of for each seed. The end that a text encoder has no room for is dropped (`droppedTokens`). PROMPT_TOO_LONG:
   * above 100,000 characters; of a model with a `plan.json`, above the words that it reads.
   */
  readonly prompt: string | readonly string[]
  /**
   * Integers 0 … 2⁶⁴−1, from 2⁵³ on as bigints: one for the whole batch (one `randn` over all members), or one for each picture:
   * as many as prompts, or with one prompt, a string, 64 at most. Default 0.
   * As in PyTorch only their low 32 bits count.
   */
  readonly seed?: number | bigint | readonly (number | bigint)[] | undefined
  /** 1 … 1000. Default: the model's, `pipeline.defaults.steps`. */
  readonly steps?: number | undefined
  /** 0 … 100; 1 runs the network once per step, without guidance. Default: the model's, `pipeline.defaults.guidanceScale`. */
  readonly guidanceScale?: number | undefined
  /** One of `pipeline.schedulers`, or a diffusers `scheduler_config.json`: its text, or the object. Default: the model's. */
  readonly scheduler?: SolverName | (string & Record<never, never>) | object | undefined
  /**
   * Where the run starts: a picture of `width` × `height`, or latents as a run's result has them: with `denoisingStart` those of one that
   * `denoisingEnd` ended early, without it those of a whole one, which get noise as a picture does.
   */
  readonly init?: ImageInput | { readonly latents: Float32Array } | undefined
  /** White where the picture is made anew, black where `init` stays; of any size. Needs `init` as a picture. */
  readonly mask?: ImageInput | undefined
  /** For models with ControlNets: one for each of them. */
  readonly control?: ControlOptions | readonly ControlOptions[] | undefined
  /** Default `'sada'`; `'none'` switches acceleration off. */
  readonly policy?: PolicySpec | undefined
  /** Note every decision and measurement, for `policy: { name: 'replay', recording }`. */
  readonly record?: boolean | undefined
  /** Share of the skipped steps, 0 … 1, that are computed as well, beside the run: the trace then says what they got wrong. Default 0. */
  readonly audit?: number | undefined
  /** What the run may take; without it, whatever it needs. */
  readonly memory?: MemoryOptions | undefined
  /** Ends the run: `generate` rejects with its reason, at once. */
  readonly signal?: AbortSignal | undefined
  /** Called after every step; a promise it returns is waited for before the next one. What it throws ends the run, which rejects with it. */
  readonly onStep?: ((event: GenerateStep) => unknown) | undefined
  /** Small pictures of what forms in the event of every so many steps, from 1 to 1000, and of the last. Default: none. */
  readonly preview?: number | undefined
}

/** Told to `onStep` after every step of `generate`. */
export interface GenerateStep extends StepEvent {
  /** With `preview`, at its steps: a picture for each prompt, of one pixel for each latent; of sounds their mel spectrograms. */
  readonly preview?: readonly Picture[]
}

export interface CheckedOptions {
  readonly request: Omit<Request, 'init' | 'mask' | 'control'>
  readonly policy: Policy
  readonly audit: number
  /** Of fields of a configuration that have no effect. */
  readonly schedulerWarnings: readonly string[]
}

/** Pictures of one call at most; more are so many calls. */
const MOST_PICTURES = 64

/** Checks everything a call was given before anything is allocated. */
export function checkGenerateOptions(options: GenerateOptions, offer: Offer): CheckedOptions {
  checkNames(options, { ...OPTIONS, ...FAMILY_OPTIONS }, { offered: [...Object.keys(OPTIONS), ...offer.takes] })
  const prompts = readPrompts(options)
  const { defaults } = offer
  const { seed = 0, steps = defaults.steps, guidanceScale: guidance = defaults.guidance } = options
  if (!Number.isInteger(steps) || steps < 1 || steps > 1000) throw invalidArgument('steps', 'an integer from 1 to 1000', steps)
  if (typeof guidance !== 'number' || !(guidance >= 0 && guidance <= 100)) {
    throw invalidArgument('guidanceScale', 'a number from 0 to 100', guidance)
  }
  const { scheduler, schedulerWarnings } = readScheduler(options.scheduler, offer)
  const { preview = 1, policy = 'sada' } = options
  if (!Number.isInteger(preview) || preview < 1 || preview > 1000)
    throw invalidArgument('preview', 'an integer from 1 to 1000', preview)
  const audit = checkAudit(options.audit)
  const request = { ...checkFamilyOptions(options, offer), prompts, seed, steps, guidance, scheduler }
  return { request, policy: createPolicy(policy), audit, schedulerWarnings }
}

/** The prompt of each picture: one prompt is that of as many as there are seeds. Throws INVALID_ARGUMENT. */
function readPrompts({ prompt, seed }: GenerateOptions): readonly string[] {
  const seeds: readonly unknown[] | undefined = Array.isArray(seed) ? seed : undefined
  if (typeof prompt === 'string') {
    if (seeds === undefined) return [prompt]
    if (seeds.length >= 1 && seeds.length <= MOST_PICTURES) return seeds.map(() => prompt)
    throw invalidArgument('seed', `one seed, or an array of 1 to ${MOST_PICTURES} (each makes a picture of the prompt)`, seed)
  }
  const expected = `a string, or an array of 1 to ${MOST_PICTURES} strings`
  const isList: boolean = Array.isArray(prompt)
  if (!isList || prompt.length < 1 || prompt.length > MOST_PICTURES) throw invalidArgument('prompt', expected, prompt)
  const other = prompt.findIndex((each) => typeof each !== 'string')
  if (other >= 0) throw invalidArgument('prompt', expected, inWords(`an array with ${show(prompt[other])} at index ${other}`))
  if (seeds === undefined || seeds.length === prompt.length) return prompt
  const hint = prompt.length === 1 ? 'A prompt that is a string, not an array, makes a picture for each seed.' : ''
  throw invalidArgument('seed', `one seed, or an array of ${prompt.length} (one for each prompt)`, seed, hint)
}

/** A scheduler by name, or a configuration. Throws UNKNOWN_NAME, INVALID_ARGUMENT or INVALID_SCHEDULE. */
function readScheduler(given: unknown, offer: Offer): { scheduler: string | object; schedulerWarnings: string[] } {
  const { schedulers, defaults } = offer
  const name = given === undefined ? defaults.scheduler : given
  const isName = typeof name === 'string' && !name.trimStart().startsWith('{')
  if (!isName) {
    checkConfiguration(name, `one of ${schedulers.join(', ')}, or ${CONFIGURATION}`)
    const scheduler = typeof name === 'string' ? (parsePythonJson(name) as object) : name
    return { scheduler, schedulerWarnings: parseSchedulerConfig(scheduler).warnings }
  }
  if (schedulers.includes(name)) return { scheduler: name, schedulerWarnings: [] }
  throw offer.whyNot?.(name) ?? unknownScheduler(name, schedulers)
}

const isShare = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= 1
const SHARE = [isShare, 'a number from 0 to 1'] as const
/** Networks read sizes in float32, which has every whole number up to here. */
const LARGEST_SIZE = 2 ** 24
const isPair = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 && value.every((n) => Number.isInteger(n) && n >= 0 && n <= LARGEST_SIZE)
const PAIR = [isPair, `a pair of whole numbers from 0 to ${LARGEST_SIZE}`] as const

/** What the options of families are; those that are not listed are checked where they are used. */
const FAMILY_OPTIONS: Readonly<
  Record<keyof FamilyRequest, readonly [fits: (value: unknown) => boolean, expected: string] | undefined>
> = {
  negativePrompt: undefined,
  secondPrompt: undefined,
  negativeSecondPrompt: undefined,
  // Pictures before a size, which often follows from them: of what a model does not take, the first is named.
  init: undefined,
  mask: undefined,
  control: undefined,
  width: undefined,
  height: undefined,
  strength: SHARE,
  guidanceRescale: SHARE,
  denoisingStart: SHARE,
  denoisingEnd: SHARE,
  trueGuidanceScale: [(value) => typeof value === 'number' && value >= 1 && value <= 100, 'a number from 1 to 100'],
  maxSequenceLength: [
    (value) => Number.isInteger(value) && (value as number) >= 4 && (value as number) <= 512,
    'an integer from 4 to 512',
  ],
  tileSize: [
    (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 8192,
    'an integer from 0 (never in tiles) to 8192',
  ],
  seconds: [(value) => typeof value === 'number' && value > 0 && value <= 600, 'a number above 0, at most 600'],
  originalSize: PAIR,
  targetSize: PAIR,
  cropTopLeft: PAIR,
  negativeOriginalSize: PAIR,
  negativeTargetSize: PAIR,
  negativeCropTopLeft: PAIR,
}

const OPTIONS: Readonly<Record<Exclude<keyof GenerateOptions, keyof FamilyRequest>, true>> = {
  prompt: true,
  seed: true,
  steps: true,
  guidanceScale: true,
  scheduler: true,
  policy: true,
  record: true,
  audit: true,
  memory: true,
  signal: true,
  onStep: true,
  preview: true,
}

/** The options that are the model's own. One that it does not take is an error: it would not be what was asked for. */
function checkFamilyOptions(options: GenerateOptions, { takes }: Offer): FamilyRequest {
  const given: Record<string, unknown> = {}
  for (const name of Object.keys(FAMILY_OPTIONS) as (keyof FamilyRequest)[]) {
    const value = options[name]
    if (value === undefined) continue
    if (!takes.includes(name)) {
      const known = takes.length > 0 ? `It takes ${takes.map((each) => `"${each}"`).join(', ')}.` : ''
      throw invalidArgument(name, 'left out: this model does not take it', value, known)
    }
    const [fits, expected] = FAMILY_OPTIONS[name] ?? []
    if (fits && !fits(value)) throw invalidArgument(name, expected!, value)
    if (name !== 'init' && name !== 'mask' && name !== 'control') given[name] = value
  }
  return given
}
