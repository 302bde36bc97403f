import { invalidArgument, inWords, SadaError, show, unknownName } from '../errors.ts'
import type { SolverName } from './config.ts'
import { classNames } from './known-fields.ts'

/** What diffusers and other programs call the solvers that there are here, as `plain` writes it. */
const CALLED: Readonly<Record<SolverName, readonly string[]>> = {
  'dpm++': ['dpmpp', 'dpmpp2m', 'dpm2m', 'dpmsolver', 'dpmsolverpp', 'dpmsolvermultistep', 'dpmpp2mkarras'],
  'dpm++-sde': ['dpmppsde', 'dpmpp2msde', 'sdedpmsolverpp', 'dpmpp2msdekarras'],
  euler: ['euler', 'eulerdiscrete', 'keuler'],
  'euler-ancestral': ['eulera', 'eulerancestral', 'eulerancestraldiscrete', 'keulera', 'keulerancestral'],
  'flow-euler': ['floweuler', 'floweulerdiscrete', 'flowmatch', 'flowmatcheuler', 'flowmatcheulerdiscrete'],
}

/** Other solvers of diffusers and other programs, of which there are none here. */
const OTHERS =
  /^(k?ddim|ddpm|pndm|plms|k?lms|k?heun|k?dpm2|dpmpp2s|dpmpp3m|dpmppsde|dpmsolversde|dpmfast|dpmadaptive|unipc|deis|lcm|tcd|ipndm|edm|cogvideox|sasolver|dpmsolversinglestep|flowmatchheun|flowmatchlcm)/

/** `DPM++ 2M`, `dpmpp_2m`: without what they are written with, and without diffusers' `Scheduler` at the end. */
const plain = (name: string): string =>
  name
    .slice(0, 100)
    .toLowerCase()
    .replaceAll('++', 'pp')
    .replace(/[^a-z0-9]/g, '')
    .replace(/scheduler$/, '')

/** The solver that a name of another program means. */
const solverCalled = (name: string): SolverName | undefined =>
  (Object.keys(CALLED) as SolverName[]).find((solver) => CALLED[solver].includes(plain(name)))

const isPath = (text: string): boolean => /\.json$/i.test(text)
const PATH = "That is a path: give what the file holds, readFileSync(path, 'utf8')."

/** Of a name that a model does not offer: what it is called here, and what there is. */
export function unknownScheduler(name: string, offered: readonly string[]): SadaError {
  const failure = (message: string): SadaError =>
    new SadaError('UNKNOWN_NAME', `${message} Known: ${offered.join(', ') || 'none'}.`, { argument: 'scheduler' })
  const meant = solverCalled(name)
  if (meant !== undefined && offered.includes(meant)) return failure(`Unknown scheduler ${show(name)}. Did you mean "${meant}"?`)
  if (meant !== undefined)
    return failure(`This model does not offer the scheduler "${meant}"${meant === name ? '' : `, which ${show(name)} is here`}.`)
  if (OTHERS.test(plain(name))) return failure(`The scheduler ${show(name)} is not supported.`)
  return isPath(name) ? failure(`Unknown scheduler ${show(name)}. ${PATH}`) : unknownName('scheduler', name, offered)
}

export const CONFIGURATION = "a diffusers scheduler configuration (the object, or the file's text)"

/** A configuration as a caller gives it. Throws INVALID_ARGUMENT for what is none, a name or a path above all. */
export function checkConfiguration(given: unknown, expected = CONFIGURATION): asserts given is string | object {
  if (typeof given === 'string' && given.trimStart().startsWith('{')) return
  const isBytes = ArrayBuffer.isView(given)
  if (typeof given === 'object' && given !== null && !Array.isArray(given) && !isBytes) return
  const received = isBytes ? inWords("bytes; read the file with 'utf8'") : given
  throw invalidArgument('scheduler', expected, received, typeof given === 'string' ? hintFor(given) : '')
}

function hintFor(text: string): string {
  if (isPath(text)) return PATH
  if (!/^[\w+ .-]+$/.test(text)) return ''
  const solver = solverCalled(text) ?? 'dpm++'
  const algorithm = solver === 'dpm++-sde' ? `, algorithm_type: 'sde-dpmsolver++'` : ''
  return `Names are for generate(); here it is { _class_name: '${classNames[solver]}'${algorithm}, … }.`
}
