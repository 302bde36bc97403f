/**
 * Every `code` a `SadaError` can carry. Stable: programs may switch on it.
 * - `INVALID_ARGUMENT`: a value the caller passed does not fit; `argument` names it;
 * - `INVALID_SCHEDULE`: a scheduler configuration or timestep grid that cannot be sampled;
 * - `UNKNOWN_NAME`: no scheduler, policy, option or model of that name;
 * - `MODEL_NOT_FOUND`: no folder or file of a model where it should be;
 * - `MODEL_CORRUPT`: a model file that is damaged, or not the one that its plan describes;
 * - `MODEL_TOO_LARGE`: a file larger than any such file needs to be;
 * - `MODEL_CHANGED`: a file was written to while it was loaded;
 * - `SHAPE_INVALID`: a tensor with a negative size, or with more elements than can be counted;
 * - `RESOURCE_LIMIT`: a model that would take more memory than any such model needs;
 * - `MANIFEST_INVALID`: a JSON file of a model that is none, or lacks what it should say;
 * - `PATH_ESCAPE`: a path in a model folder that is absolute, or leads out of it by `..`;
 * - `PATH_UNSAFE`: a link out of a model folder, or what is no regular file in it;
 * - `UNTRUSTED_CODE`: a compiled library in a model folder;
 * - `IO_MISMATCH`: a model file whose inputs or outputs differ from its manifest;
 * - `TOKENIZER_INVALID`: a tokenizer that cannot be used;
 * - `PROMPT_TOO_LONG`: more than the model, or anyone, reads;
 * - `NETWORK_FAILED`: the network threw or rejected; `cause` is what it threw;
 * - `NETWORK_OUTPUT`: the network's answer has the wrong type or length;
 * - `NON_FINITE`: NaN or infinity in a network's answer; `step` says where;
 * - `UNSUPPORTED`: this network lacks what was asked for; the message says what is missing;
 * - `BACKEND_UNAVAILABLE`: a native library that is missing or does not open; the message says where it was looked for;
 * - `OUT_OF_MEMORY`: what a model or a run takes is not there, in host memory or on the GPU;
 * - `DEVICE_LOST`: the GPU answers nothing any more in this process: restart it;
 * - `ENGINE_UNTRUSTED`: a compiled engine that this machine did not make, or that was changed since;
 * - `ENGINE_INCOMPATIBLE`: a compiled engine of another library, version or GPU;
 * - `QUEUE_FULL`: more calls in progress than are taken: 256 of one pipeline, or 1024 jobs of its engine;
 * - `DISPOSED`: a call of what has been disposed, or one that this ended;
 * - `OUTPUT_FAILED`: a result could not be written;
 * - `INTERNAL`: none of these; a mistake of this package, mostly.
 */
export const SADA_ERROR_CODES = [
  'INVALID_ARGUMENT',
  'INVALID_SCHEDULE',
  'UNKNOWN_NAME',
  'MODEL_NOT_FOUND',
  'MODEL_CORRUPT',
  'MODEL_TOO_LARGE',
  'MODEL_CHANGED',
  'SHAPE_INVALID',
  'RESOURCE_LIMIT',
  'MANIFEST_INVALID',
  'PATH_ESCAPE',
  'PATH_UNSAFE',
  'UNTRUSTED_CODE',
  'IO_MISMATCH',
  'TOKENIZER_INVALID',
  'PROMPT_TOO_LONG',
  'NETWORK_FAILED',
  'NETWORK_OUTPUT',
  'NON_FINITE',
  'UNSUPPORTED',
  'BACKEND_UNAVAILABLE',
  'OUT_OF_MEMORY',
  'DEVICE_LOST',
  'ENGINE_UNTRUSTED',
  'ENGINE_INCOMPATIBLE',
  'QUEUE_FULL',
  'DISPOSED',
  'OUTPUT_FAILED',
  'INTERNAL',
] as const

/** One of `SADA_ERROR_CODES`. */
export type SadaErrorCode = (typeof SADA_ERROR_CODES)[number]

/** What a `SadaError` says beside its message, where it applies. */
export interface SadaErrorDetails {
  argument?: string
  stage?: string
  step?: number
  cause?: unknown
}

/** The one error type this package throws, apart from an AbortSignal's own reason and what a callback of the caller throws. `cause`: what it came from. */
export class SadaError extends Error {
  /** Stable, as the message is not. */
  readonly code: SadaErrorCode
  // Declared: a field would be there without a value, too.
  /** The argument or option at fault, as the caller wrote it: `steps`, `policy.warmup`. */
  declare readonly argument?: string
  /** The network stage at fault, by its name in the plan. */
  declare readonly stage?: string
  /** The sampling step at fault, 0-based. */
  declare readonly step?: number

  constructor(code: SadaErrorCode, message: string, details: SadaErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'SadaError'
    this.code = code
    if (details.argument !== undefined) this.argument = details.argument
    if (details.stage !== undefined) this.stage = details.stage
    if (details.step !== undefined) this.step = details.step
  }

  /** What an answer or a log needs of it: JSON has an error's own fields alone, of which `message` is none. */
  toJSON(): Pick<SadaError, 'name' | 'code' | 'message' | 'argument' | 'stage' | 'step'> {
    const { name, code, message, argument, stage, step } = this
    return { name, code, message, argument, stage, step }
  }
}

/** `Expected "steps" to be an integer from 1 to 1000, received 0. <hint>` */
export function invalidArgument(argument: string, expected: string, received: unknown, hint = ''): SadaError {
  const message = `Expected "${argument}" to be ${expected}, received ${show(received)}.${hint && ' ' + hint}`
  return new SadaError('INVALID_ARGUMENT', message, { argument })
}

