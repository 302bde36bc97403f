import { types } from 'node:util'
import { invalidArgument, SadaError } from '../errors.ts'
import { asSadaError } from '../native/load.ts'

/**
 * Checks what every call takes, and returns the call as it is now, whatever becomes of the caller's lists, arrays and objects; what has a class
 * of its own, a picture say, is not copied. Throws INVALID_ARGUMENT.
 */
export function checkCall<T extends CallOptions>(options: T): T {
  if (typeof options !== 'object' || options === null) throw invalidArgument('options', 'an object', options)
  const { signal, onStep, record } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidArgument('signal', 'an AbortSignal', signal)
  if (onStep !== undefined && typeof onStep !== 'function') throw invalidArgument('onStep', 'a function', onStep)
  if (record !== undefined && typeof record !== 'boolean') throw invalidArgument('record', 'true or false', record)
  const call: [name: string, value: unknown][] = []
  const copies = new Map<unknown, unknown>()
  try {
    for (const name in options) call.push([name, copyOf(options[name], copies)])
  } catch (error) {
    throw asSadaError(error)
  }
  // Not by assignment, which would make an own `__proto__` the prototype, whose fields nobody checks.
  return Object.fromEntries(call) as CallOptions as T
}

interface CallOptions {
  readonly signal?: unknown
  readonly onStep?: unknown
  readonly record?: unknown
}

/** No option lies deeper. */
const DEEPEST = 16

/** `copies`: of what was met before; what is met within itself stays as it is. */
function copyOf(value: unknown, copies: Map<unknown, unknown>, depth = 0): unknown {
  // A detached one has nothing to copy, and is refused where its length is checked. The `slice` of a Buffer would be a view.
  if (types.isTypedArray(value)) return value.length === 0 ? value : Uint8Array.prototype.slice.call(value)
  const isPlain = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
  if (depth > DEEPEST || !(isPlain || Array.isArray(value))) return value
  if (copies.has(value)) return copies.get(value)
  copies.set(value, value)
  const inside = (each: unknown): unknown => copyOf(each, copies, depth + 1)
  // Holes become undefined, which nothing passes over.
  const copy = Array.isArray(value)
    ? Array.from(value, inside)
    : Object.fromEntries(Object.entries(value).map(([name, each]) => [name, inside(each)]))
  copies.set(value, copy)
  return copy
}

/** A network's answer that cannot be gone on with. */
export function nonFinite(step: number, member: number, timestep: number): SadaError {
  const message =
    `The network's answer for member ${member} at step ${step} (timestep ${timestep}) holds NaN or infinity, or values beyond ` +
    'float32. Check the network, its precision and the guidance scale.'
  return new SadaError('NON_FINITE', message, { step })
}

/** A policy that leaves stages out of a network without any. */
export function onePiece(policy: string): SadaError {
  const message = `Policy "${policy}" leaves stages out, and this network is one piece.`
  return new SadaError('UNSUPPORTED', message, { argument: 'policy' })
}

export const afterCallback = (): SadaError =>
  new SadaError('INVALID_ARGUMENT', 'denoised() and state() can be called inside the step callback only.')