/** Where in a parsed file an issue is, as a JSON pointer. */
export const pointerOf = ({ path = [] }: { readonly path?: readonly { readonly key: unknown }[] | undefined }): string =>
  '/' + path.map(({ key }) => String(key)).join('/')

/** An unknown name with the nearest known one suggested; `what` it would be a name of, which is the argument where no other is given. */
export const unknownName = (what: string, name: string, known: readonly string[], argument = what): SadaError =>
  withNearest(`Unknown ${what} ${show(name)}.`, name, known, argument)

/** The same of an option; `owner`: whose it is not, as a sentence begins with it. */
export const unknownOption = (owner: string, name: string, known: readonly string[], argument: string): SadaError =>
  withNearest(`${owner} has no option ${show(name)}.`, name, known, argument)

/** `meant`: what is known to be meant, rather than what looks alike. */
function withNearest(message: string, name: string, known: readonly string[], argument: string, meant?: string): SadaError {
  const nearest = meant ?? alike(name, known) ?? nearestName(name, known)
  const more = nearest === 'seed' && COUNTS.includes(plain(name)) ? ' A list of seeds makes a picture of a prompt for each.' : ''
  const hint = nearest ? ` Did you mean "${nearest}"?${more}` : ''
  return new SadaError('UNKNOWN_NAME', `${message}${hint} Known: ${known.join(', ') || 'none'}.`, { argument })
}

/**
 * Throws UNKNOWN_NAME for an option that would go unheard. `names`: those that there are; `offered`: those worth telling of, of a model those that it
 * takes; `within`: the option whose fields they are.
 */
export function checkNames(
  options: object,
  names: Readonly<Record<string, unknown>>,
  { offered = Object.keys(names), within }: { readonly offered?: readonly string[]; readonly within?: string } = {},
): void {
  const [unknown] = Object.entries(options).find(([name, value]) => value !== undefined && !Object.hasOwn(names, name)) ?? []
  if (unknown === undefined) return
  if (within !== undefined) throw unknownOption(`"${within}"`, unknown, offered, `${within}.${unknown}`)
  const meant = meantBy(unknown, Object.keys(names))
  if (meant !== undefined && !offered.includes(meant)) {
    const message = `Unknown option ${show(unknown)}. "${meant}" is an option of other models; this one does not take it.`
    throw new SadaError('UNKNOWN_NAME', `${message} Known: ${offered.join(', ')}.`, { argument: unknown })
  }
  throw withNearest(`Unknown option ${show(unknown)}.`, unknown, offered, unknown, meant)
}

/** Of an operator of an engine. */
export function checkThreads(threads: number | undefined): void {
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 0 || threads > 1024))
    throw invalidArgument('threads', 'an integer from 0 (one per physical core) to 1024', threads)
}

/** How many pictures, as other programs ask for it. */
const COUNTS = ['n', 'count', 'numimages', 'numimagesperprompt', 'batchsize', 'batchcount', 'numoutputs']

/** What diffusers and other programs call options of a call, as `plain` writes it, and what they are here: the first of those that there are. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(COUNTS.map((name) => [name, ['shape', 'seed']])),
  numinferencesteps: ['steps'],
  numsteps: ['steps'],
  cfg: ['guidanceScale'],
  cfgscale: ['guidanceScale'],
  guidance: ['guidanceScale'],
  truecfgscale: ['trueGuidanceScale'],
  prompt2: ['secondPrompt'],
  negativeprompt2: ['negativeSecondPrompt'],
  generator: ['seed'],
  sampler: ['scheduler'],
  samplername: ['scheduler'],
  image: ['init'],
  initimage: ['init'],
  maskimage: ['mask'],
  controlimage: ['control'],
  denoisingstrength: ['strength'],
  cropscoordstopleft: ['cropTopLeft'],
  negativecropscoordstopleft: ['negativeCropTopLeft'],
  audiolengthins: ['seconds'],
  abortsignal: ['signal'],
  callback: ['onStep'],
  callbackonstepend: ['onStep'],
  onprogress: ['onStep'],
  numthreads: ['threads'],
}

/** `negative_prompt` and `negativePrompt` are one. */
const plain = (name: string): string => name.slice(0, LONGEST_TYPO).replace(/[_-]/g, '').toLowerCase()

/** The known name that is written otherwise. */
const alike = (name: string, known: readonly string[]): string | undefined => known.find((each) => plain(each) === plain(name))

/** The option of a call that another program's stands for, whatever they look like. */
function meantBy(name: string, known: readonly string[]): string | undefined {
  const others = Object.hasOwn(OTHER_NAMES, plain(name)) ? OTHER_NAMES[plain(name)] : []
  return alike(name, known) ?? others.find((each) => known.includes(each))
}

/** No name is nearly as long. */
const LONGEST_TYPO = 100

/** Of fewer letters than this too much is the beginning. */
const LEAST_BEGINNING = 3

/** The shortest known name that begins with `name`; else the one within two edits (or a third of the length) of it, if any. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > LONGEST_TYPO) return undefined
  const written = name.toLowerCase()
  const begun = known.filter((each) => name.length >= LEAST_BEGINNING && each.toLowerCase().startsWith(written))
  if (begun.length > 0) return begun.reduce((shortest, each) => (each.length < shortest.length ? each : shortest))
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(written, candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}

/** What was received, where words say it better than the value. */
export const inWords = (words: string): InWords => new InWords(words)

class InWords {
  readonly words: string

  constructor(words: string) {
    this.words = words
  }
}

/** A value as messages have it, short; of whatever kind it is. */
export function show(value: unknown): string {
  if (value instanceof InWords) return value.words
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? value.slice(0, 57) + '…' : value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of length ${(value as unknown as ArrayLike<number>).length}`
  if (Array.isArray(value)) return `an array of length ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}
